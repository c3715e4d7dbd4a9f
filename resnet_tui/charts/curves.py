"""The charts of a run: which there are, and how each is made from a state."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from engine.events import Split
from engine.literature import Published, published
from resnet_tui.charts.plot import Level, Line, Mark, Plot
from resnet_tui.run.series import Bins, Series, smoothed
from resnet_tui.run.state import Change, RunState, Topic
from resnet_tui.view import View

TRAIN, VAL, TEST = "#4ea1ff", "#f5a742", "#62d26f"
"""Colours of the splits, the same on every chart."""
OTHER = "#c792ea"
_ENOUGH, _USUAL, _FAR = 20, 0.9, 3.0
"""Values from which outliers are looked for, the share that is usual, and how far above it is far."""
_OF_SPLIT: dict[Split, str] = {"train": TRAIN, "val": VAL, "test": TEST}


@dataclass(frozen=True)
class Curve:
    """One chart of the run."""

    key: str
    topics: frozenset[Topic]
    build: Callable[[RunState, View], Plot]


def loss(state: RunState, view: View) -> Plot:
    """Return the loss of training, smoothed and raw, and of each evaluation."""
    lines = [*_smooth("train", state.loss, TRAIN, state, view), *_evaluations(state, view, "loss")]
    plot = _plot("loss", lines, state, view, log_y=view.log)
    return plot if view.log else _without_outliers(plot)


def accuracy(state: RunState, view: View) -> Plot:
    """Return the accuracy of training and of each evaluation, with the published one as a line."""
    lines = [*_smooth("train", state.accuracy, TRAIN, state, view), *_evaluations(state, view, "accuracy")]
    known = known_accuracy(state)
    levels = (Level(known.accuracy, f"{known.source} {known.accuracy:.2%}"),) if known else ()
    return _plot("accuracy", lines, state, view, percent=True, levels=levels)


def known_accuracy(state: RunState) -> Published | None:
    """Return what is published of the run's network on its data."""
    config = state.summary.config
    return published(config.model, state.summary.classes) if config is not None else None


def rate(state: RunState, view: View) -> Plot:
    """Return the learning rate."""
    return _plot("learning rate", [_raw("now", state.rate, VAL, state, view)], state, view, log_y=view.log)


def speed(state: RunState, view: View) -> Plot:
    """Return the images a second of training."""
    return _plot("images/s", [_raw("now", state.speed, OTHER, state, view)], state, view)


def total_norm(state: RunState, view: View) -> Plot:
    """Return the norm of the whole gradient."""
    lines = list(_smooth("total", state.total_norm, TEST, state, view))
    return _plot("gradient norm", lines, state, view, log_y=True)


def part_norm(state: RunState, view: View, part: int) -> Plot:
    """Return the gradient norm of one part of the network."""
    history = state.gradients
    xs = _axis(history.steps, history.seconds, state, view)
    norms = history.history(part)
    line = Line(name="norm", xs=xs, lows=norms, highs=norms, colour=TEST)
    return _plot(f"gradient {history.parts[part]}", [line], state, view, log_y=True)


def _use(name: str, title: str, scale: float) -> Callable[[RunState, View], Plot]:
    def build(state: RunState, view: View) -> Plot:
        line = _raw("now", state.use[name], OTHER, state, view)
        scaled = Line(
            name=line.name,
            xs=line.xs,
            lows=[value * scale for value in line.lows],
            highs=[value * scale for value in line.highs],
            colour=line.colour,
        )
        return _plot(title, [scaled], state, view)

    return build


FIXED: tuple[Curve, ...] = (
    Curve("loss", frozenset({"steps", "evaluations", "marks"}), loss),
    Curve("accuracy", frozenset({"steps", "evaluations", "marks"}), accuracy),
    Curve("learning rate", frozenset({"steps", "marks"}), rate),
    Curve("images/s", frozenset({"steps", "marks"}), speed),
    Curve("gradient norm", frozenset({"gradients", "marks"}), total_norm),
    Curve("process cpu %", frozenset({"system"}), _use("cpu_percent", "process cpu %", 1)),
    Curve("process memory GiB", frozenset({"system"}), _use("memory_bytes", "process memory GiB", 2**-30)),
    Curve("host cpu %", frozenset({"system"}), _use("host_cpu_percent", "host cpu %", 1)),
)
_OF_DEVICE: tuple[tuple[str, Curve], ...] = tuple(
    (name, Curve(title, frozenset({"system"}), _use(name, title, scale)))
    for name, title, scale in (
        ("device_percent", "device use %", 1),
        ("device_memory_bytes", "device memory GiB", 2**-30),
        ("device_watts", "device W", 1),
        ("device_celsius", "device °C", 1),
    )
)


def curves(state: RunState) -> list[Curve]:
    """Return every chart that the run has: those of all runs, of its device, and one a part of its network."""
    device = [curve for name, curve in _OF_DEVICE if len(state.use[name])]
    return [*FIXED, *device, *(_of_part(i, part) for i, part in enumerate(state.gradients.parts))]


def _of_part(index: int, part: str) -> Curve:
    def build(state: RunState, view: View) -> Plot:
        return part_norm(state, view, index)

    return Curve(f"gradient {part}", frozenset({"gradients", "marks"}), build)


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
        marks=tuple(Mark(_at(change, state, view), change.text) for change in state.changes),
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
    values = sorted(y for line in plot.lines for x, y in zip(line.xs, line.highs, strict=True) if low <= x <= high)
    if len(values) < _ENOUGH or values[-1] <= _FAR * (usual := values[int(_USUAL * len(values))]):
        return plot
    top = usual * _FAR / 2
    above = sum(value > top for value in values)
    return replace(plot, title=f"{plot.title} ({above} above, to {values[-1]:.3g})", y_range=(0.0, top))


def _smooth(name: str, series: Series, colour: str, state: RunState, view: View) -> Iterator[Line]:
    """Yield the raw values, dim, and their moving average; only the values where nothing is smoothed."""
    bins = _bins(series, state, view)
    if not view.smoothing:
        yield Line(name=name, xs=bins.xs, lows=bins.lows, highs=bins.highs, colour=colour)
        return
    yield Line(name="", xs=bins.xs, lows=bins.lows, highs=bins.highs, colour=colour, dim=True)
    average = smoothed(bins.means, view.smoothing)
    yield Line(name=name, xs=bins.xs, lows=average, highs=average, colour=colour)


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


def _axis(steps: Sequence[float], seconds: Sequence[float], state: RunState, view: View) -> Sequence[float]:
    if view.axis == "time":
        return seconds
    per = 1 if view.axis == "step" else max(1, state.summary.steps_per_epoch)
    return [step / per for step in steps]


def _at(change: Change, state: RunState, view: View) -> float:
    return _axis([change.step], [change.seconds], state, view)[0]
