"""Where a run's events come from: a log that grows, or a recorded one played as if it were live.

A thread reads and decodes; the interface takes what is there, in batches. The queue between them is bounded, so
that a flood of events waits on disk and not in memory.
"""

import itertools
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from engine.event_log import EventReader
from engine.events import Event, RunFinished
from engine.run_dir import RunDir

BATCH = 1000
"""Events at most in one batch."""
_QUEUED = 4
_POLL_SECONDS = 0.1
_ALIVE_SECONDS = 1.0


@dataclass(frozen=True)
class Batch:
    """What came since the last one."""

    events: tuple[Event, ...]
    alive: bool
    """Whether a process holds the run; without one, a log that has no ``run_finished`` is of a lost run."""
    behind: bool = False
    """Whether more is there already, so that there is no use in drawing yet."""
    restart: bool = False
    """Whether the state begins anew: a replay went back."""


class Feed(threading.Thread):
    """Reads batches until it is stopped; a daemon, so that it never holds up the end of the program."""

    def __init__(self) -> None:
        super().__init__(name="feed", daemon=True)
        self._queue: queue.Queue[Batch] = queue.Queue(_QUEUED)
        self._stopped = threading.Event()
        self._wake: Callable[[], None] = lambda: None
        self.problem = ""
        """Why reading ended early, for a person."""

    def begin(self, wake: Callable[[], None]) -> None:
        """Start reading; ``wake`` is called in the feed's thread whenever a batch is there."""
        self._wake = wake
        self.start()

    def take(self) -> Batch | None:
        """Return the next batch, or None where none is there yet; never waits."""
        try:
            return self._queue.get_nowait()
        except queue.Empty:
            return None

    def stop(self) -> None:
        """Stop reading; returns at once."""
        self._stopped.set()

    def run(self) -> None:
        """Read until stopped; what cannot be read is told in ``problem``."""
        try:
            self._read()
        except OSError as error:
            self.problem = f"{error.filename or 'the event log'}: {error.strerror or error}"
            self._wake()

    def _read(self) -> None:
        raise NotImplementedError

    def _put(self, batch: Batch) -> None:
        while not self._stopped.is_set():
            try:
                self._queue.put(batch, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            self._wake()
            return


class LogFeed(Feed):
    """Follows the log of a run, whether it is alive, over, or begins again."""

    def __init__(self, run: RunDir) -> None:
        """Follow ``run``."""
        super().__init__()
        self._run = run
        self._reader = EventReader(run.events, condense=True)

    @property
    def damaged(self) -> int:
        """Lines that were no events."""
        return self._reader.damaged

    def _read(self) -> None:
        alive, asked, told = self._run.is_alive(), time.monotonic(), False
        while not self._stopped.is_set():
            ended = self._pass_on(alive)
            if not told or ended:
                self._put(Batch((), alive))  # also of a run without any event yet
                told = True
            self._stopped.wait(_POLL_SECONDS)
            if time.monotonic() - asked >= _ALIVE_SECONDS:
                asked, before, alive = time.monotonic(), alive, self._run.is_alive()
                if alive != before:
                    self._pass_on(alive)  # what it wrote before it ended
                    self._put(Batch((), alive))

    def _pass_on(self, alive: bool) -> bool:
        """Read all that is there; return whether the run said that it is over."""
        events, ended = self._reader.read(), False
        while chunk := tuple(itertools.islice(events, BATCH)):
            if self._stopped.is_set():
                return False
            ended = isinstance(chunk[-1], RunFinished)
            self._put(Batch(chunk, alive, behind=len(chunk) == BATCH))
        return ended
