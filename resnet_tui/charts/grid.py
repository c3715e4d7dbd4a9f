"""The cells of a chart: what is laid over what, and where there is room for words."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

PLAIN = Style()
_BLANK = " \u2800"
_BRAILLE = frozenset(range(0x2800, 0x2900))


class Grid:
    """Cells with a character and a style each."""

    def __init__(self, columns: int, rows: int) -> None:
        self._cells = [[(" ", PLAIN)] * columns for _ in range(rows)]
        self._curves: dict[tuple[int, int], bool] = {}  # cells that a curve covers, and whether another may merge

    def put(self, column: int, row: int, glyph: str, style: Style) -> None:
        """Set a cell."""
        self._cells[row][column] = (glyph, style)

    def lay(self, drawn: Sequence[str], style: Style, *, merge: bool) -> None:
        """Lay a curve over what is there; braille of two curves that both ``merge`` shows the dots of both."""
        for row, text in enumerate(drawn):
            for column, glyph in enumerate(text):
                if glyph in _BLANK:
                    continue
                under = self._cells[row][column][0]
                both = merge and self._curves.get((column, row), False) and {ord(under), ord(glyph)} <= _BRAILLE
                self._cells[row][column] = (chr(ord(glyph) | ord(under)) if both else glyph, style)
                self._curves[column, row] = merge

    def write(self, column: int, row: int, text: str, style: Style, *, over_guides: bool = False) -> bool:
        """Write a text where it fits and covers and touches no curve and no other text; return whether it did.

        Args:
            column: where it begins.
            row: from the top.
            text: what to write.
            style: how.
            over_guides: whether it may cover what is neither, and touch curves.
        """
        cells = range(column, column + len(text))
        if column < 0 or cells.stop > len(self._cells[0]) or cell_len(text) != len(text):
            return False
        kept_clear = cells if over_guides else range(column - 1, cells.stop + 1)
        if any((cell, row) in self._curves for cell in kept_clear):
            return False
        if not over_guides and any(self._cells[row][cell][0] != " " for cell in cells):
            return False
        for cell, glyph in zip(cells, text, strict=True):
            self._cells[row][cell] = (glyph, style)
            self._curves[cell, row] = False
        return True

    def rows(self) -> Iterator[list[Segment]]:
        """Yield the rows, neighbours of one style in one segment."""
        for cells in self._cells:
            segments: list[Segment] = []
            for glyph, style in cells:
                if segments and segments[-1].style is style:
                    segments[-1] = Segment(segments[-1].text + glyph, style)
                else:
                    segments.append(Segment(glyph, style))
            yield segments
