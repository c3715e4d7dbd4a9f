"""Which colours there are, what each means, and what stands for them where there are none."""

from typing import Any, Literal

from rich.style import Style
from textual.app import App
from textual.color import Color

from resnet_tui.run.doing import Meaning

TRAIN, VAL, TEST = "#4ea1ff", "#f5a742", "#62d26f"
"""Of the splits, the same on every chart."""
RATE, NORM, OTHER = "#4dd0c8", "#ff6b9d", "#c792ea"
"""Of learning rates, of gradient norms, and of everything else."""
RAMP = " .:-=+*#%@"
"""Stands for shades, from nothing to all."""
Depth = Literal["none", "few", "many"]
"""How many colours can be told apart: none, the 16 of any terminal, or shades."""


def depth(app: App[Any]) -> Depth:
    """Return what the terminal can show and a person wants to see."""
    system = app.console.color_system
    if app.no_color or system is None or getattr(app, "ascii_only", False):
        return "none"
    return "few" if app.native_ansi_color or system not in {"256", "truecolor"} else "many"


def themed(app: App[Any], meaning: Meaning, *, bold: bool = False) -> Style:
    """Return the style of ``meaning`` in the theme in use: light enough to be read without colour, too."""
    return Style(color=Color.parse(app.theme_variables[f"text-{meaning}"]).rich_color, bold=bold)
