"""Several runs side by side: their curves on the same axes, their figures, and the settings in which they differ."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from engine import words
from engine.errors import UserError
from engine.event_log import EventReader
from engine.run_dir import RunDir
from engine.text import one_line
from resnet_tui.charts.plot import Line, Plot
from resnet_tui.run.listing import Listed, read
from resnet_tui.run.series import Series, smoothed
from resnet_tui.run.state import RunState

COLOURS = ("#4ea1ff", "#f5a742", "#62d26f", "#c792ea", "#ff6b6b", "#4dd0c8")
"""A colour for each run; as many as can be compared."""
Axis = Literal["epoch", "time"]
Quantity = Literal["accuracy", "training loss", "gradient norm"]
_SMOOTHING = 0.8
_LOOK_EVERY = 500
"""Events between two looks at whether anybody still waits for them."""


@dataclass(frozen=True)
class Compared:
    """A run of the comparison."""

    listed: Listed
    state: RunState
    """Every event folded."""

    def series(self, quantity: Quantity) -> Series:
        """Return what is measured of ``quantity``, empty where nothing is."""
        if quantity == "training loss":
            return self.state.loss
        if quantity == "gradient norm":
            return self.state.total_norm
        scores = self.state.scores.get(self.state.summary.choosing_split)
        return scores.accuracy if scores else Series()


class Reader(threading.Thread):
    """Reads whole runs, one after another; a daemon, so that it never holds up the end of the program."""

    def __init__(self, runs: Sequence[RunDir], tell: Callable[[int, Compared | str], object]) -> None:
        """Get ready to call ``tell``, in this thread, with each run's place and what it is, or why it is not."""
        super().__init__(name="compare", daemon=True)
        self._runs, self._tell = tuple(runs), tell
        self._stopped = threading.Event()

    def run(self) -> None:
        """Read and tell until all is read."""
        for place, run in enumerate(self._runs):
            try:
                compared = self._read(run)
            except (UserError, OSError) as error:
                self._tell(place, one_line(str(error)))
                continue
            if compared is None:
                return
            self._tell(place, compared)

    def stop(self) -> None:
        """Stop for good; returns at once."""
        self._stopped.set()

    def _read(self, run: RunDir) -> Compared | None:
        listed, state = read(run), RunState()
        if listed.config is None:
            raise UserError(listed.reason)
        for number, event in enumerate(EventReader(run.events).read()):
            if number % _LOOK_EVERY == 0 and self._stopped.is_set():
                return None
            state.apply(event)
        return None if self._stopped.is_set() else Compared(listed, state)


def plot(
    quantity: Quantity, runs: Mapping[int, Compared], axis: Axis, *, log: bool, cursor: float | None = None
) -> Plot:
    """Return the curves of ``runs``, which are named by their place, from 1."""
    split = {run.state.summary.choosing_split for run in runs.values()}
    title = f"{'/'.join(sorted(split))} accuracy" if quantity == "accuracy" else quantity
    return Plot(
        title=title,
        lines=tuple(_line(place, run, quantity, axis) for place, run in sorted(runs.items())),
        log_y=log and quantity != "accuracy",
        percent=quantity == "accuracy",
        x_kind=axis,
        cursor=cursor,
    )


def _line(place: int, run: Compared, quantity: Quantity, axis: Axis) -> Line:
    series = run.series(quantity)
    bins = series.by_time() if axis == "time" else series.by_epoch(run.state.summary.steps_per_epoch)
    values = bins.means if quantity == "accuracy" else smoothed(bins.means, _SMOOTHING)
    return Line(name=str(place + 1), xs=bins.xs, lows=values, highs=values, colour=COLOURS[place % len(COLOURS)])


def figures(run: Compared) -> Iterator[tuple[str, str]]:
    """Yield what the run is and reached, as (label, text)."""
    entry, summary, config = run.listed.entry, run.state.summary, run.listed.config
    yield "run", entry.name
    yield "state", entry.state
    yield "best", words.percent(entry.best_accuracy)
    yield "best epoch", str(entry.best_epoch or "-")
    yield "last", words.percent(entry.last_accuracy)
    yield "average error", words.percent(summary.average_error)
    yield "epochs", f"{entry.epochs_done}/{entry.epochs}"
    yield "time", words.duration(summary.elapsed)
    yield "images/s", words.speed(summary.images_per_second) if summary.training_seconds else "-"
    yield "network", entry.network
    yield "parameters", f"{summary.params:,}" if summary.params else "-"
    yield "dataset", entry.dataset
    yield "seed", str(config.train.seed) if config else "-"


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
