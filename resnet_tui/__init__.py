"""resnet-tui: train residual networks in a terminal and watch what happens inside them."""
