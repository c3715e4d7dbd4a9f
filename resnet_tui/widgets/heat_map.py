"""Gradient norms of the parts of a network over a run, as a picture: parts from top to bottom, time across."""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, TypeAlias

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from resnet_tui.charts import curves, heat_grid, norms
from resnet_tui.charts.axes import Span, x_ticks, x_words
from resnet_tui.charts.heat_grid import Bands, TimeColumns
from resnet_tui.charts.heat_scale import Palette, Scale, legend, palette
from resnet_tui.panel import Panel
from resnet_tui.run.state import RunState
from resnet_tui.view import View
from resnet_tui.widgets.chart import Chart

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

        def __init__(self, part: int) -> None:
            super().__init__()
            self.part = part

    CursorMoved: TypeAlias = Chart.CursorMoved

    def __init__(self, *, facts: bool = True) -> None:
        """Say in the title which norms are smallest and largest where ``facts`` is true."""
        super().__init__()
        self._facts = facts
        self._shown: tuple[RunState, View] | None = None
        self._norms: norms.Norms | None = None
        self._selected: int | None = None
        self._pointed: tuple[int, float] | None = None
        """Part and place on the axis that the mouse is at."""
        self._named = True
        self._strips: list[Strip] = []
        self._drawn_for: Size | None = None
        self._levels: list[tuple[array[float], list[int]]] = []
        self._levels_for: tuple[Bands, Scale, int] | None = None

    def show(self, state: RunState, view: View, found: norms.Norms | None = None) -> None:
        """Draw the history of ``state`` within the window of ``view``; ``found`` are its norms, if known already."""
        self._shown, self._norms = (state, view), found or norms.norms(state, view)
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
        bands = self._bands()
        return bands.each if bands is not None and bands.own else 0

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
        bands = self._bands()
        if bands is None or self._shown is None:
            absence = norms.absence(self._shown[0]) if self._shown and self._facts else ""
            lines.append([Segment(absence, self._style("muted"))])
        else:
            lines += self._picture(bands, *self._shown)
        return [Strip(line).adjust_cell_length(width) for line in lines[:height]]

    def _title(self) -> list[Segment]:
        title, muted = Segment("gradient norms", self._style("title")), self._style("muted")
        if self._shown is None or self._norms is None or norms.absence(self._shown[0]):
            return [title]
        if self._pointed is not None and self._pointed[0] < len(self._shown[0].gradients.parts):
            return [title, Segment("  "), Segment(self._reading(*self._pointed), self._style("selected"))]
        for words in (title.text, "gradients") if self._facts else ():
            if facts := self._norms.facts_within(self.content_size.width - len(words)):
                return [Segment(words, title.style), Segment(facts, muted)]
        return [title]

    def _reading(self, part: int, x: float) -> str:
        assert self._shown is not None
        state, view = self._shown
        history = state.gradients
        column = bisect_right(curves.axis(history.steps, history.seconds, state, view), x) - 1
        value = norms.number(history.at(column)[part]) if column >= 0 else "-"
        return f"{norms.name(history.parts[part])} {value} at {x_words(x, view.axis)}"

    def _bands(self) -> Bands | None:
        height = self.content_size.height - _EDGE
        if self._shown is None or height < 1 or norms.absence(self._shown[0]):
            return None
        return heat_grid.bands(len(self._shown[0].gradients.parts), height, halves=not palette(self.app).ramp)

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

    def _picture(self, bands: Bands, state: RunState, view: View) -> Iterator[list[Segment]]:
        gutter, history, colours = self._gutter(), state.gradients, palette(self.app)
        across = TimeColumns(*norms.ends(state, view), max(1, self.content_size.width - gutter))
        scale = Scale.holding(*history.spread())
        of_readings = self._levels_of(history.columns, bands, scale, colours.levels)
        nothing = [-2] * len(bands.ranges)
        cells = [
            heat_grid.merged(of_readings[shown.start : shown.stop]) if shown else nothing
            for shown in across.readings(curves.axis(history.steps, history.seconds, state, view))
        ]
        cursor = across.of(view.cursor)
        names = self._names(bands, history.parts, gutter)
        levels = list(zip(*cells, strict=True))
        for row in range(bands.height):
            yield [*names(row), *self._row(levels, bands, row, colours, cursor)]
        pad = Segment(" " * gutter)
        marks = [across.of(mark.x) for mark in curves.marks(state, view)]
        yield [pad, *self._axis(across, view, marks, cursor)]
        yield [pad, *legend(scale, colours, across.count - len(view.axis) - 2, self._style("muted"))]

    def _levels_of(
        self, columns: Sequence["array[float]"], bands: Bands, scale: Scale, count: int
    ) -> list[list[int]]:
        """Return the level of each band in each reading; those already known are not worked out again."""
        if (bands, scale, count) != self._levels_for:
            self._levels_for, self._levels = (bands, scale, count), []
        known = self._levels
        kept = 0
        while kept < min(len(known), len(columns)) and known[kept][0] is columns[kept]:
            kept += 1
        del known[kept:]
        ends = [(band.start, band.stop, len(band)) for band in bands.ranges]
        for column in columns[kept:]:
            values = (column[a] if n == 1 else sum(column[a:b]) / n for a, b, n in ends)
            known.append((column, [scale.level(value, count) for value in values]))
        return [levels for _, levels in known]

    def _row(
        self, levels: Sequence[Sequence[int]], bands: Bands, row: int, colours: Palette, cursor: int | None
    ) -> Iterator[Segment]:
        """Yield the cells of a row, equal neighbours in one segment."""
        first = row * 2 if bands.halves else row // bands.each
        upper = levels[first]
        lower = levels[first + 1] if bands.halves and first + 1 < len(levels) else upper
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

    def _names(self, bands: Bands, parts: Sequence[str], gutter: int) -> Callable[[int], list[Segment]]:
        """Return what stands before each row: its part's name, or a stage's at the row where it begins."""
        wanted = self._row_names(bands, parts) if self._named and gutter > 2 else {}
        selected = None
        if self._selected is not None and self._selected < len(parts):
            selected = bands.row(self._selected)
            if gutter > 2:
                wanted[selected] = self._label(parts[self._selected])
        flagged = self._flagged(bands, parts)

        def before(row: int) -> list[Segment]:
            name = wanted.get(row, "")[: gutter - 2].rjust(gutter - 2)
            style = self._style("selected" if row == selected else "muted")
            mark = "▸" if row == selected else " "
            return [Segment(f"{name}{mark}", style), Segment(flagged.get(row, " "), self._style("flag"))]

        return before

    def _row_names(self, bands: Bands, parts: Sequence[str]) -> dict[int, str]:
        wanted = dict[int, str]()
        for part, name in enumerate(parts):
            stage = name.partition(".")[0]
            if bands.own:
                wanted[bands.row(part)] = self._label(name)
            elif part == 0 or stage != parts[part - 1].partition(".")[0]:
                row = bands.row(part)
                wanted[row + (row in wanted)] = stage  # below the name of one that ends in this row
        return wanted

    def _flagged(self, bands: Bands, parts: Sequence[str]) -> dict[int, str]:
        """Return the sign of what is flagged in each row, so that no part is lost among its neighbours."""
        flags = self._norms.flags if self._norms is not None and self._norms.parts == parts else ()
        return {bands.row(part): norms.GLYPHS[flag] for part, flag in enumerate(flags)
                if flag in {"vanishing", "exploding"}}  # fmt: skip

    def _axis(
        self, across: TimeColumns, view: View, marks: Sequence[int | None], cursor: int | None
    ) -> Iterator[Segment]:
        """Yield the time axis: round places, what a person changed, the cursor; its unit at the end."""
        special = {mark: "◆" for mark in marks if mark is not None} | ({} if cursor is None else {cursor: "┴"})
        line = list("─" * across.count)
        unit = f" {view.axis}"
        room = across.count - len(unit)
        if across.count < 30 or any(place >= room for place in special):
            unit, room = "", across.count
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
        self._point_at(self._place(event))

    def on_click(self, event: events.Click) -> None:
        """Choose the part there, and put the cursor there."""
        self._point_at(place := self._place(event))
        if place is not None:
            self.post_message(self.Picked(place[0]))
            self.post_message(self.CursorMoved(place[1]))

    def on_leave(self, event: events.Leave) -> None:
        """Let go of what was read."""
        if event.node is self:
            self._point_at(None)

    def _place(self, event: events.MouseEvent) -> tuple[int, float] | None:
        """Return part and place on the axis under the mouse; None beside the picture."""
        offset, bands = event.get_content_offset(self), self._bands()
        if offset is None or bands is None or self._shown is None:
            return None
        gutter = self._gutter()
        across = TimeColumns(*norms.ends(*self._shown), max(1, self.content_size.width - gutter))
        parts = bands.parts(offset.y - 1)
        inside = offset.y >= 1 and bool(parts) and offset.x >= gutter
        return (parts[0], across.middle(offset.x - gutter)) if inside else None

    def _point_at(self, pointed: tuple[int, float] | None) -> None:
        if pointed != self._pointed:
            self._pointed = pointed
            self._again()
