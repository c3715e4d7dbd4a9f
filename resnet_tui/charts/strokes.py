"""The curves of a chart, drawn by plotext: what it is given is finite, thinned to the columns and on the canvas.

plotext's time grows with the points, and it hangs on values far off its ranges. So all scaling happens here: plotext
gets positions on a canvas of known size, at most two a column.
"""

import math
import operator
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, pairwise

from resnet_tui.charts.axes import LARGEST, SMALLEST, Span

Samples = tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]
"""xs in order, lows and highs: finite, and positive for a log scale."""
Dash = tuple[float, float]
"""Length of a dash and of the gap after it, in dots."""
_MOST_DASHES = 400
"""Of a curve: plotext's time grows with them."""
_NOTHING = 1e-9


@dataclass(frozen=True)
class Canvas:
    """What curves are drawn on: its cells and the values that its edges stand for."""

    x: Span
    y: Span
    columns: int
    rows: int

    def column(self, x: float) -> int:
        """Return the column of an x within the range."""
        return min(max(int(self.x.fraction(x) * self.columns), 0), self.columns - 1)

    def row(self, y: float) -> int:
        """Return the row of a y within the range, from the top."""
        return self.rows - 1 - min(max(int(self.y.fraction(y) * self.rows), 0), self.rows - 1)

    def x_at(self, column: float) -> float:
        """Return the x in the middle of a column."""
        return self.x.low + (self.x.high - self.x.low) * min(max((column + 0.5) / self.columns, 0.0), 1.0)


def samples(xs: Sequence[float], lows: Sequence[float], highs: Sequence[float], *, log: bool) -> Samples:
    """Return what can be drawn, in order; a band that reaches below what the scale can show begins at its top."""
    floor = SMALLEST if log else -LARGEST
    fit = len(xs) == len(lows) == len(highs) and _fits(xs, -LARGEST) and _fits(lows, floor) and _fits(highs, floor)
    if fit and all(map(operator.le, xs, islice(xs, 1, None))):
        return tuple(xs), tuple(lows), tuple(highs)
    kept = [
        (x, low if floor <= low <= high else high, high)
        for x, low, high in zip(xs, lows, highs, strict=False)
        if -LARGEST <= x <= LARGEST and floor <= high <= LARGEST
    ]
    kept.sort(key=lambda sample: sample[0])
    columns = tuple(zip(*kept, strict=True))
    return (columns[0], columns[1], columns[2]) if columns else ((), (), ())


def _fits(values: Sequence[float], floor: float) -> bool:
    """Whether all can be drawn as they are; that is most often so, and told fast."""
    return not values or (floor <= min(values) and max(values) <= LARGEST and math.isfinite(sum(values)))


def visible(data: Samples, x: Span) -> slice:
    """Return which samples lie within the range of x."""
    return slice(bisect_left(data[0], x.low), bisect_right(data[0], x.high))


@lru_cache(maxsize=24)  # the curves of a screen: a moved cursor draws none of them again
def curve(data: Samples, canvas: Canvas, marker: str, *, joined: bool, dash: Dash | None = None) -> tuple[str, ...]:
    """Draw one line with plotext and return its rows, blanks where it is not.

    Args:
        data: the line's samples.
        canvas: where it is drawn.
        marker: ``braille``, or the character to draw with.
        joined: whether points are connected.
        dash: how the connection is broken up; None: not at all.
    """
    across, up = (2, 4) if marker == "braille" else (1, 1)
    dots = (canvas.columns * across, canvas.rows * up)
    points = [
        (canvas.x.fraction(x) * (dots[0] - 1) + 0.5, canvas.y.fraction(y) * (dots[1] - 1) + 0.5)
        for x, y in _thinned(data, canvas)
    ]
    if joined:
        path = _clipped(_bends(points), *dots)
        path = path if dash is None else _dashed(path, *dash)
    else:
        path = [(x, y, False) for x, y in points if 0 <= x <= dots[0] and 0 <= y <= dots[1]]
    return _plotted(path, dots, canvas, marker)


def _thinned(data: Samples, canvas: Canvas) -> list[tuple[float, float]]:
    """Return the lowest and the highest value of each column, and the nearest sample on either side of the range."""
    xs, lows, highs = data
    inside = visible(data, canvas.x)
    points: list[tuple[float, float]] = []
    if inside.start > 0:
        points.append((xs[inside.start - 1], (lows[inside.start - 1] + highs[inside.start - 1]) / 2))
    begin = inside.start
    for column in range(canvas.columns):
        edge = canvas.x.low + (canvas.x.high - canvas.x.low) * (column + 1) / canvas.columns
        end = inside.stop if column == canvas.columns - 1 else bisect_left(xs, edge, begin, inside.stop)
        if begin == end:
            continue
        low, high = min(lows[begin:end]), max(highs[begin:end])
        at_high = end - 1 if low == high else highs.index(high, begin, end)
        pair = [(xs[lows.index(low, begin, end)], low), (xs[at_high], high)]
        # In the order in which they came; a stroke straight up or down begins at the end that is nearer.
        nearer_high = bool(points) and abs(points[-1][1] - high) < abs(points[-1][1] - low)
        pair.sort(key=lambda point: (point[0], (point[1] == low) == nearer_high))
        points += pair if pair[0] != pair[1] else pair[:1]
        begin = end
    if inside.stop < len(xs):
        points.append((xs[inside.stop], (lows[inside.stop] + highs[inside.stop]) / 2))
    return points


def _bends(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points without those in the middle of a level stretch: plotext's time goes by the point."""
    heights = [int(y) for _, y in points]
    return [
        point
        for index, point in enumerate(points)
        if not (0 < index < len(points) - 1 and heights[index - 1] == heights[index] == heights[index + 1])
    ]


def _clipped(points: list[tuple[float, float]], width: int, height: int) -> list[tuple[float, float, bool]]:
    """Return the parts of a polyline on the canvas, each point with whether it is joined to the one before."""
    if len(points) == 1:
        points = points * 2
    path: list[tuple[float, float, bool]] = []
    for (x0, y0), (x1, y1) in pairwise(points):
        enter, leave = 0.0, 1.0  # the share of the segment that is on the canvas
        for start, change, size in ((x0, x1 - x0, width), (y0, y1 - y0, height)):
            if change == 0:
                if not 0 <= start <= size:
                    leave = -1.0
                continue
            ends = sorted((-start / change, (size - start) / change))
            enter, leave = max(enter, ends[0]), min(leave, ends[1])
        if enter > leave:
            continue
        first = (x0 + enter * (x1 - x0), y0 + enter * (y1 - y0))
        last = (x1, y1) if leave == 1.0 else (x0 + leave * (x1 - x0), y0 + leave * (y1 - y0))
        if not path or path[-1][:2] != first:
            path.append((*first, False))
        path.append((*last, True))
    return path


def _dashed(path: list[tuple[float, float, bool]], dash: float, gap: float) -> list[tuple[float, float, bool]]:
    """Return a path as dashes, measured along it, so that they look the same on slopes; a mere dot as it is."""
    steps = [(a, b, math.dist(a[:2], b[:2])) for a, b in pairwise(path) if b[2]]
    scale = max(1.0, sum(length for _, _, length in steps) / (dash + gap) / _MOST_DASHES)
    result: list[tuple[float, float, bool]] = []
    drawn, left = True, dash * scale
    for (x0, y0, _), (x1, y1, _), length in steps:
        done = 0.0
        while length - done > _NOTHING:
            step = min(left, length - done)
            begin, end = done / length, (done + step) / length
            if drawn:
                first = (x0 + begin * (x1 - x0), y0 + begin * (y1 - y0))
                if not result or math.dist(result[-1][:2], first) > _NOTHING:
                    result.append((*first, False))
                result.append((x0 + end * (x1 - x0), y0 + end * (y1 - y0), True))
            done, left = done + step, left - step
            if left <= _NOTHING:
                drawn = not drawn
                left = (dash if drawn else gap) * scale
    return result or path


def _plotted(
    path: list[tuple[float, float, bool]], dots: tuple[int, int], canvas: Canvas, marker: str
) -> tuple[str, ...]:
    from plotext import figure, terminal  # here, since importing it takes longer than the first screen may

    blank = " " * canvas.columns
    if not path:
        return (blank,) * canvas.rows
    terminal.limit(False, False)  # the canvas has its size whatever plotext takes the terminal's to be
    figure.clear()
    figure.plot_size(canvas.columns, canvas.rows)
    figure.axes(False)
    figure.ruler("both", "both").frequency(0)
    for axis, size in zip("xy", dots, strict=True):
        figure.ruler(axis).alignment(lim="edge")
        figure.ruler(axis).lim(0, size)
    inside = [
        (min(max(x, 0.25), dots[0] - 0.25), min(max(y, 0.25), dots[1] - 0.25)) for x, y, _ in path
    ]  # never on the edge, where rounding could push a point out
    signal = figure.signal([x for x, _ in inside], [y for _, y in inside], marker=marker)
    for index, (_, _, joined) in enumerate(path):
        signal.line(index, joined)
    figure.draw(signal)
    rows = figure.build().string(colorless=True).split("\n")
    return tuple(row.ljust(canvas.columns)[: canvas.columns] for row in rows[: canvas.rows])
