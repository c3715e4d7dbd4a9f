"""What a few measurements say of a mean: standard deviation, standard error, Student's interval. Imports no torch."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """The mean of a few shares, such as accuracies, and how well it is known."""

    values: tuple[float, ...]
    mean: float
    deviation: float | None
    """Sample standard deviation, with n - 1 below; None of a single value, which has no spread."""

    @property
    def standard_error(self) -> float | None:
        """Standard deviation of the mean; None of a single value."""
        return None if self.deviation is None else self.deviation / math.sqrt(len(self.values))

    @property
    def margin(self) -> float | None:
        """Half the width of the 95 % confidence interval of the mean, by Student's t; None of a single value."""
        error = self.standard_error
        return None if error is None else error * student_t(len(self.values) - 1)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the mean, cut at 0 and 1; of a single value, that value."""
        margin = self.margin or 0.0
        return max(0.0, self.mean - margin), min(1.0, self.mean + margin)


def estimate(values: Sequence[float]) -> Estimate:
    """Return what ``values``, at least one, say of the mean of what they are drawn from."""
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Estimate(tuple(values), statistics.fmean(values), deviation)


@cache
def student_t(freedom: int, confidence: float = CONFIDENCE) -> float:
    """Return the t between whose negative and itself Student's distribution has a share of ``confidence``.

    Args:
        freedom: its degrees of freedom, at least 1.
        confidence: between 0 and 1.
    """
    low, high = 0.0, 1.0
    while _share_within(high, freedom) < confidence:
        high *= 2
    while (middle := (low + high) / 2) not in {low, high}:
        if _share_within(middle, freedom) < confidence:
            low = middle
        else:
            high = middle
    return high


def _share_within(t: float, freedom: int) -> float:
    """Return how much of Student's distribution lies between -t and t: a finite sum for whole degrees of freedom."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = 0.0
    for power in range(3 if odd else 2, freedom + 1, 2):
        total += term
        term *= cosine * cosine * (power - 1) / power
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
