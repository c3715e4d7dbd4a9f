"""The charts of a run: which there are, and how each is made from a state."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import NamedTuple

from engine.events import Split
from engine.literature import Published, published
from resnet_tui.charts.colours import NORM, OTHER, RATE, TEST, TRAIN, VAL
from resnet_tui.charts.plot import Level, Line, Mark, Plot
from resnet_tui.run.series import Bins, Series, smoothed
from resnet_tui.run.state import RunState
from resnet_tui.view import View

_ENOUGH, _USUAL, _FAR = 20, 0.9, 3.0
"""Values from which outliers are looked for, the share that is usual, and how far above it is far."""
_SHORTER = {
    "set learning rate": "rate",
    "stop after epoch": "last epoch",
    "stop now": "stop",
    "extend epochs": "epochs +",
    "checkpoint now": "saved",
    "evaluate now": "evaluated",
}
"""What was asked for, for charts."""
_OF_SPLIT: dict[Split, str] = {"train": TRAIN, "val": VAL, "test": TEST}


@dataclass(frozen=True)
class Curve:
    """One chart of the run."""

    key: str
    """Its name, by which it is found."""
    build: Callable[[RunState, View], Plot]


def loss(state: RunState, view: View) -> Plot:
    """Return the loss of training, smoothed and raw, and of each evaluation."""
    lines = [*_smooth("train", state.loss, TRAIN, state, view), *_evaluations(state, view, "loss")]
    plot = with_words(_plot("loss", lines, state, view, log_y=view.log), state, view)
    return plot if view.log else _without_outliers(plot)


def accuracy(state: RunState, view: View) -> Plot:
    """Return the accuracy of training and of each evaluation, with the published one as a line."""
    lines = [*_smooth("train", state.accuracy, TRAIN, state, view), *_evaluations(state, view, "accuracy")]
    known = known_accuracy(state)
    levels = (Level(known.accuracy, known.source),) if known else ()
    return _plot("accuracy", lines, state, view, percent=True, levels=levels)


def known_accuracy(state: RunState) -> Published | None:
    """Return what is published of the run's network on its data."""
    config = state.summary.config
    return published(config.model, state.summary.classes) if config is not None else None


def rate(state: RunState, view: View) -> Plot:
    """Return the learning rate."""
    return _plot("learning rate", [_raw("rate", state.rate, RATE, state, view)], state, view, log_y=view.log)


def speed(state: RunState, view: View) -> Plot:
    """Return the images a second of training."""
    return _plot("images/s", [_raw("now", state.speed, OTHER, state, view)], state, view)


def total_norm(state: RunState, view: View) -> Plot:
    """Return the norm of the whole gradient."""
    lines = list(_smooth("total", state.total_norm, NORM, state, view))
    return _plot("gradient norm", lines, state, view, log_y=True)


def part_norm(state: RunState, view: View, part: int) -> Plot:
    """Return the gradient norm of one part of the network."""
    history = state.gradients
    xs = axis(history.steps, history.seconds, state, view)
    norms = history.history(part)
    line = Line(name="norm", xs=xs, lows=norms, highs=norms, colour=NORM)
    return _plot(f"gradient {history.parts[part]}", [line], state, view, log_y=True)


class Use(NamedTuple):
    """How the use of something is named and written on a chart."""

    name: str
    unit: str
    scale: float = 1.0
    """Of a recorded value to one in this unit."""


USE = {
    "cpu_percent": Use("run processor", "%"),
    "memory_bytes": Use("run memory", "GiB", 2**-30),
    "host_cpu_percent": Use("host processor", "%"),
    "host_memory_bytes": Use("host memory", "GiB", 2**-30),
    "device_percent": Use("device use", "%"),
    "device_memory_bytes": Use("device memory", "GiB", 2**-30),
    "device_watts": Use("device power", "W"),
    "device_celsius": Use("device heat", "°C"),
}
"""What is recorded of host and device."""


def _of_use(field: str) -> Curve:
    name, unit, scale = USE[field]
    title = f"{name} {unit}"

    def build(state: RunState, view: View) -> Plot:
        line = _raw("now", state.use[field], OTHER, state, view)
        lows, highs = ([value * scale for value in values] for values in (line.lows, line.highs))
        return _plot(title, [replace(line, lows=lows, highs=highs)], state, view)

    return Curve(title, build)


_FIXED = (
    Curve("loss", loss),
    Curve("accuracy", accuracy),
    Curve("learning rate", rate),
    Curve("images/s", speed),
    Curve("gradient norm", total_norm),
)


def curves(state: RunState) -> list[Curve]:
    """Return every chart that the run has: those of all runs, of what it uses, and one a part of its network."""
    used = [_of_use(field) for field in USE if len(state.use[field])]
    return [*_FIXED, *used, *(_of_part(i, part) for i, part in enumerate(state.gradients.parts))]


def _of_part(index: int, part: str) -> Curve:
    def build(state: RunState, view: View) -> Plot:
        return part_norm(state, view, index)

    return Curve(f"gradient {part}", build)


def whole(state: RunState, view: View) -> tuple[float, float]:
    """Return the ends of the view's axis: from the start to now."""
    step, seconds = state.span
    end = {"step": float(step), "epoch": step / max(1, state.summary.steps_per_epoch), "time": seconds}[view.axis]
    return 0.0, end


def _plot(
    title: str,
    lines: Sequence[Line],
    state: RunState,
    view: View,
    *,
    log_y: bool = False,
    percent: bool = False,
    levels: tuple[Level, ...] = (),
) -> Plot:
    return Plot(
        title=title,
        lines=tuple(lines),
        marks=tuple(Mark(mark.x) for mark in marks(state, view)),
        levels=levels,
        x_range=view.window or whole(state, view),
        log_y=log_y,
        percent=percent,
        x_kind=view.axis,
        cursor=view.cursor,
    )


def _without_outliers(plot: Plot) -> Plot:
    """Let a few values far above all others leave the chart, which says so, rather than flatten the rest."""
    low, high = plot.x_range or (-math.inf, math.inf)
    values = sorted(
        chain.from_iterable(
            line.highs[bisect_left(line.xs, low) : bisect_right(line.xs, high)] for line in plot.lines
        )
    )
    if len(values) < _ENOUGH or values[-1] <= _FAR * (usual := values[int(_USUAL * len(values))]):
        return plot
    top = usual * _FAR / 2
    above = sum(value > top for value in values)
    return replace(plot, title=f"{plot.title} ({above} above, to {values[-1]:.3g})", y_range=(0.0, top))


def _smooth(name: str, series: Series, colour: str, state: RunState, view: View) -> Iterator[Line]:
    """Yield the moving average and the raw values, dim; only the values where nothing is smoothed."""
    bins = _bins(series, state, view)
    if not view.smoothing:
        yield Line(name=name, xs=bins.xs, lows=bins.lows, highs=bins.highs, colour=colour)
        return
    xs, average = tuple(bins.xs), tuple(smoothed(bins.means, view.smoothing))
    yield Line(name=name, xs=xs, lows=average, highs=average, colour=colour)
    yield Line(name="raw", xs=xs, lows=bins.lows, highs=bins.highs, colour=colour, dim=True)


def _raw(name: str, series: Series, colour: str, state: RunState, view: View) -> Line:
    bins = _bins(series, state, view)
    return Line(name=name, xs=bins.xs, lows=bins.lows, highs=bins.highs, colour=colour)


def _evaluations(state: RunState, view: View, what: str) -> Iterator[Line]:
    for split, scores in state.scores.items():
        bins = _bins(scores.loss if what == "loss" else scores.accuracy, state, view)
        yield Line(name=split, xs=bins.xs, lows=bins.lows, highs=bins.highs, colour=_OF_SPLIT[split], points=True)


def _bins(series: Series, state: RunState, view: View) -> Bins:
    if view.axis == "time":
        return series.by_time()
    return series.by_step() if view.axis == "step" else series.by_epoch(state.summary.steps_per_epoch)


def axis(steps: Sequence[float], seconds: Sequence[float], state: RunState, view: View) -> Sequence[float]:
    """Return places on the view's axis."""
    if view.axis == "time":
        return seconds
    per = 1 if view.axis == "step" else max(1, state.summary.steps_per_epoch)
    return [step / per for step in steps]


def marks(state: RunState, view: View) -> tuple[Mark, ...]:
    """Return what was changed, in few words, on the view's axis."""
    changes = state.changes
    xs = axis([change.step for change in changes], [change.seconds for change in changes], state, view)
    return tuple(Mark(x, _few_words(change.text)) for x, change in zip(xs, changes, strict=True))


def with_words(plot: Plot, state: RunState, view: View) -> Plot:
    """Return a chart that says what was changed: of the charts of a page, which all have the marks, one is enough."""
    return replace(plot, marks=marks(state, view))


def _few_words(change: str) -> str:
    long = next((long for long in _SHORTER if change.startswith(long)), "")
    return f"{_SHORTER[long]}{change.removeprefix(long)}" if long else change
