"""``python -m resnet_tui``."""

from resnet_tui.cli import main

main()
