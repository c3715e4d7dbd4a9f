"""Runs read from their first event to their last, to be compared."""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine import run_dir
from engine.errors import UserError, WorldError
from engine.event_log import EventReader
from engine.run_dir import RunDir
from engine.text import one_line
from resnet_tui.run.gradient_history import GradientHistory
from resnet_tui.run.listing import LOOK_SECONDS, REST, Listed, read
from resnet_tui.run.series import Series
from resnet_tui.run.state import RunState

Quantity = Literal["accuracy", "training loss", "gradient norm"]
_LOOK_EVERY = 500
"""Events between two looks at whether anybody still waits for them."""


@dataclass(frozen=True)
class Compared:
    """A run of the comparison."""

    listed: Listed
    state: RunState
    """Every event folded."""
    read_at: float
    """When, in seconds since the epoch: a live run has gone on since."""
    damaged: int = 0
    """Lines of its log that are no events and were passed over; not counted where a long one is read in fewer."""

    def series(self, quantity: Quantity) -> Series:
        """Return what is measured of ``quantity``, empty where nothing is."""
        if quantity == "training loss":
            return self.state.loss
        if quantity == "gradient norm":
            return self.state.total_norm
        scores = self.state.scores.get(self.state.summary.choosing_split)
        return scores.accuracy if scores else Series()


class _OnScale(GradientHistory):
    """A run's history that is drawn in the colours of a scale of several."""

    def __init__(self, history: GradientHistory, low: float, high: float) -> None:
        """Have what ``history`` has; the scale goes from ``low`` to ``high``."""
        super().__init__(history.parts)
        vars(self).update(vars(history))
        self._ends = low, high

    def spread(self) -> tuple[float, float]:
        """Return the ends of the scale."""
        return self._ends


def on_one_scale(states: Mapping[int, RunState]) -> dict[int, RunState]:
    """Return the same states with gradients that heat maps draw in the same colours."""
    known = [state.gradients.spread() for state in states.values() if state.gradients.columns]
    low, high = min((low for low, _ in known), default=0.0), max((high for _, high in known), default=0.0)
    shown = {place: copy(state) for place, state in states.items()}
    for state in shown.values():
        state.gradients = _OnScale(state.gradients, low, high)
    return shown


class Reader(threading.Thread):
    """Reads whole runs, one after another, and those that are live again and again.

    A daemon, so that it never holds up the end of the program.
    """

    def __init__(self, runs: Mapping[int, RunDir], tell: Callable[[int, Compared | str], object]) -> None:
        """Get ready to call ``tell``, in this thread, with each run's place and what it is, or why it is not."""
        super().__init__(name="compare", daemon=True)
        self._runs, self._tell = dict(runs), tell
        self._stopped = threading.Event()

    def run(self) -> None:
        """Read and tell until all is read and none is live."""
        while self._runs and not self._stopped.is_set():
            began = time.monotonic()
            self._runs = {place: run for place, run in self._runs.items() if self._told(place, run)}
            self._stopped.wait(max(LOOK_SECONDS, REST * (time.monotonic() - began)))

    def stop(self) -> None:
        """Stop for good; returns at once."""
        self._stopped.set()

    def _told(self, place: int, run: RunDir) -> bool:
        """Read a run and tell; return whether it goes on."""
        try:
            compared = read_whole(run, self._stopped.is_set)
        except (UserError, OSError, ArithmeticError, ValueError) as error:
            self._tell(place, one_line(str(error)))
            return run.is_alive()  # what cannot be read now may be later
        if compared is None:
            return False
        self._tell(place, compared)
        return compared.listed.alive


def read_whole(run: RunDir, stopped: Callable[[], bool] = lambda: False) -> Compared | None:
    """Read a run from its first event to its last; None where ``stopped`` says that nobody waits for it any more.

    Raises:
        WorldError: its files are damaged.
        OSError: its log cannot be read.
    """
    if stopped():
        return None
    listed, state, reader = need_readable(read(run)), RunState(), EventReader(run.events, condense=True)
    for number, event in enumerate(reader.read()):
        if number % _LOOK_EVERY == 0 and stopped():
            return None
        with contextlib.suppress(ArithmeticError, ValueError):  # numbers that no arithmetic can take are damage
            state.apply(event)
    return None if stopped() else Compared(listed, state, time.time(), reader.damaged)


def read_all(runs: Sequence[RunDir]) -> list[Compared]:
    """Read runs that have figures.

    Raises:
        UserError: one has not finished an epoch.
        WorldError: the files of one are damaged.
        OSError: a log cannot be read.
    """
    found = [compared for run in runs if (compared := read_whole(run)) is not None]
    for compared in found:
        need_epoch(compared.listed)
    return found


def find_all(folder: Path, wanted: Sequence[str]) -> list[RunDir]:
    """Return the runs that ``wanted`` means, each by its folder, its name below ``folder``, or ``last``.

    Raises:
        UserError: there is none such, or one was given twice.
    """
    found: dict[Path, str] = {}
    runs = []
    for name in wanted:
        run = run_dir.find(folder, name)
        path = run.path.resolve()
        if path in found:
            both = f"{one_line(found[path])} and {one_line(name)}" if found[path] != name else one_line(name)
            raise UserError(f"{both}: the same run twice; give each run once")
        found[path] = name
        runs.append(run)
    return runs


def need_readable(listed: Listed) -> Listed:
    """Return ``listed``.

    Raises:
        WorldError: its files are damaged.
    """
    if listed.config is None:
        raise WorldError(f"{listed.entry.name} cannot be read: {listed.reason}")
    return listed


def need_epoch(listed: Listed) -> None:
    """Refuse a run of which there is nothing to say yet.

    Raises:
        UserError: it has not finished an epoch.
        WorldError: its files are damaged.
    """
    if not need_readable(listed).entry.epochs_done:
        entry = listed.entry
        how = ": ".join(filter(None, (entry.state, entry.reason)))
        raise UserError(f"{entry.name} has not finished an epoch, so there are no figures of it ({how})")
