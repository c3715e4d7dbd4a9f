"""Charts as SVG: the same plots that the terminal shows, drawn for a page. Colours are classes, set by its style."""

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

from engine.text import one_line
from resnet_tui.charts.axes import LARGEST, SMALLEST, Span, span, value_words, x_ticks, y_ticks
from resnet_tui.charts.colours import NORM
from resnet_tui.charts.comparison import COLOURS
from resnet_tui.charts.plot import Line, Plot

WIDTH, HEIGHT = 560, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 12, 30, 40
_CLASSES = {colour: f"c{number}" for number, colour in enumerate((*COLOURS, NORM))}
_DASHES = 4
"""Ways to draw a line, so that neighbours are told apart without colour."""
_MOST_POINTS = 400
"""Of a line; of more, neighbours become one."""
_MOST_DOTS = 60
"""Of a line with dots; of more only every so many has one."""


class _Point(NamedTuple):
    x: float
    low: float
    high: float


class _Area(NamedTuple):
    """The axes, and where they lie on the picture."""

    x: Span
    y: Span

    def across(self, x: float) -> float:
        return _LEFT + self.x.fraction(x) * (WIDTH - _LEFT - _RIGHT)

    def down(self, y: float) -> float:
        return HEIGHT - _BOTTOM - min(max(self.y.fraction(y), 0.0), 1.0) * (HEIGHT - _TOP - _BOTTOM)


def svg(plot: Plot, name: str) -> str:
    """Draw ``plot``; ``name`` is unlike that of every other picture of the page."""
    drawn = [(line, points) for line in plot.lines if (points := _points(line, plot))]
    area = _area(plot, drawn)
    parts = [*_grid(plot, area), *_guides(plot, area)]
    for line, points in sorted(drawn, key=lambda pair: not pair[0].dim):
        parts += _curve(line, points, area, f"{_colour(line)} d{_dash(plot, line)}")
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{name}t {name}d">'
        f'<title id="{name}t">{_safe(plot.title)} over {plot.x_kind}</title>'
        f'<desc id="{name}d">{_safe(_described(plot, drawn))}</desc>'
        f"{''.join(parts)}{''.join(_legend(plot, drawn))}</svg>"
    )


def _points(line: Line, plot: Plot) -> list[_Point]:
    """Return the samples that can be drawn, at most ``_MOST_POINTS``."""
    floor = SMALLEST if plot.log_y else -LARGEST
    low_x, high_x = plot.x_range or (-math.inf, math.inf)
    known = [
        _Point(x, low, high)
        for x, low, high in zip(line.xs, line.lows, line.highs, strict=True)
        if math.isfinite(x) and low_x <= x <= high_x and floor <= low <= high <= LARGEST
    ]
    stride = -(-len(known) // _MOST_POINTS) or 1
    groups = (known[start : start + stride] for start in range(0, len(known), stride))
    if line.dim:
        return [_Point(g[-1].x, min(p.low for p in g), max(p.high for p in g)) for g in groups]
    return [_Point(g[-1].x, mean := math.fsum((p.low + p.high) / 2 for p in g) / len(g), mean) for g in groups]


def _area(plot: Plot, drawn: Sequence[tuple[Line, Sequence[_Point]]]) -> _Area:
    ends = [end for _, points in drawn for point in points for end in (point.low, point.high)]
    ends += [level.y for level in plot.levels]
    places = [point.x for _, points in drawn for point in points]
    return _Area(span(plot.x_range, places), span(plot.y_range, ends, log=plot.log_y, pad=0.05))


def _grid(plot: Plot, area: _Area) -> Iterator[str]:
    """Yield axes, their ticks and what these say."""
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    for value, label in y_ticks(area.y, 6, percent=plot.percent):
        y = area.down(value)
        yield f'<path class="grid" d="M{_LEFT} {y:.1f}H{right}"/>'
        yield f'<text class="end" x="{_LEFT - 8}" y="{y + 4:.1f}">{_safe(label)}</text>'
    for value, label in x_ticks(area.x, 8, plot.x_kind):
        x = area.across(value)
        yield f'<path class="axis" d="M{x:.1f} {bottom}v5"/>'
        yield f'<text class="middle" x="{x:.1f}" y="{bottom + 18}">{_safe(label)}</text>'
    yield f'<path class="axis" d="M{_LEFT} {_TOP}V{bottom}H{right}"/>'
    yield f'<text class="end" x="{right}" y="{HEIGHT - 6}">{plot.x_kind}</text>'


def _guides(plot: Plot, area: _Area) -> Iterator[str]:
    """Yield what is published, and what was changed."""
    for level in plot.levels:
        y, text = area.down(level.y), f"{level.name} {value_words(level.y, percent=plot.percent)}"
        yield f'<path class="guide" d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"/>'
        yield f'<text class="small" x="{_LEFT + 6}" y="{y - 5:.1f}">{_safe(text)}</text>'
    for mark in plot.marks:
        if area.x.holds(mark.x):
            drawn = f'class="guide" d="M{area.across(mark.x):.1f} {_TOP}V{HEIGHT - _BOTTOM}"'
            yield f"<path {drawn}><title>{_safe(mark.text)}</title></path>" if mark.text else f"<path {drawn}/>"


def _curve(line: Line, points: Sequence[_Point], area: _Area, look: str) -> Iterator[str]:
    """Yield a line, behind it the band of what it holds, on it its dots."""
    xs = [f"{area.across(point.x):.1f}" for point in points]
    highs, lows = ([f"{area.down(getattr(point, end)):.1f}" for point in points] for end in ("high", "low"))
    if highs != lows:
        there, back = zip(xs, highs, strict=True), zip(reversed(xs), reversed(lows), strict=True)
        yield f'<path class="band {look}" d="M{"L".join(f"{x} {y}" for x, y in (*there, *back))}Z"/>'
    else:
        joined = "L".join(f"{x} {y}" for x, y in zip(xs, highs, strict=True))
        yield f'<path class="line {"faint " if line.dim else ""}{look}" d="M{joined}"/>'
    if line.points or len(points) == 1:
        stride = -(-len(points) // _MOST_DOTS)
        for x, y in list(zip(xs, highs, strict=True))[::-1][::stride]:
            yield f'<circle class="dot {look}" cx="{x}" cy="{y}" r="2.6"/>'


def _named(drawn: Sequence[tuple[Line, Sequence[_Point]]]) -> dict[str, tuple[Line, Sequence[_Point]]]:
    """Return the lines by their names; of two of a name, as a run's behind its dots, the first."""
    named: dict[str, tuple[Line, Sequence[_Point]]] = {}
    for line, points in drawn:
        if not line.dim or line.name.isdecimal():
            named.setdefault(line.name, (line, points))
    return named


def _described(plot: Plot, drawn: Sequence[tuple[Line, Sequence[_Point]]]) -> str:
    """Say in words where every line begins and ends."""
    return "; ".join(
        f"{name} from {value_words(points[0].high, percent=plot.percent)} "
        f"to {value_words(points[-1].high, percent=plot.percent)}"
        for name, (_, points) in _named(drawn).items()
    )


def _legend(plot: Plot, drawn: Sequence[tuple[Line, Sequence[_Point]]]) -> Iterator[str]:
    named = _named(drawn)
    x = _LEFT
    for name, (line, _) in named.items() if len(named) > 1 else ():
        look = f"{_colour(line)} d{_dash(plot, line)}"
        yield f'<path class="line {look}" d="M{x} 14h26"/>'
        if line.points:
            yield f'<circle class="dot {look}" cx="{x + 13}" cy="14" r="2.6"/>'
        yield f'<text x="{x + 32}" y="18">{_safe(name)}</text>'
        x += 52 + 7 * len(name)


def _colour(line: Line) -> str:
    return _CLASSES.get(line.colour, "c")


def _dash(plot: Plot, line: Line) -> int:
    """Return how a line is dashed: all of a name alike."""
    names = list(dict.fromkeys(other.name for other in plot.lines if not other.dim or other.name.isdecimal()))
    return names.index(line.name) % _DASHES if line.name in names else 0


def _safe(text: str) -> str:
    return escape(one_line(text))
