"""Several runs on the same axes, their figures side by side, and the settings that differ."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from engine import words
from engine.summary import RunSummary
from engine.text import one_line
from resnet_tui.charts.plot import Line, Plot
from resnet_tui.run.compared import Compared, Quantity
from resnet_tui.run.series import Bins, smoothed
from resnet_tui.view import Axis

COLOURS = ("#4ea1ff", "#f5a742", "#62d26f", "#c792ea", "#ff6b6b", "#4dd0c8")
"""A colour for each run; as many as can be compared."""
_STROKES = 3
"""Runs told apart by their strokes; the others have markers, so that all can be told apart without colour."""
_MARKERS = 16
"""At most, of a run."""
_SMOOTHING = 0.8
_SPLITS = {"train": "training", "val": "validation", "test": "test"}
_OF_ANY_DATA = {"images/s"}
"""Figures of which one is better than another also where the runs' data differ."""


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
    bins = _bins(run, quantity, axis)
    xs, values = bins.xs, bins.means if quantity == "accuracy" else smoothed(bins.means, _SMOOTHING)
    marked = place >= _STROKES
    name, colour = str(place + 1), COLOURS[place % len(COLOURS)]
    if marked:  # also where there is nothing to mark, so that a run's marker is the same in every chart
        every = max(1, -(-len(xs) // _MARKERS))
        kept = slice((len(xs) - 1) % every, None, every)  # the last of them always
        yield Line(name=name, xs=xs[kept], lows=values[kept], highs=values[kept], colour=colour, points=True)
    # After its markers: of two lines of a name, values are read from the second.
    yield Line(name=name, xs=xs, lows=values, highs=values, colour=colour, dim=marked)


def _bins(run: Compared, quantity: Quantity, axis: Axis) -> Bins:
    series = run.series(quantity)
    if axis == "epoch":
        return series.by_epoch(run.state.summary.steps_per_epoch)
    return series.by_step() if axis == "step" else series.by_time()


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
    if config is not None:  # else nothing is known of its splits
        yield _accuracy(f"best {_SPLITS[summary.choosing_split]}", entry.best_accuracy)
        yield Figure("best epoch", str(entry.best_epoch or "-"))
    yield from _last(summary)
    yield Figure("average error", words.percent(summary.average_error), summary.average_error, "lower")
    yield Figure("epochs", f"{entry.epochs_done}/{entry.epochs}")
    yield Figure("time", words.duration(summary.elapsed))
    yield Figure("images/s", "-" if speed is None else words.speed(speed), speed, "higher")
    yield Figure("network", entry.network)
    yield Figure("parameters", f"{summary.params:,}" if summary.params else "-")
    yield Figure("dataset", entry.dataset)
    yield Figure("seed", str(config.train.seed) if config else "-")


def _last(summary: RunSummary) -> Iterator[Figure]:
    """Yield the accuracies at the end of the last epoch: the training one tells degradation from overfitting."""
    if summary.rows:
        row = summary.rows[-1]
        if summary.val_images:
            yield _accuracy("last validation", row.val_accuracy)
        yield _accuracy("last test", row.test_accuracy)
        yield _accuracy("last training", row.train_accuracy)


def _accuracy(label: str, accuracy: float | None) -> Figure:
    return Figure(label, words.percent(accuracy), accuracy, "higher")


class Row(NamedTuple):
    """A figure of every run."""

    label: str
    texts: tuple[str, ...]
    """Empty where a run has not got it."""
    best: str
    """What the best of them says; empty where none is better than another."""


def outcomes(runs: Mapping[int, Compared], names: Sequence[str]) -> Iterator[Row]:
    """Yield what the runs reached and what they are.

    Args:
        runs: by their place, from 0; some may not be read yet.
        names: of all runs, in their places.
    """
    columns = [
        {figure.label: figure for figure in figures(runs[place])} if place in runs else {"run": Figure("run", name)}
        for place, name in enumerate(names)
    ]
    comparable = len({*_data(runs).values()}) <= 1
    for label in dict.fromkeys(label for column in columns for label in column):
        row = [column.get(label, Figure(label, "")) for column in columns]
        best = best_text(row) if comparable or label in _OF_ANY_DATA else ""
        yield Row(label, tuple(one_line(figure.text) for figure in row), one_line(best))


def notes(runs: Mapping[int, Compared]) -> list[str]:
    """Return what has to be known to read the figures of ``runs``, which are told by their place."""
    data = _data(runs)
    found = []
    if len({*data.values()}) > 1:
        found.append(
            f"Different data ({_told(data)}): accuracies, errors and losses on different data cannot be compared, "
            "only how they change."
        )
    for place, run in sorted(runs.items()):
        if run.damaged:
            found.append(f"Lines of the log of {place + 1} could not be read and count nothing: {run.damaged:,}.")
    return found


def _data(runs: Mapping[int, Compared]) -> dict[int, str]:
    """Return in words the test images of each run that has started: as far as is known, equal ones are the same."""
    return {
        place: f"{config.data.dataset}: {summary.test_images:,} test, {_classes(summary.classes)}"
        for place, run in sorted(runs.items())
        if (config := (summary := run.state.summary).config) is not None
    }


def _classes(names: Sequence[str]) -> str:
    return f"{len(names)} classes {one_line(', '.join(names), 24)}"


def _told(texts: Mapping[int, str]) -> str:
    """Write equal texts once: ``1 and 3: this; 2: that``."""
    places: dict[str, list[str]] = {}
    for place, text in texts.items():
        places.setdefault(text, []).append(str(place + 1))
    return "; ".join(f"{' and '.join(numbers)}: {text}" for text, numbers in places.items())


def best_text(row: Sequence[Figure]) -> str:
    """Return what the best figure of a row says; empty where none is better than another, as far as is shown."""
    known = [figure for figure in row if figure.better and figure.value is not None]
    if len({figure.text for figure in known}) < 2:
        return ""
    sign = 1 if known[0].better == "higher" else -1
    return max(known, key=lambda figure: sign * (figure.value or 0.0)).text


def differing(runs: Sequence[Compared]) -> dict[str, tuple[Any, ...]]:
    """Return the settings that are not the same in all ``runs``, by dotted key; None where one has none such."""
    flat = [dict(_flat(run.listed.config.model_dump(mode="json"))) for run in runs if run.listed.config]
    keys = dict.fromkeys(key for settings in flat for key in settings)
    rows = {key: tuple(settings.get(key) for settings in flat) for key in keys}
    return {key: row for key, row in rows.items() if any(value != row[0] for value in row)}


def setting_text(value: Any) -> str:
    """Write a setting; a dash where there is none such."""
    return "-" if value is None else one_line(str(value))


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
