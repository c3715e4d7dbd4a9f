"""Where everything lies on a heat map: which parts share a row, which readings share a column."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Rows:
    """Bands of parts, from the top to the bottom."""

    bands: tuple[range, ...]
    """The parts of each; mostly one."""
    halves: bool
    """Whether a row of the terminal holds two bands."""
    each: int
    """Rows of a band, where it has whole ones."""

    @property
    def height(self) -> int:
        """Rows of the terminal."""
        return -(-len(self.bands) // 2) if self.halves else len(self.bands) * self.each

    @property
    def own(self) -> bool:
        """Whether each part has a row for itself."""
        return not self.halves and all(len(band) == 1 for band in self.bands)

    def row(self, part: int) -> int:
        """Return the first row that shows ``part``."""
        band = next(i for i, band in enumerate(self.bands) if part in band)
        return band // 2 if self.halves else band * self.each

    def parts(self, row: int) -> range:
        """Return the parts that a row shows, of the upper band where it holds two; none below the last."""
        band = row * 2 if self.halves else row // self.each
        return self.bands[band] if 0 <= band < len(self.bands) else range(0)


def rows(parts: int, height: int, *, halves: bool) -> Rows:
    """Lay ``parts`` out on ``height`` rows: several rows a part, one, half a one or two, or neighbours together.

    Args:
        parts: how many, at least 1.
        height: rows of the terminal, at least 1.
        halves: whether a row can show two bands.
    """
    if parts <= height:
        return Rows(tuple(range(i, i + 1) for i in range(parts)), halves=False, each=height // parts)
    count = height * 2 if halves else height
    bands = (range(i * parts // count, max(i * parts // count + 1, (i + 1) * parts // count)) for i in range(count))
    return Rows(tuple(bands), halves=halves, each=1)


def columns(xs: Sequence[float], low: float, high: float, count: int) -> list[range]:
    """Return for each of ``count`` columns between ``low`` and ``high`` the readings it shows, by position.

    A column without a reading of its own shows the last one before it; before the first there is none.
    """
    width = (high - low) / count
    found = []
    for column in range(count):
        left = low + column * width
        first = bisect_left(xs, left)
        after = bisect_left(xs, left + width) if column < count - 1 else bisect_left(xs, high * (1 + 1e-12))
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
