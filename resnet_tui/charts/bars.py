"""Columns of eighths of a row: charts as high as a line or a few."""

from collections.abc import Iterable

_EIGHTHS = " ▁▂▃▄▅▆▇█"


def bars(heights: Iterable[int | None], below: int = 0) -> str:
    """Draw one row of columns.

    Args:
        heights: of each column, in eighths of a row; None, what is not finite, is drawn as ``!``.
        below: rows of the columns below this one.
    """
    eighths = (None if height is None else min(8, max(0, height - 8 * below)) for height in heights)
    return "".join("!" if count is None else _EIGHTHS[count] for count in eighths)
