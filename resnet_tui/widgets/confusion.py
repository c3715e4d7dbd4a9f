"""The confusion matrix: numbers on shades where there is room for them, else two rows of shades a line."""

import math
from collections.abc import Iterator
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.color import Color
from textual.containers import Vertical
from textual.events import Click, Leave, MouseMove
from textual.geometry import Region, Size
from textual.message import Message
from textual.widgets import Static

from engine import words
from engine.events import Evaluated
from resnet_tui.run.class_scores import abbreviated, class_names, confused_pairs, fitted
from resnet_tui.widgets import pixels
from resnet_tui.widgets.line_view import LineView

_LONGEST_NAME = 10
_NARROWEST, _WIDEST = 4, 8
"""Columns of a cell with a number, the gap before it included; wider where the names of the classes are."""
_SHADES = 48
_DIM = Style(dim=True)
Cell = tuple[int, int]
"""True and predicted label."""


class ConfusionGrid(LineView):
    """The matrix with a cursor: rows are true classes, columns predicted ones."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1, 0)", "class above", show=False, id="matrix.up"),
        Binding("down", "move(1, 0)", "class below", show=False, id="matrix.down"),
        Binding("ctrl+left", "move(0, -1)", "prediction before", show=False, id="matrix.left"),
        Binding("ctrl+right", "move(0, 1)", "next prediction", show=False, id="matrix.right"),
    ]

    class Pointed(Message):
        """Cursor or mouse are at another cell."""

    def __init__(self) -> None:
        super().__init__()
        self.cursor: Cell = (0, 0)
        self._is_placed = False
        """Whether a person has moved the cursor."""
        self.hovered: Cell | None = None
        self._rows: tuple[tuple[int, ...], ...] = ()
        self._totals: list[int] = []
        self._names: list[str] = []
        self._shades: dict[bool, list[pixels.Pixel]] = {}
        """Of cells that are right and that are not, from none to all of a row."""

    def show(self, scores: Evaluated, names: list[str]) -> None:
        """Draw the matrix of ``scores``; the cursor is at the most confused pair until a person moves it."""
        if len(scores.confusion) != len(self._rows):
            self._is_placed, self.hovered = False, None
        if not self._is_placed:
            pairs = confused_pairs(scores)
            self.cursor = (pairs[0].true, pairs[0].predicted) if pairs else (0, 0)
        self._rows, self._names = scores.confusion, names
        self._totals = [sum(row) for row in self._rows]
        self.reflow()
        self.post_message(self.Pointed())

    @property
    def numbered(self) -> bool:
        """Whether there is room for a number in each cell."""
        return self._label + len(self._rows) * _NARROWEST <= self.columns

    @property
    def _per_line(self) -> int:
        """Classes on a line."""
        return 1 if self.numbered else 2

    @property
    def _tall(self) -> int:
        """Lines of a class: as many as make a cell with a number about square."""
        room = (self.size.height - 1) // max(1, len(self._rows))
        return max(1, min(room, self._cell // 2, 3)) if self.numbered else 1

    @property
    def _label(self) -> int:
        return 1 + min(_LONGEST_NAME, max(map(cell_len, self._names), default=0), max(4, self.columns // 6))

    @property
    def _cell(self) -> int:
        if not self.numbered:
            return 1
        widest = max(_WIDEST, 1 + min(_LONGEST_NAME, max(map(cell_len, self._names), default=0)))
        return min(widest, (self.columns - self._label) // max(1, len(self._rows)))

    def measured(self) -> Size:
        """Return the header's row and those of the classes."""
        count = len(self._rows)
        rows = -(-count // self._per_line) * self._tall
        return Size(max(self.columns, self._label + count * self._cell) if count else 0, 1 + rows if count else 0)

    def notify_style_update(self) -> None:
        """Take another theme's colours."""
        super().notify_style_update()
        if self._rows:
            self.reflow()

    def reflow(self) -> None:
        """Take the theme's colours anew, too."""
        theme, background = self.app.theme_variables, self.background_colors[1]
        for right, name in ((True, "success"), (False, "error")):
            colour = Color.parse(theme[name])
            self._shades[right] = [pixels.blend(background, colour, 0.9 * i / _SHADES) for i in range(_SHADES + 1)]
        super().reflow()

    def line(self, row: int) -> list[Segment]:
        """Draw the header or a row."""
        if row == 0:
            return self._header()
        if row >= self.measured().height:  # drawn at a new size before the lines were measured anew
            return []
        return self._numbers(*divmod(row - 1, self._tall)) if self.numbered else self._two_rows(2 * (row - 1))

    def _header(self) -> list[Segment]:
        left = " " * self._label
        if not self.numbered:
            return [Segment(f"{left}predicted (two classes a line)", _DIM)]
        segments = [Segment(left)]
        for label, name in enumerate(abbreviated(self._names, self._cell - 1)):
            style = Style(bold=True) if label == self.cursor[1] else _DIM
            segments.append(Segment(" " * (self._cell - 1 - cell_len(name)) + name + " ", style))
        return segments

    def _row_name(self, label: int) -> Segment:
        chosen = self.cursor[0] in range(label, label + self._per_line)
        return Segment(fitted(self._names[label], self._label - 1) + " ", Style(bold=True) if chosen else _DIM)

    def _numbers(self, true: int, inner: int) -> list[Segment]:
        """Draw line ``inner`` of a row of cells; the number stands in the middle one."""
        if inner != (self._tall - 1) // 2:
            return [Segment(" " * self._label), *(Segment(" " * self._cell, style) for _, style in self._cells(true))]
        texts = (Segment(f"{text:>{self._cell - 1}} ", style) for text, style in self._cells(true))
        return [self._row_name(true), *texts]

    def _cells(self, true: int) -> Iterator[tuple[str, Style]]:
        as_counts = max(map(max, self._rows)) < 10 ** (self._cell - 1)
        shaded = pixels.has_colours(self.app)
        for predicted, count in enumerate(self._rows[true]):
            share = count / max(1, self._totals[true])
            text = (str(count) if as_counts else f"{share * 100:.0f}") if count else "·"
            is_right, is_chosen = true == predicted, (true, predicted) == self.cursor
            style = self._shade(share, right=is_right) if shaded and count else Style(dim=not count)
            yield text, style + Style(bold=is_right or is_chosen, reverse=is_chosen)

    def _shade(self, share: float, *, right: bool) -> Style:
        background = Color(*self._pixel(share, right=right))
        text = background.get_contrast_text(1.0)
        return Style(color=text.rich_color, bgcolor=background.rich_color)

    def _pixel(self, share: float, *, right: bool) -> pixels.Pixel:
        # The root, since a few per cent of confusion are what one looks for.
        return self._shades[right][round(math.sqrt(share) * _SHADES)]

    def _two_rows(self, first: int) -> list[Segment]:
        name = self._row_name(first)
        pair = [first, min(first + 1, len(self._rows) - 1)]
        if pixels.has_colours(self.app):
            upper, lower = (
                [self._pixel(self._share(true, i), right=true == i) for i in range(len(self._rows))] for true in pair
            )
            shades = pixels.half_blocks(upper, lower)
        else:
            most = [max(self._share(true, i) for true in pair) for i in range(len(self._rows))]
            shades = [Segment(pixels.dense(math.sqrt(share))) for share in most]
        if self.cursor[0] in pair:
            shades[self.cursor[1]] = Segment("┼", Style(bold=True))
        return [name, *shades]

    def _share(self, true: int, predicted: int) -> float:
        return self._rows[true][predicted] / max(1, self._totals[true])

    def named(self) -> str:
        """Say in words what lies under the mouse or, without it, under the cursor."""
        if not self._rows:
            return ""
        cell = self.hovered or self.cursor
        true, predicted = cell
        count, total = self._rows[true][predicted], self._totals[true]
        taken = "right" if true == predicted else f"taken for {self._names[predicted]}"
        share = f" ({words.percent(count / total, 1)})" if total else ""
        return f"{self._names[true]} {taken}: {count:,} of {total:,}{share}"

    def action_move(self, down: int, right: int) -> None:
        """Move the cursor."""
        last = len(self._rows) - 1
        self._point(min(max(0, self.cursor[0] + down), last), min(max(0, self.cursor[1] + right), last))

    def _point(self, true: int, predicted: int) -> None:
        self.cursor, self.hovered, self._is_placed = (true, predicted), None, True
        row = 1 + true // self._per_line * self._tall
        column = self._label + predicted * self._cell
        self.scroll_to_region(Region(column, row, self._cell, self._tall), animate=False, immediate=True)
        self.refresh()
        self.post_message(self.Pointed())

    def _at(self, event: MouseMove | Click) -> Cell | None:
        offset = event.get_content_offset(self)
        if offset is None:
            return None
        column, row = offset.x + self.scroll_offset.x - self._label, offset.y + self.scroll_offset.y - 1
        true, predicted = row // self._tall * self._per_line, column // self._cell
        count = len(self._rows)
        return (true, predicted) if 0 <= true < count and column >= 0 and predicted < count else None

    def on_mouse_move(self, event: MouseMove) -> None:
        """Name the cell under the mouse."""
        self._hover(self._at(event))

    def on_leave(self, _event: Leave) -> None:
        """Name the cell under the cursor again."""
        self._hover(None)

    def on_click(self, event: Click) -> None:
        """Put the cursor there."""
        if (cell := self._at(event)) is not None:
            self._point(*cell)

    def _hover(self, cell: Cell | None) -> None:
        if cell != self.hovered:
            self.hovered = cell
            self.post_message(self.Pointed())


class Confusion(Vertical):
    """The matrix, and below it what the cell in hand says."""

    DEFAULT_CSS = """
    Confusion ConfusionGrid { height: 1fr; }
    Confusion Static { height: 1; }
    """

    def __init__(self) -> None:
        super().__init__(id="matrix")
        self.border_title = "confusion: true class by row, predicted by column"
        self.grid = ConfusionGrid()

    def compose(self) -> ComposeResult:
        """Yield the matrix and the line."""
        yield self.grid
        yield Static(markup=False)

    def show(self, scores: Evaluated, classes: tuple[str, ...]) -> None:
        """Draw the matrix of ``scores``."""
        self.grid.show(scores, class_names(classes, len(scores.confusion)))

    def on_confusion_grid_pointed(self, event: ConfusionGrid.Pointed) -> None:
        """Name the cell."""
        event.stop()
        named = Text(self.grid.named(), no_wrap=True, overflow="ellipsis")
        self.query_one(Static).update(named, layout=False)
