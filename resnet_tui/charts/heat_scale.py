"""The colours of a heat map: a logarithmic scale, and how its levels look with many colours, with 16, with none."""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.app import App

from resnet_tui.charts.axes import value_words
from resnet_tui.charts.colours import RAMP, depth

Rgb = tuple[int, int, int]
_ANCHORS: tuple[Rgb, ...] = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
"""From low to high, evenly lighter: told apart by people who see no red or no green, too."""
_SIXTEEN: tuple[Rgb, ...] = ((0, 0, 170), (85, 85, 255), (0, 170, 170), (0, 170, 0), (85, 255, 85), (255, 255, 85))
"""As terminals of 16 colours have them: rich finds exactly these again."""
_LEVELS = 32


@dataclass(frozen=True)
class Palette:
    """How levels are drawn: by ``colours`` from low to high, or without any by the characters of ``ramp``."""

    colours: tuple[Rgb, ...] = ()
    ramp: str = ""

    @property
    def levels(self) -> int:
        """How many there are."""
        return len(self.colours) or len(self.ramp)

    def cell(self, level: int) -> Segment:
        """Return a whole cell of ``level``."""
        return Segment(self.ramp[level]) if self.ramp else Segment(" ", _style(self.colours[level], None))

    def halves(self, upper: int, lower: int) -> Segment:
        """Return a cell of two levels, one above the other; only with colours."""
        if upper == lower:
            return self.cell(upper)
        return Segment("▀", _style(self.colours[lower], self.colours[upper]))


@lru_cache(2048)
def _style(back: Rgb, front: Rgb | None) -> Style:
    return Style(bgcolor=Color.from_rgb(*back), color=None if front is None else Color.from_rgb(*front))


def _between(place: float) -> Rgb:
    index = min(int(place), len(_ANCHORS) - 2)
    share = place - index
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(_ANCHORS[index], _ANCHORS[index + 1], strict=True))
    return red, green, blue


MANY = Palette(tuple(_between(i * (len(_ANCHORS) - 1) / (_LEVELS - 1)) for i in range(_LEVELS)))
FEW = Palette(_SIXTEEN)
NONE = Palette(ramp=RAMP.strip())  # a blank is where nothing was read


def palette(app: App[object]) -> Palette:
    """Return what suits the terminal and a person's wishes."""
    return {"none": NONE, "few": FEW, "many": MANY}[depth(app)]


@dataclass(frozen=True)
class Scale:
    """From the lowest to the highest colour, in log10."""

    low: float
    high: float

    @classmethod
    def holding(cls, low: float, high: float) -> "Scale":
        """Return the scale of half decades around two values, so that it stays as it is while they move a little."""
        first = math.floor(low * 2) / 2
        return cls(first, max(math.ceil(high * 2) / 2, first + 0.5))

    def level(self, log: float, levels: int) -> int:
        """Return the level of a value; what lies outside has that of the nearer end, what is not finite has -1."""
        if math.isnan(log):
            return -1
        return min(max(int((log - self.low) / (self.high - self.low) * levels), 0), levels - 1)


def legend(scale: Scale, colours: Palette, width: int, muted: Style) -> list[Segment]:
    """Return the scale on a line of at most ``width`` cells: both ends, and the decades between where they fit."""
    inner = [float(power) for power in range(math.floor(scale.low) + 1, math.ceil(scale.high))]
    for stops in ([scale.low, *inner, scale.high], [scale.low, scale.high]):
        labels = [value_words(float(f"{10**stop:.1g}")) for stop in stops]
        room = width - sum(len(label) + 2 for label in labels)
        if room >= 4 * (len(stops) - 1):
            break
    else:
        return []
    total = min(room, 48)
    segments = [Segment(f"{labels[0]} ", muted)]
    for (first, last), label in zip(pairwise(stops), labels[1:], strict=True):
        cells = max(1, round(total * (last - first) / (scale.high - scale.low)))
        places = (first + (last - first) * (i + 0.5) / cells for i in range(cells))
        segments += [colours.cell(scale.level(place, colours.levels)) for place in places]
        segments.append(Segment(f" {label} ", muted))
    return segments
