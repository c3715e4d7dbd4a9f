"""Gradient norms of every part of a network over a run, and which parts vanish or explode."""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Sequence
from statistics import median
from typing import Literal

CAPACITY = 256
"""Columns; a network of 600 blocks then takes 1.2 MB."""
RECENT = 5
"""Readings of which a part's geometric mean is flagged, so that no single batch raises an alarm."""
FACTOR = 100.0
RULE = f"last {RECENT} readings: ▼ vanishing < 1/{FACTOR:g} of the median part, ▲ exploding > {FACTOR:g}×"
"""The rule in words, which the screen shows beside the flags."""
ZERO = -12.0
"""Stands for log10 of zero, and of anything smaller than this."""
MOST = 30.0
"""As much as log10 of a norm can be here: beyond is damage, or a run that has ended long ago."""
_SAMPLED = 4000

Flag = Literal["", "none", "vanishing", "exploding"]
"""none: no gradient at all, as of what is frozen."""


class GradientHistory:
    """Columns of log10 norms. When all are full, neighbours become one: their mean, that is, the geometric mean."""

    def __init__(self, parts: Sequence[str] = (), capacity: int = CAPACITY) -> None:
        """Begin for ``parts``, from the input to the output; ``capacity`` columns at most, an even number."""
        self.parts = tuple(parts)
        self.steps, self.seconds = array("d"), array("d")
        """Of each column, its last reading."""
        self.columns: list[array[float]] = []
        """log10 of the norms, one for each part."""
        self._capacity = capacity
        self._width = 1
        self._open = 0
        self._recent: deque[array[float]] = deque(maxlen=RECENT)
        self._latest: tuple[float, ...] = ()
        self._means: tuple[float, ...] | None = None
        """Of ``_recent``; None: not worked out yet."""

    def add(self, step: int, seconds: float, norms: Sequence[float]) -> None:
        """Append a reading; one that does not fit ``parts``, or is of none, is passed over."""
        if not norms or len(norms) != len(self.parts):
            return
        self._latest = tuple(norms)
        logs = array("f", map(_log, norms))
        self._recent.append(logs)
        self._means = None
        if self.columns and 0 < self._open < self._width:
            column, count = self.columns[-1], self._open
            self.columns[-1] = array("f", ((a * count + b) / (count + 1) for a, b in zip(column, logs, strict=True)))
            self.steps[-1], self.seconds[-1] = step, seconds
            self._open += 1
            return
        if len(self.columns) >= self._capacity:
            self._halve()
        self.columns.append(logs)
        self.steps.append(step)
        self.seconds.append(seconds)
        self._open = 1

    @property
    def latest(self) -> tuple[float, ...]:
        """The norms of the latest reading, empty before the first."""
        return self._latest

    def forget_after(self, step: int) -> None:
        """Drop what lies after ``step``, which a resumed run does again, and a column that reaches beyond it."""
        while self.columns and self.steps[-1] > step:
            self.columns.pop()
            self.steps.pop()
            self.seconds.pop()
        self._open = self._width
        self._recent.clear()
        self._latest = tuple(map(_norm, self.columns[-1])) if self.columns else ()

    def recent(self) -> tuple[float, ...]:
        """Return each part's geometric mean over the last ``RECENT`` readings, empty before the first.

        Zeros count only where there is nothing else: a part that thaws is not taken for one that vanishes.
        """
        if not self._recent:
            return self._latest
        if self._means is None:
            self._means = tuple(_mean(values) for values in zip(*self._recent, strict=True))
        return self._means

    def flags(self) -> tuple[Flag, ...]:
        """Return for each part what ``RULE`` says of it."""
        recent = self.recent()
        middle = self.median()
        return tuple(_flag(norm, middle) for norm in recent)

    def median(self) -> float:
        """Return the median of the recent norms of all parts that have a gradient; 0 where none has."""
        return median([norm for norm in self.recent() if math.isfinite(norm) and norm > 0] or [0.0])

    def at(self, column: int) -> tuple[float, ...]:
        """Return the norms of all parts in one column."""
        return tuple(map(_norm, self.columns[column]))

    def history(self, part: int) -> list[float]:
        """Return the norms of one part, a value for each column."""
        return [_norm(column[part]) for column in self.columns]

    def spread(self) -> tuple[float, float]:
        """Return the 1st and 99th percentile of log10 of all norms, zeros and non-finite ones left out.

        Of long histories of deep networks, of a regular sample of them; (0, 0) where there is nothing.
        """
        stride = max(1, len(self.columns) * len(self.parts) // _SAMPLED)
        sampled = (value for i, column in enumerate(self.columns) for value in column[i % stride :: stride])
        values = sorted(value for value in sampled if value > ZERO)
        if not values:
            return 0.0, 0.0
        return values[len(values) // 100], values[len(values) - 1 - len(values) // 100]

    def _halve(self) -> None:
        pairs = zip(self.columns[::2], self.columns[1::2], strict=True)
        self.columns = [array("f", ((a + b) / 2 for a, b in zip(*pair, strict=True))) for pair in pairs]
        self.steps, self.seconds = self.steps[1::2], self.seconds[1::2]
        self._width *= 2


def _log(norm: float) -> float:
    if not math.isfinite(norm):
        return math.nan
    return min(max(math.log10(norm), ZERO), MOST) if norm > 0 else ZERO


def _norm(log: float) -> float:
    if math.isnan(log):
        return math.nan  # always the same one, so that what holds it stays equal to itself
    return 0.0 if log <= ZERO else 10**log


def _mean(logs: Sequence[float]) -> float:
    known = [log for log in logs if not log <= ZERO]  # NaN stays
    return 10 ** (math.fsum(known) / len(known)) if known else 0.0


def _flag(norm: float, middle: float) -> Flag:
    if not math.isfinite(norm) or norm > middle * FACTOR:
        return "exploding"
    if norm == 0:
        return "none"
    return "vanishing" if norm < middle / FACTOR else ""
