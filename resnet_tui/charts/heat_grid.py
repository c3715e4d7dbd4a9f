"""Where everything lies on a heat map: which parts share a row, which readings share a column."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Bands:
    """Rows of neighbouring parts, from the top to the bottom."""

    ranges: tuple[range, ...]
    """The parts of each; mostly one."""
    halves: bool
    """Whether a row of the terminal holds two bands."""
    each: int
    """Rows of a band, where it has whole ones."""

    @property
    def height(self) -> int:
        """Rows of the terminal."""
        return -(-len(self.ranges) // 2) if self.halves else len(self.ranges) * self.each

    @property
    def own(self) -> bool:
        """Whether each part has a row for itself."""
        return not self.halves and all(len(band) == 1 for band in self.ranges)

    def row(self, part: int) -> int:
        """Return the first row that shows ``part``."""
        band = next(i for i, band in enumerate(self.ranges) if part in band)
        return band // 2 if self.halves else band * self.each

    def parts(self, row: int) -> range:
        """Return the parts that a row shows, of the upper band where it holds two; none below the last."""
        band = row * 2 if self.halves else row // self.each
        return self.ranges[band] if 0 <= band < len(self.ranges) else range(0)


def bands(parts: int, height: int, *, halves: bool) -> Bands:
    """Lay ``parts`` out on ``height`` rows: several rows a part, one, half a one or two, or neighbours together.

    Args:
        parts: how many, at least 1.
        height: rows of the terminal, at least 1.
        halves: whether a row can show two bands.
    """
    if parts <= height:
        return Bands(tuple(range(i, i + 1) for i in range(parts)), halves=False, each=height // parts)
    count = height * 2 if halves else height
    ranges = (range(i * parts // count, max(i * parts // count + 1, (i + 1) * parts // count)) for i in range(count))
    return Bands(tuple(ranges), halves=halves, each=1)


@dataclass(frozen=True)
class TimeColumns:
    """The columns of the picture as places on the time axis; ``low`` is below ``high``."""

    low: float
    high: float
    count: int
    """At least 1."""

    def of(self, x: float | None) -> int | None:
        """Return the column that ``x`` lies in; None where it is not shown."""
        if x is None or not self.low <= x <= self.high:
            return None
        return min(int((x - self.low) / (self.high - self.low) * self.count), self.count - 1)

    def middle(self, column: int) -> float:
        """Return the place in the middle of a column."""
        return self.low + (self.high - self.low) * (column + 0.5) / self.count

    def readings(self, xs: Sequence[float]) -> list[range]:
        """Return for each column which of the readings at ``xs`` it shows, by position.

        A column without a reading of its own shows the last one before it; before the first there is none.
        """
        width = (self.high - self.low) / self.count
        found = []
        for column in range(self.count):
            left = self.low + column * width
            right = left + width if column < self.count - 1 else self.high * (1 + 1e-12)
            first, after = bisect_left(xs, left), bisect_left(xs, right)
            if after <= first:
                after = bisect_right(xs, left + width / 2)
                first = max(0, after - 1)
            found.append(range(first, after))
        return found


def merged(levels: Sequence[Sequence[int]]) -> Sequence[int]:
    """Return the mean level of each band over several readings; -1 where one is not finite."""
    if len(levels) == 1:
        return levels[0]
    count = len(levels)
    return [sum(values) // count if min(values) >= 0 else -1 for values in zip(*levels, strict=True)]
