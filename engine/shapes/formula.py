"""The arithmetic of an output's shape with its numbers put in, as one would write it on a blackboard.

Imports no torch.
"""

import math

Shape = tuple[int, ...]
UNCHANGED = " unchanged"
"""How the formula of an operation ends that keeps its input's shape."""


def size_formula(size: int, kernel: int, stride: int, padding: int) -> str:
    """Write ``(n − k + 2×p)/s + 1``; the floor is shown where it bites.

    >>> size_formula(56, 3, 1, 1)
    '(56 − 3 + 2×1)/1 + 1 = 56'
    >>> size_formula(224, 7, 2, 3)
    '(224 − 7 + 2×3)/2 + 1 = 112.5 → ⌊112.5⌋ = 112'
    """
    exact = (size - kernel + 2 * padding) / stride + 1
    shown = f"{round(exact, 2):.10g}"
    text = f"({size} − {kernel} + 2×{padding})/{stride} + 1 = {shown}"
    return text if exact == math.floor(exact) else f"{text} → ⌊{shown}⌋ = {math.floor(exact)}"


def window_formula(shape: Shape, kernel: Shape, stride: Shape, padding: Shape) -> str:
    """Write the formula of a convolution's or pooling's height and width, once where they are equal.

    Args:
        shape: the input, (C, H, W).
        kernel: (height, width), as ``stride`` and ``padding``.
    """
    height, width = (size_formula(*numbers) for numbers in zip(shape[1:], kernel, stride, padding, strict=True))
    return height if height == width else f"H: {height}; W: {width}"


def shape_text(shape: Shape) -> str:
    """Write ``64×56×56``."""
    return "×".join(map(str, shape))


def channels_formula(channels: list[int]) -> str:
    """Write ``16 + 12 = 28 channels``."""
    return f"{' + '.join(map(str, channels))} = {sum(channels)} channels"
