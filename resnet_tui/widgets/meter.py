"""A quantity over time: its name, its value in words, and a small chart of columns."""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence

from rich.text import Text
from textual.widget import Widget

from resnet_tui.charts.bars import bars
from resnet_tui.run.series import Bins, Series

_BESIDE = 24
"""Columns of the value, where the chart stands beside it."""


def resampled(bins: Bins, columns: int) -> list[float]:
    """Return ``columns`` values over the time that ``bins`` span; a column between two samples has the one before."""
    if not bins.xs or columns < 1:
        return []
    first, last = bins.xs[0], bins.xs[-1]
    width = (last - first) / columns
    if width <= 0:
        return [bins.means[-1]] * columns
    values, start = [], 0
    for column in range(1, columns + 1):
        end = len(bins.xs) if column == columns else bisect_right(bins.xs, first + column * width)
        part = bins.means[start:end] or bins.means[start - 1 : start]
        values.append(math.fsum(part) / len(part))
        start = max(start, end)
    return values


def column_chart(values: Sequence[float], top: float, height: int) -> list[str]:
    """Draw ``values`` from 0 to ``top`` as columns of eighths of a row, ``height`` rows from the upper one."""
    levels = [round(min(1.0, max(0.0, value / top)) * height * 8) if top > 0 else 0 for value in values]
    return [bars(levels, below) for below in range(height - 1, -1, -1)]


class Meter(Widget):
    """One quantity; with a single row of height its chart stands beside its name, else below."""

    DEFAULT_CSS = """
    Meter { height: 1fr; min-height: 1; max-height: 7; }
    Meter.unknown { height: 1; }
    """

    def __init__(self, name: str) -> None:
        """Make one for the quantity ``name``."""
        super().__init__(classes="unknown")
        self._label = name
        self._value, self._most = "", ""
        self._bins: Bins | None = None
        self._top = 0.0

    def show(self, value: str, series: Series, top: float | None, written: Callable[[float], str]) -> None:
        """Draw the quantity.

        Args:
            value: now, in words, or why it is not known.
            series: over the run.
            top: the most that it can be, the chart's upper end; None: the most that it was.
            written: how a value is written.
        """
        self._value = value
        self._bins = series.by_time() if len(series) else None
        if self._bins is not None:
            most = max(self._bins.highs)
            self._top, self._most = top or most, f"highest {written(most)}"
        self.set_class(self._bins is None, "unknown")
        self.refresh()

    def render(self) -> Text:
        """Return name, value and chart."""
        width, height = self.size
        name = 16 if width >= 40 else 11
        text = Text(no_wrap=True, overflow="crop")
        text.append(f"{self._label[:name]:<{name}} ", "dim" if self._bins is None else "bold")
        text.append(self._value, "dim" if self._bins is None else "")
        if self._bins is None:
            return text
        if height > 1:
            spare = width - text.cell_len - len(self._most)
            if spare >= 2:
                text.append(" " * spare).append(self._most, "dim")
            for line in column_chart(resampled(self._bins, width), self._top, height - 1):
                text.append("\n").append(line, "cyan")
        elif width >= name + _BESIDE + 8:
            text.append(" " * (name + _BESIDE - text.cell_len))
            text.append(column_chart(resampled(self._bins, width - text.cell_len), self._top, 1)[0], "cyan")
        return text
