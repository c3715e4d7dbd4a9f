"""The depths that a network can have, found by asking its own rule."""

from collections.abc import Callable, Iterator

DEEPEST = 10_000
_LISTED = 203
"""Depths up to here are offered in a list; deeper ones can be typed."""
_FAMOUS = 1202
"""The deepest network of He et al. 2015."""

Valid = Callable[[int], bool]


def next_depth(valid: Valid, depth: int, direction: int) -> int | None:
    """Return the next valid depth upwards (1) or downwards (-1); None: there is none."""
    end = DEEPEST + 1 if direction > 0 else 0
    # Every family's depths are at most a few apart; those of four stages 51.
    return next((d for d in range(depth + direction, end, direction)[:64] if valid(d)), None)


def nearest_depth(valid: Valid, depth: int) -> int | None:
    """Return the valid depth that is nearest, of two the deeper one; None: there is none within reach."""
    return next(
        (d for distance in range(2000) for d in (depth + distance, depth - distance) if d > 0 and valid(d)), None
    )


def listed_depths(valid: Valid) -> Iterator[int]:
    """Yield the depths to offer."""
    yield from (depth for depth in (*range(1, _LISTED), _FAMOUS) if valid(depth))
