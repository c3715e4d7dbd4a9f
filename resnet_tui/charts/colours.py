"""Colours of the theme for text that is drawn by rich, which knows no themes."""

from typing import Any, Literal

from rich.style import Style
from textual.app import App
from textual.color import Color

Meaning = Literal["success", "warning", "error"]


def themed(app: App[Any], meaning: Meaning, *, bold: bool = False) -> Style:
    """Return the style of ``meaning`` in the theme in use: light enough to be read without colour, too."""
    return Style(color=Color.parse(app.theme_variables[f"text-{meaning}"]).rich_color, bold=bold)
