"""How numbers of a run are written for a person, the same way everywhere. Imports no torch."""

import math

from engine.config import RunConfig


def duration(seconds: float) -> str:
    """Write a length of time: ``4.2 s``, ``42 s``, ``3:07``, ``1:03:07``."""
    if not math.isfinite(seconds):
        return "?"
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def percent(fraction: float | None, decimals: int = 2) -> str:
    """Write a fraction as per cent; a dash where there is none."""
    return "-" if fraction is None else f"{fraction * 100:.{decimals}f} %"


def loss(value: float | None) -> str:
    """Write a loss with four decimals, in fewer characters where it is huge; a dash where there is none."""
    if value is None:
        return "-"
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:.2e}"


def learning_rate(value: float) -> str:
    """Write a rate in at most seven characters."""
    return f"{value:.3g}" if value >= 1e-3 or value == 0 else f"{value:.1e}"


def speed(images_per_second: float) -> str:
    """Write images a second; fewer than ten with a decimal."""
    return f"{images_per_second:,.0f}" if images_per_second >= 10 else f"{images_per_second:.1f}"


def ranks(images_per_second: tuple[float, ...]) -> str:
    """Write the speeds of several processes, and which is the slowest; a dash where none is known."""
    if not images_per_second or not all(images_per_second):
        return "-"
    slowest = min(range(len(images_per_second)), key=images_per_second.__getitem__)
    speeds = ", ".join(map(speed, images_per_second))
    return f"{speeds} images/s in their own passes; the slowest is rank {slowest}"


def network(config: RunConfig) -> str:
    """Name the network, such as ``ResNet-20, shortcut A``."""
    return config.model.title


def count(number: int) -> str:
    """Write a large count with three or four digits and a unit: ``950``, ``40.55 M``, ``3.66 G``."""
    for unit, size in (("T", 10**12), ("G", 10**9), ("M", 10**6)):
        if number >= size:
            return f"{number / size:.2f} {unit}"
    return f"{number:,}"


def size(number: int) -> str:
    """Write a number of bytes: ``512 B``, ``83.2 MiB``, ``4.1 GiB``."""
    for unit, power in (("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if number >= 1 << power:
            return f"{number / (1 << power):.1f} {unit}"
    return f"{number} B"
