"""One module a command. Heavy imports stand inside the functions, so that ``--help`` imports no torch."""
