"""How a person looks at a run: what all charts of a screen share."""

from dataclasses import dataclass, replace
from typing import Literal, get_args

Axis = Literal["step", "epoch", "time"]
AXES: tuple[Axis, ...] = get_args(Axis)
SMOOTHING = (0.0, 0.5, 0.8, 0.9, 0.97)
"""Choices of the moving average; the first is none."""


@dataclass(frozen=True)
class View:
    """One value for all charts, so that they move together."""

    axis: Axis = "step"
    log: bool = False
    """Whether losses, rates and norms stand on a logarithmic scale."""
    smoothing: float = SMOOTHING[2]
    window: tuple[float, float] | None = None
    """The part of the axis that is shown, in its units; None: all of it."""
    cursor: float | None = None
    """Where values are read, in the axis' units."""

    def with_axis(self, axis: Axis) -> "View":
        """Return the view on another axis, whose units the window and the cursor do not have."""
        return replace(self, axis=axis, window=None, cursor=None)

    def zoomed(self, factor: float, whole: tuple[float, float]) -> "View":
        """Return the view with its window ``factor`` times as wide, around the cursor or the end of the run.

        Args:
            factor: below 1 to see less of the axis, larger.
            whole: the axis' ends now.
        """
        low, high = self.window or whole
        centre = self.cursor if self.cursor is not None else high
        width = (high - low) * factor
        if width >= whole[1] - whole[0]:
            return replace(self, window=None)
        low = min(max(whole[0], centre - width * (centre - low) / (high - low or 1.0)), whole[1] - width)
        return replace(self, window=(low, low + width))

    def panned(self, share: float, whole: tuple[float, float]) -> "View":
        """Return the view with its window moved by ``share`` of its width, within the axis' ends."""
        if self.window is None:
            return self
        low, high = self.window
        width = high - low
        low = min(max(whole[0], low + share * width), whole[1] - width)
        return replace(self, window=(low, low + width))
