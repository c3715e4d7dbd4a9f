"""Several runs on the same axes, their figures side by side, and the settings that differ."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from engine import words
from engine.text import one_line
from resnet_tui.charts.plot import Line, Plot
from resnet_tui.run.compared import Compared, Quantity
from resnet_tui.run.series import smoothed

COLOURS = ("#4ea1ff", "#f5a742", "#62d26f", "#c792ea", "#ff6b6b", "#4dd0c8")
"""A colour for each run; as many as can be compared."""
Axis = Literal["epoch", "time"]
_STROKES = 3
"""Runs told apart by their strokes; the others have markers, so that all can be told apart without colour."""
_MARKERS = 16
"""At most, of a run."""
_SMOOTHING = 0.8


def plot(
    quantity: Quantity, runs: Mapping[int, Compared], axis: Axis, *, log: bool, cursor: float | None = None
) -> Plot:
    """Return the curves of ``runs``, which are named by their place, from 1."""
    split = {run.state.summary.choosing_split for run in runs.values()}
    title = f"{'/'.join(sorted(split))} accuracy" if quantity == "accuracy" else quantity
    return Plot(
        title=title,
        lines=tuple(line for place, run in sorted(runs.items()) for line in _lines(place, run, quantity, axis)),
        log_y=log and quantity != "accuracy",
        percent=quantity == "accuracy",
        x_kind=axis,
        cursor=cursor,
    )


def _lines(place: int, run: Compared, quantity: Quantity, axis: Axis) -> Iterator[Line]:
    """Yield the curve of a run; behind markers, where there are no more strokes."""
    series = run.series(quantity)
    bins = series.by_time() if axis == "time" else series.by_epoch(run.state.summary.steps_per_epoch)
    xs, values = bins.xs, bins.means if quantity == "accuracy" else smoothed(bins.means, _SMOOTHING)
    marked = place >= _STROKES
    name, colour = str(place + 1), COLOURS[place % len(COLOURS)]
    if marked:  # also where there is nothing to mark, so that a run's marker is the same in every chart
        every = max(1, -(-len(xs) // _MARKERS))
        kept = slice((len(xs) - 1) % every, None, every)  # the last of them always
        yield Line(name=name, xs=xs[kept], lows=values[kept], highs=values[kept], colour=colour, points=True)
    # After its markers: of two lines of a name, values are read from the second.
    yield Line(name=name, xs=xs, lows=values, highs=values, colour=colour, dim=marked)


class Figure(NamedTuple):
    """What a run is or reached."""

    label: str
    text: str
    value: float | None = None
    """To say which run is the best; None: not known, or none is better for it."""
    better: Literal["higher", "lower", ""] = ""


def figures(run: Compared) -> Iterator[Figure]:
    """Yield what the run is and reached."""
    entry, summary, config = run.listed.entry, run.state.summary, run.listed.config
    speed = summary.images_per_second if summary.training_seconds else None
    yield Figure("run", entry.name)
    yield Figure("state", run.listed.doing)
    yield _accuracy("best", entry.best_accuracy)
    yield Figure("best epoch", str(entry.best_epoch or "-"))
    yield _accuracy("last", entry.last_accuracy)
    yield Figure("average error", words.percent(summary.average_error), summary.average_error, "lower")
    yield Figure("epochs", f"{entry.epochs_done}/{entry.epochs}")
    yield Figure("time", words.duration(summary.elapsed))
    yield Figure("images/s", "-" if speed is None else words.speed(speed), speed, "higher")
    yield Figure("network", entry.network)
    yield Figure("parameters", f"{summary.params:,}" if summary.params else "-")
    yield Figure("dataset", entry.dataset)
    yield Figure("seed", str(config.train.seed) if config else "-")


def _accuracy(label: str, accuracy: float | None) -> Figure:
    return Figure(label, words.percent(accuracy), accuracy, "higher")


def best_text(row: Sequence[Figure]) -> str:
    """Return what the best figure of a row says; empty where none is better than another, as far as is shown."""
    known = [figure for figure in row if figure.better and figure.value is not None]
    if len({figure.text for figure in known}) < 2:
        return ""
    sign = 1 if known[0].better == "higher" else -1
    return max(known, key=lambda figure: sign * (figure.value or 0.0)).text


def differing(runs: Sequence[Compared]) -> dict[str, tuple[str, ...]]:
    """Return the settings that are not the same in all ``runs``, by dotted key; a dash where one has none such."""
    flat = [dict(_flat(run.listed.config.model_dump(mode="json"))) for run in runs if run.listed.config]
    keys = dict.fromkeys(key for settings in flat for key in settings)
    rows = {key: tuple(settings.get(key, "-") for settings in flat) for key in keys}
    return {key: row for key, row in rows.items() if len(set(row)) > 1}


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is None:
            yield prefix + key, "-"
        else:
            yield prefix + key, one_line(f"{value:g}" if isinstance(value, float) else str(value))
