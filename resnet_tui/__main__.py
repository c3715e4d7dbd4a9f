"""``python -m resnet_tui``."""

from resnet_tui.start import main

main()
