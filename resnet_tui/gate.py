"""The last gate before the terminal: whatever a widget passed on, no character of it can be a command."""

import unicodedata

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from engine.text import DROPPED_CATEGORIES


class Gate(LineFilter):
    """Applied to every line right before it goes to the terminal, so that nothing rests on a widget's care."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002 (of the base class)
        """Replace what no terminal shows by U+FFFD, in as many cells as before."""
        return [
            segment if segment.text.isprintable() else Segment(_shown(segment.text), segment.style, segment.control)
            for segment in segments
        ]


def _shown(text: str) -> str:
    return "".join(
        "\ufffd" * cell_len(character) if unicodedata.category(character) in DROPPED_CATEGORIES else character
        for character in text
    )
