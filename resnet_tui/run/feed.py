"""Where a run's events come from: a log that grows, or a recorded one played as if it were live.

A thread reads and decodes; the interface takes what is there, in batches. The queue between them is bounded, so
that a flood of events waits on disk and not in memory.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from engine.event_log import EventReader
from engine.events import Evaluated, Event
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
    trouble: str = ""
    """What the run waits for, in words, such as room on the disk."""


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
            self.fail(f"{error.filename or 'the event log'}: {error.strerror or error}")
        except Exception as error:  # whatever a damaged log does, the screen has to say so
            self.fail(f"the event log: {type(error).__name__}: {error}")

    def fail(self, problem: str) -> None:
        """Say why reading ended."""
        self.problem = problem
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
    """Follows the log of a run, whether it is alive, over, begins again, or is replaced."""

    def __init__(self, run: RunDir) -> None:
        """Follow ``run``."""
        super().__init__()
        self._run = run
        self._reader = EventReader(run.events, condense=True)
        self._alive = False
        self._trouble = ""

    def _read(self) -> None:
        self._alive, asked = self._run.is_alive(), time.monotonic()
        self._pass_on()
        self._put(Batch((), self._alive, trouble=self._trouble))  # also of a run without any event yet
        while not self._stopped.wait(_POLL_SECONDS):
            if self._reader.was_replaced():
                self._reader = EventReader(self._run.events, condense=True)
                self._put(Batch((), self._alive, restart=True, trouble=self._trouble))
            self._pass_on()
            if time.monotonic() - asked >= _ALIVE_SECONDS:
                asked = time.monotonic()
                if not self._run.config_file.exists():
                    self.fail("its folder is gone")
                    return
                self._look_how_it_is()

    def _look_how_it_is(self) -> None:
        alive = self._run.is_alive()
        trouble = self._run.trouble() if alive else ""
        if (alive, trouble) != (self._alive, self._trouble):
            self._pass_on()  # what it wrote before it ended
            self._alive, self._trouble = alive, trouble
            self._put(Batch((), alive, trouble=trouble))

    def _pass_on(self) -> None:
        """Read all that is there."""
        full = False
        for batch in _batches(self._reader.read()):
            if self._stopped.is_set():
                return
            # A run that begins again is not to be taken for lost; nor one that ends, before its end has been read.
            self._alive = self._alive or self._run.is_alive()
            full = len(batch) >= BATCH or isinstance(batch[-1], Evaluated)
            self._put(Batch(batch, self._alive, behind=full, trouble=self._trouble))
        if full:  # there is no more after all
            self._put(Batch((), self._alive, trouble=self._trouble))


def _batches(events: Iterator[Event]) -> Iterator[tuple[Event, ...]]:
    """Yield events in batches that are bounded in number and in memory: an evaluation of many classes is large."""
    batch: list[Event] = []
    weight = 0
    for event in events:
        batch.append(event)
        weight += 1 + len(event.confusion) ** 2 // 100 if isinstance(event, Evaluated) else 1
        if weight >= BATCH:
            yield tuple(batch)
            batch, weight = [], 0
    if batch:
        yield tuple(batch)
