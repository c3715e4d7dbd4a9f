"""Axes of a chart: the range of values it covers, where its ticks stand and how they are written."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from engine import words
from resnet_tui.run.series import LARGEST as LARGEST  # charts take it from here
from resnet_tui.view import Axis

Kind = Axis | Literal["learning rate"]
"""What stands on the lower axis; of learning rates, the logarithm to base 10."""
SMALLEST = 1e-300
"""The smallest value on a logarithmic scale."""
_TIME_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200)
_DAY = 86400.0
_FINER = (2, 4, 8)
"""How much finer ticks may be where there would be one or none."""


@dataclass(frozen=True)
class Span:
    """A range of values and how it is laid out; ``low`` is below ``high``."""

    low: float
    high: float
    log: bool = False

    def fraction(self, value: float) -> float:
        """Say where ``value`` lies: 0 at the low end, 1 at the high end, others outside; a log scale needs it > 0."""
        if self.log:
            low, high, value = math.log10(self.low), math.log10(self.high), math.log10(value)
        else:
            low, high = self.low, self.high
        return min(max((value - low) / (high - low), -1e6), 1e6)

    def holds(self, value: float) -> bool:
        """Whether ``value`` lies in the range; not for values that are not finite."""
        return self.low <= value <= self.high


def span(asked: tuple[float, float] | None, values: Iterable[float], *, log: bool = False, pad: float = 0.0) -> Span:
    """Return the range ``asked`` for if it is one, else one that holds ``values``.

    Args:
        asked: low and high end; ignored where it is empty, not finite, or not positive on a log scale.
        values: what has to fit in: finite, and positive on a log scale.
        log: whether the scale is logarithmic.
        pad: room on both sides, as a share of the range.
    """
    floor = SMALLEST if log else -LARGEST
    if asked is not None and floor <= asked[0] < asked[1] <= LARGEST and _wide(*asked):
        return Span(*asked, log)
    low, high = _ends(values, (1.0, 10.0) if log else (0.0, 1.0))
    if not _wide(low, high):
        room = 0.0 if log else abs(low) * 0.1 or 0.5
        low, high = (max(low / 2, SMALLEST), min(high * 2, LARGEST)) if log else (low - room, high + room)
    elif log:
        factor = (high / low) ** pad if high / low < LARGEST else 1.0
        low, high = max(low / factor, SMALLEST), min(high * factor, LARGEST)
    else:
        room = (high - low) * pad
        low, high = (max(low - room, 0.0) if low >= 0 else low - room), high + room
    return Span(low, high, log)


def _ends(values: Iterable[float], default: tuple[float, float]) -> tuple[float, float]:
    known = list(values)
    return (min(known), max(known)) if known else default


def _wide(low: float, high: float) -> bool:
    """Whether two ends are far enough apart to be told apart in print."""
    return high - low > max(1e-9 * max(abs(low), abs(high)), SMALLEST)


def y_ticks(axis: Span, count: int, *, percent: bool = False) -> list[tuple[float, str]]:
    """Return at most about ``count`` round values on the axis and how they are written."""
    values = _decades(axis, count) if axis.log else []
    if not axis.log or (len(values) < 2 and axis.high / axis.low < 100):
        values = _spread(axis, count, lambda rough: _round_step(rough, (1, 2, 2.5, 5)))
        values = [value for value in values if value > 0 or not axis.log]
    if percent:
        return list(zip(values, _decimal_labels([value * 100 for value in values], " %"), strict=True))
    if axis.log and (min(values, default=1.0) < 0.01 or max(values, default=1.0) >= 1e5):
        return [(value, _exponent(value)) for value in values]
    return list(zip(values, _decimal_labels(values), strict=True))


def x_ticks(axis: Span, count: int, kind: Kind) -> list[tuple[float, str]]:
    """Return at most about ``count`` round values on the axis and how they are written."""
    if kind == "learning rate":
        powers = _even(axis, max(1, math.ceil((axis.high - axis.low) / count)))
        return [(power, _exponent(10**power)) for power in powers]
    if kind == "time":
        values = _spread(axis, count, _time_step)
        unit = next(unit for unit in (_DAY, 3600.0, 1.0) if all(value % unit == 0 for value in values))
        return [(value, _time(value, unit if any(values) else 1.0)) for value in values]
    values = _spread(axis, count, lambda rough: max(1.0, _round_step(rough)))
    if kind == "epoch" and len(values) < 2:  # parts of an epoch
        values = _spread(axis, count, _round_step)
        return list(zip(values, _decimal_labels(values), strict=True))
    return [(value, _short(value)) for value in values]


def x_words(x: float, kind: Kind) -> str:
    """Write a place on the axis in full, such as ``step 1,200``, ``learning rate 0.01`` or, of a time, ``3:07``."""
    if kind == "learning rate":
        return f"{kind} {words.learning_rate(10**x)}"
    if kind == "time":
        return words.duration(x)
    return f"{kind} {x:,.0f}" if kind == "step" else f"{kind} {x:.4g}"


def value_words(value: float, *, percent: bool = False) -> str:
    """Write a value in at most about eight characters."""
    if percent:
        return words.percent(value) if abs(value) < 1e4 else f"{value * 100:.1e} %"
    size = abs(value)
    if size != 0 and (size < 1e-3 or size >= 1e6):
        return _tidy(f"{value:.2e}")
    return f"{value:,.0f}" if size >= 1000 else f"{value:.3g}"


def _round_step(rough: float, factors: tuple[float, ...] = (1, 2, 5)) -> float:
    """Return the next of ``factors`` times a power of ten from ``rough`` on."""
    power = 10.0 ** math.floor(math.log10(max(rough, SMALLEST)))
    return next((factor * power for factor in factors if factor * power >= rough * (1 - 1e-9)), 10 * power)


def _time_step(rough: float) -> float:
    """Return the next step of a clock from ``rough`` seconds on, a whole number of them."""
    return next((float(step) for step in _TIME_STEPS if step >= rough), _DAY * _round_step(rough / _DAY))


def _spread(axis: Span, count: int, step: Callable[[float], float]) -> list[float]:
    """Return at most about ``count`` round values; where that leaves fewer than two, two that are far apart.

    Args:
        axis: where they stand.
        count: how many there is room for.
        step: makes a round distance of any.
    """
    size = axis.high - axis.low
    values = _even(axis, step(size / max(1, count)))
    for finer in _FINER if count > 1 and len(values) < 2 else ():
        found = _even(axis, step(size / count / finer))
        if len(found) > 1:
            values = [found[0], found[-1]]
            if values[1] - values[0] >= size / 2:
                break
    return values


def _even(axis: Span, step: float) -> list[float]:
    slack = (axis.high - axis.low) * 1e-9
    first, last = math.ceil((axis.low - slack) / step), math.floor((axis.high + slack) / step)
    return [index * step for index in range(first, last + 1)]


def _decades(axis: Span, count: int) -> list[float]:
    """Return powers of ten, and twice and five times them where the axis is short of powers; none below two."""
    first, last = math.ceil(math.log10(axis.low) - 1e-9), math.floor(math.log10(axis.high) + 1e-9)
    if last - first >= 1:
        stride = math.ceil((last - first + 1) / max(1, count))
        powers = [10.0**power for power in range(first, last + 1, stride)]
        if len(powers) * 3 > count:
            return powers
    steps = [factor * 10.0**power for power in range(first - 1, last + 1) for factor in (1, 2, 5)]
    return [step for step in steps if axis.holds(step)]


def _decimal_labels(values: list[float], unit: str = "") -> list[str]:
    """Write all values with the decimals that tell neighbours apart; in powers of ten where that gets long."""
    gap = min((b - a for a, b in pairwise(values)), default=abs(values[0]) if values else 1.0)
    decimals = max(0, -math.floor(math.log10(gap) + 1e-9)) if gap > 0 else 0
    if any(abs(round(value, decimals) - value) > gap / 10 for value in values):
        decimals += 1
    largest = max(map(abs, values), default=0.0)
    if decimals > 4 or largest >= 1e6:
        return [f"{_exponent(value)}{unit}" for value in values]
    return [f"{value + 0.0:.{decimals}f}{unit}" for value in values]


def _exponent(value: float) -> str:
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def _tidy(text: str) -> str:
    mantissa, exponent = text.split("e")
    return f"{mantissa}e{int(exponent)}"


def _short(value: float) -> str:
    """Write a whole number with a unit: ``950``, ``1.2k``, ``40M``."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.4g}{unit}" if abs(value) < 1e4 * size else _exponent(value)
    return f"{value + 0.0:.0f}"


def _time(seconds: float, unit: float) -> str:
    if unit == _DAY:
        return f"{_short(seconds / _DAY)}d"
    if unit == 3600:
        return f"{seconds / 3600:.0f}h"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
