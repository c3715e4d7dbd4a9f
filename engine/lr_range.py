"""The learning-rate range test without the training: rates, their losses, and what they suggest. Imports no torch.

Smith (2015), "Cyclical learning rates for training neural networks": raise the rate a little with every batch, and
see at which rates the loss falls, and at which it explodes.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from engine.config import ScheduleConfig
from engine.errors import UserError

LOWEST, HIGHEST = 1e-12, 100.0
"""The largest rate, as of ``optim.lr``."""
_LEAST_STEPS, _MOST_STEPS = 10, 10_000
EXPLODED = 1.0
"""Nats above the first loss."""
_LEAST_FALL = 0.05
"""Share of the first loss by which it has to fall for a suggestion."""


class Reading(NamedTuple):
    """A batch."""

    lr: float
    """The rate of the step that it was for."""
    loss: float
    """Before that step: mean over the batch, in nats; the last one of a test may not be finite."""


@dataclass(frozen=True)
class RangeTest:
    """Which rates to try."""

    low: float = 1e-6
    high: float = 10.0
    steps: int = 100

    def __post_init__(self) -> None:
        """Refuse what is no range.

        Raises:
            UserError: which of the values is wrong, and what is allowed.
        """
        if not LOWEST <= self.low < math.inf:
            raise UserError(f"--from {self.low:g}: allowed: a learning rate of {LOWEST:g} or more")
        if not 0 < self.high <= HIGHEST:
            raise UserError(f"--to {self.high:g}: allowed: a learning rate above 0, at most {HIGHEST:g}")
        if self.low >= self.high:
            raise UserError(f"--from {self.low:g} must be below --to {self.high:g}: the rate rises")
        if not _LEAST_STEPS <= self.steps <= _MOST_STEPS:
            raise UserError(f"--steps {self.steps}: allowed: {_LEAST_STEPS} to {_MOST_STEPS:,}")

    def rate(self, step: int) -> float:
        """Return the rate of ``step``, from 0: each is the one before times the same factor."""
        return self.low * math.pow(self.high / self.low, step / (self.steps - 1))

    @property
    def window(self) -> int:
        """Neighbouring losses of which the mean is taken, an odd number: a twentieth of the test, at least three."""
        return max(3, self.steps // 20 | 1)


def smoothed(readings: Sequence[Reading], test: RangeTest) -> list[float]:
    """Return for each loss the mean of the window around it, of fewer at the ends.

    Around it, not before it: a mean of earlier losses lags behind, and with it would every suggestion.
    """
    half = test.window // 2
    losses = [reading.loss for reading in readings]
    parts = (losses[max(0, place - half) : place + half + 1] for place in range(len(losses)))
    return [math.fsum(part) / len(part) for part in parts]


class Explosion:
    """Sees when the loss explodes: it is not finite, or the mean of a window is a nat above the first one.

    A nat is a factor of e in the probability of the true class: what was learnt is lost, and more.
    """

    def __init__(self, window: int) -> None:
        self._recent = deque[float](maxlen=window)
        self._first: float | None = None

    def is_in(self, loss: float) -> bool:
        """Take the next loss; say whether it exploded with it."""
        self._recent.append(loss)
        if not math.isfinite(loss) or len(self._recent) < (self._recent.maxlen or 0):
            return not math.isfinite(loss)
        mean = math.fsum(self._recent) / len(self._recent)
        if self._first is None:
            self._first = mean
        return mean > self._first + EXPLODED


@dataclass(frozen=True)
class Suggestion:
    """Learning rates to begin with."""

    steepest: float
    """Where the smoothed loss falls fastest, by the logarithm of the rate: for one that is there from the start."""
    lowest: float
    """Where the smoothed loss is lowest: the peak of a schedule that rises to it."""

    @property
    def tenth(self) -> float:
        """A tenth of ``lowest``: far from where training explodes."""
        return self.lowest / 10

    def lr(self, schedule: ScheduleConfig) -> float:
        """Return the one for ``schedule``: ``lowest`` where it begins with lower rates, else ``steepest``."""
        rises = schedule.name == "onecycle" or schedule.warmup_epochs > 0
        return self.lowest if rises else self.steepest


def suggest(readings: Sequence[Reading], test: RangeTest) -> Suggestion | None:
    """Return what the ``readings`` of ``test`` suggest; None where the loss did not fall."""
    known = [reading for reading in readings if math.isfinite(reading.loss)]
    means, half = smoothed(known, test), test.window // 2
    if len(known) <= test.window:
        return None
    lowest = min(range(half, len(means) - half), key=means.__getitem__)
    if means[lowest] > (1 - _LEAST_FALL) * means[half]:
        return None
    # The rates are evenly spaced by their logarithm.
    falls = [means[place - half] - means[place + half] for place in range(half, lowest + 1)]
    steepest = half + max(range(len(falls)), key=falls.__getitem__)
    return Suggestion(known[steepest].lr, known[lowest].lr)
