"""How often a source reports progress."""

import time

from engine.events import Progress

SECONDS = 0.25


class Pace:
    """Lets a report through at most four times a second, so that fast work is not slowed by reports."""

    def __init__(self, activity: str, total: int, unit: str = "images") -> None:
        self._activity, self._total, self._unit = activity, total, unit
        self._next = 0.0

    def due(self) -> bool:
        """Whether it is time for the next report."""
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + SECONDS
        return True

    def report(self, done: int) -> Progress:
        """Return the event for ``done`` of the total."""
        return Progress(activity=self._activity, done=done, total=self._total, unit=self._unit)
