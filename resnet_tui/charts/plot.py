"""Charts as text: a title that names the lines and their values, axes, and curves that plotext draws."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from engine.text import one_line
from resnet_tui.charts.axes import Kind, Span, span, value_words, x_ticks, x_words, y_ticks
from resnet_tui.charts.grid import Grid
from resnet_tui.charts.strokes import Canvas, Dash, Samples, curve, samples, visible

_MUTED = Style(dim=True)
_LEAST = (16, 4)
"""Columns and rows below which there is no room for axes."""
_POINTS, _ASCII_POINTS = "●◆×", "o#x"
_STROKES, _ASCII_STROKES = "━╍┉", "*+~"
_DASHES: dict[str, Dash] = {"╍": (9.0, 5.0), "┉": (1.0, 3.5)}
"""Of the strokes that are not drawn through."""
_BEHIND, _ASCII_BEHIND = "─", "."


@dataclass(frozen=True)
class Line:
    """Values over an axis; a sample is a band from low to high, mostly of no height."""

    name: str
    xs: Sequence[float]
    lows: Sequence[float]
    highs: Sequence[float]
    colour: str
    """Any colour that rich knows."""
    points: bool = False
    """Markers of their own instead of a line, for example evaluations."""
    dim: bool = False
    """Stands behind the others, such as the raw values of a smoothed line; in the title only where it has a name of
    its own."""

    def __post_init__(self) -> None:
        # Copies, since what is passed may grow later and a plot has to differ from what it was.
        for name in ("xs", "lows", "highs"):
            object.__setattr__(self, name, tuple(getattr(self, name)))


@dataclass(frozen=True)
class Mark:
    """A vertical line: what a person changed."""

    x: float
    text: str = ""
    """What stands beside it where there is room, or its first word."""


@dataclass(frozen=True)
class Level:
    """A horizontal line: a published figure."""

    y: float
    name: str


@dataclass(frozen=True)
class Plot:
    """Everything that a chart shows; equal plots look the same."""

    title: str
    lines: tuple[Line, ...] = ()
    marks: tuple[Mark, ...] = ()
    levels: tuple[Level, ...] = ()
    x_range: tuple[float, float] | None = None
    """None: from the first to the last sample."""
    y_range: tuple[float, float] | None = None
    """None: what holds the samples within ``x_range`` and the levels."""
    log_y: bool = False
    percent: bool = False
    """Whether values are fractions, written as per cent."""
    x_kind: Kind = "step"
    """The unit of the axis; time in seconds, learning rates as their logarithm to base 10."""
    cursor: float | None = None
    """Where values are read."""


@dataclass(frozen=True)
class Drawing:
    """A drawn chart."""

    strips: list[Strip]
    """A strip a row, all of the chart's width."""
    canvas: Canvas | None = None
    """Where the curves are; None where there are none."""
    left: int = 0
    """Columns before the canvas."""


def readings(plot: Plot, x: float) -> list[tuple[str, float]]:
    """Return the value of each line at ``x``: its last sample at or before; lines that begin later are left out."""
    found = []
    for line in plot.lines:
        data = samples(line.xs, line.lows, line.highs, log=False)
        upto = visible(data, Span(float("-inf"), x)).stop
        if upto:
            found.append((line.name, (data[1][upto - 1] + data[2][upto - 1]) / 2))
    return found


def draw(
    plot: Plot,
    width: int,
    height: int,
    *,
    read_at: float | None = None,
    ascii_only: bool = False,
    focused: bool = False,
) -> Drawing:
    """Draw a chart of ``width`` by ``height`` cells; where that is too little for axes, without them.

    Args:
        plot: what it shows.
        width: columns.
        height: rows.
        read_at: where the title reads values; None: at the plot's cursor, or the last ones.
        ascii_only: whether to draw with nothing but ASCII.
        focused: whether the title shows that keys go here.
    """
    if width < 1 or height < 1:
        return Drawing([])
    data = [samples(line.xs, line.lows, line.highs, log=plot.log_y) for line in plot.lines]
    drawable = [(line, kept) for line, kept in zip(plot.lines, data, strict=True) if kept[0]]
    read_at = plot.cursor if read_at is None else read_at
    title = _title(plot, drawable, width, read_at, ascii_only=ascii_only, focused=focused)
    if not drawable or height == 1:
        note = [] if drawable else [Strip([Segment("no data yet", _MUTED)])]
        strips = [title, *note, *[Strip.blank(width)] * height][:height]
        return Drawing([strip.adjust_cell_length(width) for strip in strips])
    return _chart(plot, drawable, title, width, height, ascii_only=ascii_only)


def _chart(
    plot: Plot,
    drawable: list[tuple[Line, Samples]],
    title: Strip,
    width: int,
    height: int,
    *,
    ascii_only: bool,
) -> Drawing:
    x, y = _ranges(plot, [kept for _, kept in drawable])
    axes = width >= _LEAST[0] and height >= _LEAST[1]
    rows = height - 2 if axes else height - 1
    ticks = y_ticks(y, max(1, min(8, (rows + 1) // 2)), percent=plot.percent) if axes else []
    gutter = max(len(label) for _, label in ticks) + 1 if ticks else 0
    canvas = Canvas(x, y, width - gutter, rows)
    grid = Grid(canvas.columns, rows)
    _draw_guides(grid, canvas, plot, ascii_only=ascii_only)
    for line, kept in sorted(drawable, key=lambda entry: (not entry[0].dim, entry[0].points)):
        glyph = _glyph(plot, line, ascii_only=ascii_only)
        marker = glyph if line.points or ascii_only else "braille"
        drawn = curve(kept, canvas, marker, joined=not line.points, dash=_DASHES.get(glyph))
        grid.lay(drawn, Style(color=line.colour, dim=line.dim), merge=not (line.dim or line.points))
    _draw_labels(grid, canvas, plot)
    labels = {canvas.row(value): label for value, label in ticks}
    strips = [title]
    for row, segments in enumerate(grid.rows()):
        edge = ("+" if row in labels else "|") if ascii_only else ("┤" if row in labels else "│")
        head = [Segment(labels.get(row, "").rjust(gutter - 1) + edge, _MUTED)] if gutter else []
        strips.append(Strip([*head, *segments], width))
    if axes:
        strips.append(Strip([Segment(" " * gutter + _x_labels(canvas, plot.x_kind), _MUTED)], width))
    return Drawing(strips, canvas, gutter)


def _ranges(plot: Plot, data: list[Samples]) -> tuple[Span, Span]:
    x = span(plot.x_range, (end for kept in data for end in (kept[0][0], kept[0][-1])))
    ends = [
        end
        for kept in data
        if kept[0][inside := visible(kept, x)]
        for end in (min(kept[1][inside]), max(kept[2][inside]))
    ]
    levels = samples(*[[level.y for level in plot.levels]] * 3, log=plot.log_y)[0]
    return x, span(plot.y_range, [*ends, *levels], log=plot.log_y, pad=0.05)


def _glyph(plot: Plot, line: Line, *, ascii_only: bool) -> str:
    """Return what tells a line apart without its colour."""
    if line.dim:
        return _ASCII_BEHIND if ascii_only else _BEHIND
    peers = [other for other in plot.lines if other.points == line.points and not other.dim]
    glyphs = (_ASCII_POINTS if ascii_only else _POINTS) if line.points else None
    glyphs = glyphs or (_ASCII_STROKES if ascii_only else _STROKES)
    return glyphs[peers.index(line) % len(glyphs)]


class _Entry(NamedTuple):
    """A line in the title."""

    line: Line
    glyph: str
    value: str


_Way = tuple[str, str | None]
"""How to write an entry: a format of its glyph and name, and what stands before the value; None: no value."""
_FULL: _Way = ("  {} {}", " ")
_TIGHT: _Way = (" {}{}", " ")
_SHORT: _Way = (" {}", "")
_NAMES: _Way = (" {}{}", None)


def _legend(entries: Sequence[_Entry], front: _Way, behind: _Way | None = None) -> list[Segment]:
    """Write the lines of the front in one way, those behind in another, or not at all."""
    segments = []
    for line, glyph, value in entries:
        if (way := behind if line.dim else front) is not None:
            name = Segment(way[0].format(glyph, one_line(line.name)), Style(color=line.colour, dim=line.dim))
            segments += [name] if way[1] is None else [name, Segment(f"{way[1]}{value}")]
    return segments


def _title(
    plot: Plot,
    drawable: list[tuple[Line, Samples]],
    width: int,
    read_at: float | None,
    *,
    ascii_only: bool,
    focused: bool,
) -> Strip:
    """Write the title, where values are read, and each line's name and value; as much of it as fits."""
    name = Segment(one_line(plot.title), Style(bold=True, reverse=focused))
    in_front = {line.name for line, _ in drawable if not line.dim}
    values = dict(readings(plot, read_at)) if read_at is not None else {}
    place = [] if read_at is None else [Segment(f" {x_words(read_at, plot.x_kind)}", _MUTED)]
    entries = []
    for line, kept in drawable:
        if line.dim and in_front and line.name in {"", *in_front}:
            continue
        value = values.get(line.name) if read_at is not None else (kept[1][-1] + kept[2][-1]) / 2
        text = "-" if value is None else value_words(value, percent=plot.percent)
        entries.append(_Entry(line, _glyph(plot, line, ascii_only=ascii_only), text))
    ways = ((_FULL, _FULL), (_TIGHT, _TIGHT), (_TIGHT, _SHORT), (_TIGHT, None))
    named = [_legend(entries, front, behind) for front, behind in ways]
    few = _legend(entries, _SHORT)
    for segments in (
        *([name, *place, *legend] for legend in named),
        *([name, *legend] for legend in named),
        [name, *place, *_legend(entries, _SHORT, _SHORT)],
        [name, *_legend(entries, _SHORT, _SHORT)],
        [name, *few],
        [name, *_legend(entries, _NAMES)],
        few,
        few[:2],
        few[1:2],
    ):
        strip = Strip(segments)
        if segments and strip.cell_length <= width:
            return strip.adjust_cell_length(width)
    return Strip([name]).adjust_cell_length(width)


def _draw_guides(grid: Grid, canvas: Canvas, plot: Plot, *, ascii_only: bool) -> None:
    """Draw levels, marks and the cursor, behind the curves."""
    for level in plot.levels:
        if canvas.y.holds(level.y):
            for column in range(canvas.columns):
                grid.put(column, canvas.row(level.y), "-" if ascii_only else "╌", _MUTED)
    uprights = [(mark.x, ":" if ascii_only else "┊", _MUTED) for mark in plot.marks]
    if plot.cursor is not None:
        uprights.append((plot.cursor, "|" if ascii_only else "│", Style(bold=True)))
    for x, glyph, style in uprights:
        if canvas.x.holds(x):
            for row in range(canvas.rows):
                grid.put(canvas.column(x), row, glyph, style)


def _draw_labels(grid: Grid, canvas: Canvas, plot: Plot) -> None:
    """Name levels and marks wherever the curves leave room."""
    for level in plot.levels:
        if not canvas.y.holds(level.y):
            continue
        name, value = f" {one_line(level.name)} ", f"{value_words(level.y, percent=plot.percent)} "
        starts = [(text, start) for text in (name + value, name) for start in (0, canvas.columns - len(text))]
        any(grid.write(start, canvas.row(level.y), text, _MUTED, over_guides=True) for text, start in starts)
    for mark in reversed(plot.marks):  # where there is no room for all, the latest
        if mark.text and canvas.x.holds(mark.x):
            _name_mark(grid, canvas, mark)


def _name_mark(grid: Grid, canvas: Canvas, mark: Mark) -> None:
    """Write the mark's words, or the first of them, beside its line as far up as there is room."""
    text, column = one_line(mark.text), canvas.column(mark.x)
    any(
        grid.write(start, row, words, Style(italic=True))
        for words in dict.fromkeys((text, text.partition(" ")[0]))
        for row in range(canvas.rows)
        for start in (column + 1, column - len(words))
    )


def _x_labels(canvas: Canvas, kind: Kind) -> str:
    """Write the labels of the lower axis on one row, its unit at the end where there is room."""
    row = ""
    for value, label in x_ticks(canvas.x, max(1, canvas.columns // 10), kind):
        start = min(max(0, canvas.column(value) - len(label) // 2), canvas.columns - len(label))
        if start >= len(row) + bool(row) and start >= 0:
            row = row.ljust(start) + label
    unit = f"  {kind}"
    if len(row) + len(unit) <= canvas.columns:
        row = row.ljust(canvas.columns - len(unit)) + unit
    return row.ljust(canvas.columns)
