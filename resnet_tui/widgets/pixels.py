"""Pictures in a terminal: two pixels a cell with colours, characters of different density without."""

from collections.abc import Sequence
from functools import lru_cache

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.app import App
from textual.color import Color as ThemeColor

from resnet_tui.charts.colours import RAMP, depth

Pixel = tuple[int, int, int]
Picture = Sequence[Sequence[Pixel]]
"""Rows of red, green and blue, each 0 to 255."""


def has_colours(app: App[object]) -> bool:
    """Whether shades can be told apart."""
    return depth(app) == "many"


def scaled(pixels: bytes, shape: tuple[int, int, int], side: int) -> Picture:
    """Return a picture whose longer side is ``side`` pixels: areas are averaged, proportions stay.

    Args:
        pixels: levels in the order (C, H, W), one byte each.
        shape: (C, H, W); one channel is grey, of more than two the first three are red, green and blue.
        side: at least 1.
    """
    channels, height, width = shape
    scale = side / max(height, width)
    columns, rows = max(1, round(width * scale)), max(1, round(height * scale))
    planes = []
    for channel in range(3 if channels >= 3 else 1):
        start = channel * height * width
        lines = [_averaged(pixels[start + y * width : start + (y + 1) * width], columns) for y in range(height)]
        upright = [_averaged(column, rows) for column in zip(*lines, strict=True)]
        planes.append([[round(level) for level in line] for line in zip(*upright, strict=True)])
    red, green, blue = planes if len(planes) == 3 else planes * 3
    return [list(zip(*lines, strict=True)) for lines in zip(red, green, blue, strict=True)]


def _averaged(values: Sequence[float], count: int) -> list[float]:
    """Return ``count`` means over equal parts of ``values``, each end counted as far as it lies in the part."""
    return [sum(values[i] * weight for i, weight in part) for part in _parts(len(values), count)]


@lru_cache(64)
def _parts(length: int, count: int) -> tuple[tuple[tuple[int, float], ...], ...]:
    """Return for each part the places that lie in it and how much each weighs."""
    size = length / count
    parts = []
    for index in range(count):
        low, high = index * size, (index + 1) * size
        inside = range(int(low), min(length, int(high - 1e-9) + 1))
        parts.append(tuple((i, (min(high, i + 1) - max(low, i)) / size) for i in inside))
    return tuple(parts)


def half_blocks(upper: Sequence[Pixel], lower: Sequence[Pixel]) -> list[Segment]:
    """Draw two rows of pixels as one line."""
    return [Segment("▀", _pair(*pair)) for pair in zip(upper, lower, strict=True)]


def ramp(upper: Sequence[Pixel], lower: Sequence[Pixel]) -> list[Segment]:
    """Draw two rows of pixels as one line without colours: the brighter, the denser."""
    levels = ((_luminance(a) + _luminance(b)) / 2 for a, b in zip(upper, lower, strict=True))
    return [Segment("".join(dense(level) for level in levels))]


def dense(level: float) -> str:
    """Return the character for a level from 0 to 1."""
    return RAMP[min(len(RAMP) - 1, int(level * len(RAMP)))]


def blend(background: ThemeColor, colour: ThemeColor, level: float) -> Pixel:
    """Return a shade between two colours, at 1 the second."""
    return background.blend(colour, level).rgb


@lru_cache(8192)
def _pair(upper: Pixel, lower: Pixel) -> Style:
    return Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower))


def _luminance(pixel: Pixel) -> float:
    red, green, blue = pixel
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255
