"""One run by several processes: which of them this is, what they tell each other, and who starts them."""
