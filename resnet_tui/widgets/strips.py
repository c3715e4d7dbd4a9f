"""Rows of widgets that draw themselves a line at a time."""

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip


def filled(segments: Sequence[Segment], width: int, under: Style, over: Style | None = None) -> Strip:
    """Return a row of ``width`` cells, ``under`` below the styles of its segments and ``over`` above them."""
    line = [*segments, Segment(" " * max(0, width - sum(segment.cell_length for segment in segments)))]
    return Strip(Segment.apply_style(line, under, over)).adjust_cell_length(width, under)
