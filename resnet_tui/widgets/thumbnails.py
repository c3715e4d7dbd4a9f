"""Pictures that the network got wrong, with what they are and what they were taken for."""

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size

from engine import words
from engine.mistakes import Mistake, Mistakes
from resnet_tui.run.class_scores import class_names, fitted
from resnet_tui.widgets import pixels
from resnet_tui.widgets.line_view import LineView

_SMALL, _LARGE = 16, 24
"""Pixels of the longer side; a cell is one wide and two high."""
_HEIGHT_FOR_LARGE = 30
_CAPTION, _GAP = 2, 2
_DIM = Style(dim=True)


class Thumbnails(LineView):
    """As many in a row as fit, most confident first."""

    def __init__(self) -> None:
        super().__init__(id="pictures")
        self.border_title = "wrong pictures"
        self._mistakes: Mistakes | None = None
        self._names: list[str] = []
        self._note = ""
        self._pictures: dict[tuple[int, int], pixels.Picture] = {}

    def show(self, mistakes: Mistakes | None, classes: tuple[str, ...]) -> None:
        """Draw ``mistakes``, or say in a line why there is nothing to draw."""
        self._mistakes, self._note = mistakes, _note(mistakes)
        labels = [max(item.label, item.predicted) for item in mistakes.mistakes] if mistakes else []
        self._names = class_names(classes, max(len(classes), 1 + max(labels, default=0)))
        self._pictures.clear()
        self.border_title = "wrong pictures"
        if mistakes is not None:
            self.border_title += f" of {mistakes.split}, epoch {mistakes.epoch}, most confident first"
        self.scroll_home(animate=False)
        self.reflow()

    @property
    def _side(self) -> int:
        return _LARGE if self.size.height >= _HEIGHT_FOR_LARGE else _SMALL

    @property
    def _across(self) -> int:
        return max(1, (self.columns + _GAP) // (self._side + _GAP))

    @property
    def _tile_height(self) -> int:
        """Rows of a picture, its caption and the gap below."""
        assert self._mistakes is not None
        _, height, width = self._mistakes.shape
        return -(-max(1, round(height * self._side / max(height, width))) // 2) + _CAPTION + 1

    def measured(self) -> Size:
        """Return rows of pictures, or one row for the note."""
        if self._mistakes is None or self._note:
            return Size(self.columns, 1)
        tiles = -(-len(self._mistakes.mistakes) // self._across)
        return Size(self.columns, tiles * self._tile_height)

    def line(self, row: int) -> list[Segment]:
        """Draw a line through a row of pictures or captions."""
        if self._mistakes is None or self._note:
            return [Segment(self._note, _DIM)]
        tile, inner = divmod(row, self._tile_height)
        first = tile * self._across
        segments: list[Segment] = []
        for index in range(first, min(first + self._across, len(self._mistakes.mistakes))):
            segments += [*self._tile(index, inner), Segment(" " * _GAP)]
        return segments

    def _tile(self, index: int, inner: int) -> list[Segment]:
        assert self._mistakes is not None
        item, rows = self._mistakes.mistakes[index], self._tile_height - _CAPTION - 1
        if inner < rows:
            return self._pixels(index, item, inner)
        if inner == rows:
            return [Segment(self._caption(item), Style(bold=True))]
        if inner == rows + 1:
            return [Segment(fitted(f"{words.percent(item.confidence, 1)} sure", self._side), _DIM)]
        return [Segment(" " * self._side)]

    def _caption(self, item: Mistake) -> str:
        """Return both names; what one of them leaves free, the other can have."""
        room = self._side - len(" → ")
        true, predicted = self._names[item.label], self._names[item.predicted]
        left = min(cell_len(true), max(room // 2, room - cell_len(predicted)))
        return f"{fitted(true, left)} → {fitted(predicted, room - left)}"

    def _pixels(self, index: int, item: Mistake, inner: int) -> list[Segment]:
        assert self._mistakes is not None
        channels, height, width = self._mistakes.shape
        key = index, self._side
        if key not in self._pictures:
            self._pictures[key] = pixels.scaled(item.pixels, (channels, height, width), self._side)
        picture = self._pictures[key]
        upper = picture[2 * inner]
        lower = picture[min(2 * inner + 1, len(picture) - 1)]
        draw = pixels.half_blocks if pixels.has_colours(self.app) else pixels.ramp
        return [*draw(upper, lower), Segment(" " * (self._side - len(upper)))]


def _note(mistakes: Mistakes | None) -> str:
    if mistakes is None:
        return "no pictures: this run has kept none yet"
    if not mistakes.mistakes:
        return "no pictures: nothing was wrong"
    return "" if len(mistakes.shape) == 3 else "no pictures: the data are features"
