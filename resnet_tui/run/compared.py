"""Runs read from their first event to their last, to be compared."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from engine.errors import UserError
from engine.event_log import EventReader
from engine.run_dir import RunDir
from engine.text import one_line
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

    def series(self, quantity: Quantity) -> Series:
        """Return what is measured of ``quantity``, empty where nothing is."""
        if quantity == "training loss":
            return self.state.loss
        if quantity == "gradient norm":
            return self.state.total_norm
        scores = self.state.scores.get(self.state.summary.choosing_split)
        return scores.accuracy if scores else Series()


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
            compared = self._read(run)
        except (UserError, OSError) as error:
            self._tell(place, one_line(str(error)))
            return False
        if compared is None:
            return False
        self._tell(place, compared)
        return compared.listed.alive

    def _read(self, run: RunDir) -> Compared | None:
        if self._stopped.is_set():
            return None
        listed, state = read(run), RunState()
        if listed.config is None:
            raise UserError(listed.reason)
        for number, event in enumerate(EventReader(run.events).read()):
            if number % _LOOK_EVERY == 0 and self._stopped.is_set():
                return None
            state.apply(event)
        return None if self._stopped.is_set() else Compared(listed, state, time.time())
