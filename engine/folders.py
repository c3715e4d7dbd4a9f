"""Where what a person chose is kept between sessions: settings and own presets. Imports no torch."""

import os
from pathlib import Path

import platformdirs

VARIABLE = "RESNET_TUI_CONFIG"


def config_folder() -> Path:
    """Return the folder of settings: ``$RESNET_TUI_CONFIG``, or this platform's own place. It may not exist yet."""
    chosen = os.environ.get(VARIABLE)
    return Path(chosen).expanduser().absolute() if chosen else platformdirs.user_config_path("resnet-tui")
