"""A value over a run of any length, kept in a bounded number of bins."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

LARGEST = 1e300
"""Values beyond are left out: the difference of two of them, or the sum of some, would no longer be a number."""
CAPACITY = 2048
"""Bins; more than any terminal has columns, so that zooming in shows more than the whole does."""


@dataclass(frozen=True)
class Bins:
    """A series as a chart reads it, oldest first; equally long columns."""

    xs: Sequence[float]
    lows: Sequence[float]
    highs: Sequence[float]
    means: Sequence[float]


class Series:
    """Values by step and time. When all bins are full, neighbours become one: it never grows, nothing old is lost.

    A bin keeps lowest, highest and mean, so that a spike is seen however much it is zoomed out.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        """Make an empty series of at most ``capacity`` bins, an even number."""
        self._capacity = capacity
        self._steps, self._seconds = array("d"), array("d")
        self._lows, self._highs, self._sums = array("d"), array("d"), array("d")
        self._counts = array("q")
        self._width = 1
        self.last: float | None = None
        """The latest value, as it was given."""

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, step: float, seconds: float, value: float) -> None:
        """Append ``value``; one that no chart can show, as a non-finite one, only becomes ``last``."""
        self.last = value
        if not -LARGEST <= value <= LARGEST:
            return
        if self._counts and self._counts[-1] < self._width:
            self._steps[-1], self._seconds[-1] = step, seconds
            self._lows[-1] = min(self._lows[-1], value)
            self._highs[-1] = max(self._highs[-1], value)
            self._sums[-1] += value
            self._counts[-1] += 1
            return
        if len(self._counts) >= self._capacity:
            self._halve()
        for column, number in zip(self._columns(), (step, seconds, value, value, value), strict=True):
            column.append(number)
        self._counts.append(1)

    def forget_after(self, step: float) -> None:
        """Drop what lies after ``step``, which a resumed run does again, and a bin that reaches beyond it."""
        keep = len(self)
        while keep and self._steps[keep - 1] > step:
            keep -= 1
        for column in self._columns():
            del column[keep:]
        del self._counts[keep:]
        self.last = self._sums[-1] / self._counts[-1] if keep else None

    def by_step(self) -> Bins:
        """Return the series over steps."""
        return self._bins(self._steps)

    def by_epoch(self, steps_per_epoch: int) -> Bins:
        """Return the series over epochs done."""
        return self._bins(array("d", (step / max(1, steps_per_epoch) for step in self._steps)))

    def by_time(self) -> Bins:
        """Return the series over seconds of the run, pauses not counted."""
        return self._bins(self._seconds)

    def _bins(self, xs: array[float]) -> Bins:
        means = array("d", (total / count for total, count in zip(self._sums, self._counts, strict=True)))
        return Bins(xs[:], self._lows[:], self._highs[:], means)  # as it is now: who draws it later has whole columns

    def _columns(self) -> tuple[array[float], ...]:
        return self._steps, self._seconds, self._lows, self._highs, self._sums

    def _halve(self) -> None:
        self._width *= 2
        self._steps, self._seconds = self._steps[1::2], self._seconds[1::2]
        self._lows = array("d", map(min, self._lows[::2], self._lows[1::2]))
        self._highs = array("d", map(max, self._highs[::2], self._highs[1::2]))
        self._sums = array("d", (a + b for a, b in zip(self._sums[::2], self._sums[1::2], strict=True)))
        self._counts = array("q", (a + b for a, b in zip(self._counts[::2], self._counts[1::2], strict=True)))


def smoothed(values: Sequence[float], amount: float) -> list[float]:
    """Return an exponential moving average, debiased at its start; ``amount`` 0 changes nothing, near 1 a lot."""
    average, weight, result = 0.0, 0.0, []
    for value in values:
        average = amount * average + (1 - amount) * value
        weight = amount * weight + (1 - amount)
        result.append(average / weight)
    return result
