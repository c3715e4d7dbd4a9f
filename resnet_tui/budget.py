"""How often the dashboard may draw: as often as a small budget of processor time allows, and no oftener."""

import time
from collections.abc import Callable

SHORTEST, LONGEST = 0.1, 3.0
"""Seconds between two drawings of what a run sends; what a person asks for is drawn at once."""
SHARING, ALONE = 0.0125, 0.25
"""Of one core: where training needs this machine's processor too, and where it does not. A step of training waits for
the slowest of its threads, so that what is taken of one core is taken of all."""
TICKS = {SHARING: 0.5, ALONE: 0.1}
"""Seconds after which to look whether there is something to draw: looking costs, too."""


class Budget:
    """Measures this process' own processor time, and spreads drawings so that it stays within a share of a core."""

    def __init__(
        self,
        share: float = ALONE,
        *,
        clock: Callable[[], float] = time.monotonic,
        processor: Callable[[], float] = time.process_time,
    ) -> None:
        """Begin with ``share`` of one core; the clocks are in seconds."""
        self.share = share
        self._clock, self._processor = clock, processor
        self._drawn_at, self._used_then = clock(), processor()
        self._next = 0.0
        self._window: list[tuple[float, float]] = [(self._drawn_at, self._used_then)]

    def due(self) -> bool:
        """Whether it may be drawn now."""
        return self._clock() >= self._next

    def drawn(self) -> None:
        """Count a drawing. What was used since the last one says how long the next has to wait."""
        now, used = self._clock(), self._processor()
        cost = used - self._used_then
        self._drawn_at, self._used_then = now, used
        self._next = now + min(max(cost / self.share, SHORTEST), LONGEST)
        self._window = [*self._window, (now, used)][-60:]

    @property
    def drawings(self) -> float:
        """Drawings a second over the last ones."""
        (began, _), (now, _) = self._window[0], self._window[-1]
        return (len(self._window) - 1) / (now - began) if now > began else 0.0

    @property
    def cores(self) -> float:
        """Cores that this process used over the last drawings; 0.05 is 5 % of one."""
        (began, used_then), (now, used) = self._window[0], self._window[-1]
        return (used - used_then) / (now - began) if now > began else 0.0
