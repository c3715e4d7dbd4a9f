"""A recorded run played as if it were live, with pause, speed and a place in time that can be chosen."""

from __future__ import annotations

import itertools
import re
import threading
import time
from array import array
from collections.abc import Iterator
from pathlib import Path

from engine.event_log import MAX_LINE_BYTES
from engine.events import Event, decode_line
from engine.regular import open_regular
from engine.run_dir import RunDir
from resnet_tui.run.feed import BATCH, Batch, Feed

SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)
LONGEST_GAP = 5.0
"""Recorded seconds; what was longer, a pause or the days before a run was resumed, is played as this."""
_TICK = 0.05
_TIME = re.compile(rb'"time":(\d+(?:\.\d+)?)')


class ReplayFeed(Feed):
    """Plays a log. Position and length are in played seconds: recorded ones without long gaps."""

    def __init__(self, run: RunDir, speed: float = 1.0) -> None:
        """Play ``run``, ``speed`` recorded seconds a second."""
        super().__init__()
        self._run, self._path = run, run.events
        self._lock = threading.Lock()
        self._speed, self._paused = speed, False
        self._wanted: float | None = None
        self._places: array[float] = array("d")
        self._position = 0.0

    @property
    def length(self) -> float:
        """Of the whole run; 0 until the log has been looked through."""
        return self._places[-1] if self._places else 0.0

    @property
    def position(self) -> float:
        """Where it is now."""
        return self._position

    @property
    def speed(self) -> float:
        """Recorded seconds a second."""
        return self._speed

    @property
    def paused(self) -> bool:
        """Whether it stands still."""
        return self._paused

    @property
    def ended(self) -> bool:
        """Whether the whole log was played."""
        return bool(self._places) and self._position >= self.length

    def pause(self, paused: bool) -> None:
        """Stand still, or go on."""
        self._paused = paused

    def set_speed(self, speed: float) -> None:
        """Play ``speed`` recorded seconds a second from here on."""
        with self._lock:
            self._speed = speed

    def seek(self, position: float) -> None:
        """Go to ``position``; going back plays the log again from its start, in an instant."""
        with self._lock:
            self._wanted = min(max(0.0, position), self.length)

    def _read(self) -> None:
        self._places = _places(self._path)
        if not self._places:
            self.fail("there is nothing to play: its log is empty")
            return
        played, events = 0, read(self._path)
        clock = time.monotonic()
        while not self._stopped.is_set():
            now = time.monotonic()
            passed, clock = now - clock, now
            with self._lock:
                wanted, self._wanted = self._wanted, None
                if wanted is None and not self._paused:
                    wanted = min(self.length, self._position + passed * self._speed)
            if wanted is not None:
                if wanted < self._position:
                    played, events = 0, read(self._path)
                    self._put(Batch((), alive=True, restart=True))
                self._position = wanted
                played = self._play(events, played)
            self._stopped.wait(_TICK)

    def _play(self, events: Iterator[Event | None], played: int) -> int:
        """Pass on what lies before the position; return how many lines have been played."""
        until = played
        while until < len(self._places) and self._places[until] <= self._position:
            until += 1
        while played < until and not self._stopped.is_set():
            lines = min(BATCH, until - played)
            batch = tuple(event for event in itertools.islice(events, lines) if event is not None)
            played += lines
            # As it was while it trained; only its end says whether a process holds it still.
            alive = played < len(self._places) or self._run.is_alive()
            self._put(Batch(batch, alive=alive, behind=played < until))
        return played


def read(path: Path) -> Iterator[Event | None]:
    """Yield what each line of a log holds, None for one that is damaged."""
    with open_regular(path) as file:
        while line := file.readline(MAX_LINE_BYTES):
            yield decode_line(line)


def _places(path: Path) -> array[float]:
    """Return when each line is played, in seconds from the first."""
    places, before, now = array("d"), None, 0.0
    with open_regular(path) as file:
        while line := file.readline(MAX_LINE_BYTES):
            found = _TIME.search(line)
            if found is not None:
                at = float(found[1])
                now += min(max(0.0, at - before), LONGEST_GAP) if before is not None else 0.0
                before = at
            places.append(now)
    return places
