"""Gradient norms of the parts of a network over a run, as a picture: parts from top to bottom, time across."""

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from resnet_tui.charts import heat_grid, norms
from resnet_tui.charts.axes import Span, x_ticks, x_words
from resnet_tui.charts.heat_scale import Palette, Scale, legend, palette
from resnet_tui.panel import Panel
from resnet_tui.run.state import RunState
from resnet_tui.view import View

_EDGE = 3
"""Rows that are not of the picture: title, axis, legend."""
_NARROW = 50
"""Columns below which parts have short names."""


class HeatMap(Panel):
    """Draws the history; the lightest colour is the largest norm."""

    topics = frozenset({"gradients", "marks", "shapes"})
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "heat-map--title",
        "heat-map--muted",
        "heat-map--selected",
        "heat-map--guide",
        "heat-map--flag",
        "heat-map--bad",
    }
    DEFAULT_CSS = """
    HeatMap {
        width: 1fr;
        height: 1fr;
        padding-right: 1;
        & > .heat-map--title { text-style: bold; }
        & > .heat-map--muted { color: $text-muted; }
        & > .heat-map--selected { text-style: bold; color: $text-primary; }
        & > .heat-map--guide { color: $text; text-style: bold; }
        & > .heat-map--flag { color: $text-warning; text-style: bold; }
        & > .heat-map--bad { color: $text; background: $error; text-style: bold; }
    }
    """

    class Picked(Message):
        """A person clicked a part."""

        def __init__(self, heat_map: "HeatMap", part: int) -> None:
            super().__init__()
            self.heat_map, self.part = heat_map, part

        @property
        def control(self) -> "HeatMap":
            """The heat map."""
            return self.heat_map

    class CursorMoved(Message):
        """The mouse moved to another place on the time axis, or left it (None)."""

        def __init__(self, heat_map: "HeatMap", x: float | None) -> None:
            super().__init__()
            self.heat_map, self.x = heat_map, x

        @property
        def control(self) -> "HeatMap":
            """The heat map."""
            return self.heat_map

    def __init__(self, *, facts: bool = True) -> None:
        """Say in the title which norms are smallest and largest where ``facts`` is true."""
        super().__init__()
        self._facts = facts
        self._shown: tuple[RunState, View] | None = None
        self._selected: int | None = None
        self._pointed: tuple[int, float] | None = None
        """Part and place on the axis that the mouse is at."""
        self._named = True
        self._strips: list[Strip] = []
        self._drawn_for: Size | None = None
        self._levels: list[tuple[array[float], list[int]]] = []
        self._levels_for: tuple[heat_grid.Rows, Scale, int] | None = None

    def show(self, state: RunState, view: View) -> None:
        """Draw the history of ``state`` within the window of ``view``."""
        self._shown = state, view
        self._again()

    def select(self, part: int | None) -> None:
        """Mark a part."""
        if part != self._selected:
            self._selected = part
            self._again()

    def name_parts(self, named: bool) -> None:
        """Choose whether parts are named at the left; elsewhere a list does it, row for row."""
        if named != self._named:
            self._named = named
            self._again()

    def rows_each(self) -> int:
        """Return how many rows each part has for itself; 0 where parts share rows, or there are none."""
        rows = self._rows()
        return rows.each if rows is not None and rows.own else 0

    def render_line(self, y: int) -> Strip:
        """Return a row of the widget."""
        if self.content_size != self._drawn_for:
            self._drawn_for, under = self.content_size, self.rich_style
            self._strips = [strip.apply_style(under) for strip in self._draw()]
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.content_size.width, self.rich_style)

    def notify_style_update(self) -> None:
        """Draw again in other colours."""
        super().notify_style_update()
        self._drawn_for = None

    def _again(self) -> None:
        self._drawn_for = None
        self.refresh()

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"heat-map--{name}", partial=True)

    def _draw(self) -> list[Strip]:
        width, height = self.content_size
        if width < 1 or height < 1:
            return []
        lines: list[list[Segment]] = [self._title()]
        rows = self._rows()
        if rows is None or self._shown is None:
            absence = norms.absence(self._shown[0]) if self._shown and self._facts else ""
            lines.append([Segment(absence, self._style("muted"))])
        else:
            lines += self._picture(rows, *self._shown)
        return [Strip(line).adjust_cell_length(width) for line in lines[:height]]

    def _title(self) -> list[Segment]:
        title, muted = Segment("gradient norms", self._style("title")), self._style("muted")
        if self._shown is None or norms.absence(self._shown[0]):
            return [title]
        state, view = self._shown
        if self._pointed is not None and self._pointed[0] < len(state.gradients.parts):
            return [title, Segment("  "), Segment(self._reading(*self._pointed), self._style("selected"))]
        facts = norms.norms(state, view).facts() if self._facts else []
        return [title, Segment("".join(f" · {fact}" for fact in facts), muted)]

    def _reading(self, part: int, x: float) -> str:
        assert self._shown is not None
        state, view = self._shown
        history = state.gradients
        shown = heat_grid.columns(norms.axis(history.steps, history.seconds, state, view), x, x, 1)[0]
        value = norms.number(history.at(shown[0])[part]) if shown else "-"
        return f"{norms.name(history.parts[part])} {value} at {x_words(x, view.axis)}"

    def _rows(self) -> heat_grid.Rows | None:
        height = self.content_size.height - _EDGE
        if self._shown is None or height < 1 or norms.absence(self._shown[0]):
            return None
        return heat_grid.rows(len(self._shown[0].gradients.parts), height, halves=not palette(self.app).ramp)

    def _gutter(self) -> int:
        """Return the columns before the picture: names where they are wanted, and always the mark of the selected."""
        assert self._shown is not None
        width = self.content_size.width
        if not self._named or width < 24:
            return 2
        parts = self._shown[0].gradients.parts
        stages = {part.partition(".")[0] for part in parts}
        return min(2 + max(map(len, [*map(self._label, parts), *stages])), width // 3)

    def _label(self, part: str) -> str:
        return norms.short(part) if self.content_size.width < _NARROW else norms.name(part)

    def _picture(self, rows: heat_grid.Rows, state: RunState, view: View) -> Iterator[list[Segment]]:
        gutter, history, colours = self._gutter(), state.gradients, palette(self.app)
        low, high = norms.ends(state, view)
        across = Columns(low, high, self.content_size.width - gutter)
        scale = Scale.holding(*history.spread())
        of_readings = self._levels_of(history.columns, rows, scale, colours.levels)
        xs = norms.axis(history.steps, history.seconds, state, view)
        nothing = [-2] * len(rows.bands)
        cells = [
            heat_grid.merged(of_readings[shown.start : shown.stop]) if shown else nothing
            for shown in heat_grid.columns(xs, low, high, across.count)
        ]
        cursor = across.of(view.cursor)
        names = self._names(rows, history.parts, gutter)
        bands = list(zip(*cells, strict=True))
        for row in range(rows.height):
            yield [*names(row), *self._row(bands, rows, row, colours, cursor)]
        pad = Segment(" " * gutter)
        marks = [across.of(norms.axis([c.step], [c.seconds], state, view)[0]) for c in state.changes]
        yield [pad, *self._axis(across, view, marks, cursor)]
        yield [pad, *legend(scale, colours, across.count - len(view.axis) - 2, self._style("muted"))]

    def _levels_of(
        self, columns: Sequence["array[float]"], rows: heat_grid.Rows, scale: Scale, count: int
    ) -> list[list[int]]:
        """Return the level of each band in each reading; those already known are not worked out again."""
        if (rows, scale, count) != self._levels_for:
            self._levels_for, self._levels = (rows, scale, count), []
        known = self._levels
        kept = 0
        while kept < min(len(known), len(columns)) and known[kept][0] is columns[kept]:
            kept += 1
        del known[kept:]
        bands = [(band.start, band.stop, len(band)) for band in rows.bands]
        for column in columns[kept:]:
            values = (column[a] if n == 1 else sum(column[a:b]) / n for a, b, n in bands)
            known.append((column, [scale.level(value, count) for value in values]))
        return [levels for _, levels in known]

    def _row(
        self, bands: Sequence[Sequence[int]], rows: heat_grid.Rows, row: int, colours: Palette, cursor: int | None
    ) -> Iterator[Segment]:
        """Yield the cells of a row, equal neighbours in one segment."""
        first = row * 2 if rows.halves else row // rows.each
        upper = bands[first]
        lower = bands[first + 1] if rows.halves and first + 1 < len(bands) else upper
        run, last = 0, (upper[0], lower[0])
        for column, pair in enumerate(zip(upper, lower, strict=True)):
            if column == cursor:
                yield from self._cells(last, run, colours)
                under = self._cell(pair, colours).style
                back = Style(bgcolor=under.bgcolor) if under is not None and under.bgcolor else Style()
                yield Segment("│", self._style("guide") + back)
                run = 0
            elif pair == last:
                run += 1
            else:
                yield from self._cells(last, run, colours)
                run, last = 1, pair
        yield from self._cells(last, run, colours)

    def _cells(self, pair: tuple[int, int], count: int, colours: Palette) -> Iterator[Segment]:
        if count:
            cell = self._cell(pair, colours)
            yield Segment(cell.text * count, cell.style)

    def _cell(self, pair: tuple[int, int], colours: Palette) -> Segment:
        upper, lower = pair
        if upper == -2:
            return Segment(" ")
        if min(pair) < 0:
            return Segment("!", self._style("bad"))
        return colours.cell(upper) if upper == lower else colours.halves(upper, lower)

    def _names(self, rows: heat_grid.Rows, parts: Sequence[str], gutter: int) -> Callable[[int], list[Segment]]:
        """Return what stands before each row: its part's name, or a stage's at the row where it begins."""
        wanted = self._row_names(rows, parts) if self._named and gutter > 2 else {}
        selected = None
        if self._selected is not None and self._selected < len(parts):
            selected = rows.row(self._selected)
            if gutter > 2:
                wanted[selected] = self._label(parts[self._selected])
        flagged = self._flagged(rows)

        def before(row: int) -> list[Segment]:
            name = wanted.get(row, "")[: gutter - 2].rjust(gutter - 2)
            style = self._style("selected" if row == selected else "muted")
            mark = "▸" if row == selected else " "
            return [Segment(f"{name}{mark}", style), Segment(flagged.get(row, " "), self._style("flag"))]

        return before

    def _row_names(self, rows: heat_grid.Rows, parts: Sequence[str]) -> dict[int, str]:
        wanted = dict[int, str]()
        for part, name in enumerate(parts):
            stage = name.partition(".")[0]
            if rows.own:
                wanted[rows.row(part)] = self._label(name)
            elif part == 0 or stage != parts[part - 1].partition(".")[0]:
                row = rows.row(part)
                wanted[row + (row in wanted)] = stage  # below the name of one that ends in this row
        return wanted

    def _flagged(self, rows: heat_grid.Rows) -> dict[int, str]:
        """Return the sign of what is flagged in each row, so that no part is lost among its neighbours."""
        assert self._shown is not None
        flags = norms.norms(*self._shown).flags
        return {rows.row(part): norms.GLYPHS[flag] for part, flag in enumerate(flags)
                if flag in {"vanishing", "exploding"}}  # fmt: skip

    def _axis(
        self, across: "Columns", view: View, marks: Sequence[int | None], cursor: int | None
    ) -> Iterator[Segment]:
        """Yield the time axis: round places, what a person changed, the cursor; its unit at the end."""
        special = {mark: "◆" for mark in marks if mark is not None} | ({} if cursor is None else {cursor: "┴"})
        line = list("─" * across.count)
        unit = f" {view.axis}" if across.count >= 30 else ""
        room = across.count - len(unit)
        free = 0
        for x, label in x_ticks(Span(across.low, across.high), max(1, across.count // 10), view.axis):
            start = min(max(0, (across.of(x) or 0) - len(label) // 2), room - len(label) - 1)
            clear = not any(start <= place < start + len(label) for place in special)
            if start >= free and clear:
                line[start : start + len(label)] = label
                free = start + len(label) + 1
        line[room:] = unit
        muted, guide = self._style("muted"), self._style("guide")
        begin = 0
        for column in sorted(special):
            yield from (Segment("".join(line[begin:column]), muted), Segment(special[column], guide))
            begin = column + 1
        yield Segment("".join(line[begin:]), muted)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Read the value there."""
        self._point(event)

    def on_click(self, event: events.Click) -> None:
        """Choose the part there, and read its value."""
        self._point(event)
        if self._pointed is not None:
            self.post_message(self.Picked(self, self._pointed[0]))

    def on_leave(self, event: events.Leave) -> None:
        """Let go of what was read."""
        if event.node is self:
            self._point_at(None)

    def _point(self, event: events.MouseEvent) -> None:
        offset, rows = event.get_content_offset(self), self._rows()
        if offset is None or rows is None or self._shown is None:
            return
        gutter = self._gutter()
        across = Columns(*norms.ends(*self._shown), self.content_size.width - gutter)
        parts = rows.parts(offset.y - 1)
        inside = offset.y >= 1 and bool(parts) and offset.x >= gutter
        self._point_at((parts[0], across.middle(offset.x - gutter)) if inside else None)

    def _point_at(self, pointed: tuple[int, float] | None) -> None:
        before, self._pointed = self._pointed, pointed
        if before == pointed:
            return
        self._again()
        x = pointed[1] if pointed is not None else None
        if x != (before[1] if before is not None else None):
            self.post_message(self.CursorMoved(self, x))


class Columns:
    """The columns of the picture as places on the time axis."""

    def __init__(self, low: float, high: float, count: int) -> None:
        self.low, self.high, self.count = low, high, max(1, count)

    def of(self, x: float | None) -> int | None:
        """Return the column that ``x`` lies in; None where it is not shown."""
        if x is None or not self.low <= x <= self.high:
            return None
        return min(int((x - self.low) / (self.high - self.low) * self.count), self.count - 1)

    def middle(self, column: int) -> float:
        """Return the place in the middle of a column."""
        return self.low + (self.high - self.low) * (column + 0.5) / self.count
