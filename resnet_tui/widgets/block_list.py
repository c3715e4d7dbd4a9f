"""The parts of a network with the norm of their gradients: value, short history, and whether it is flagged."""

import math
from typing import NamedTuple

from rich.segment import Segment

from resnet_tui.charts import norms
from resnet_tui.charts.bars import bars
from resnet_tui.charts.norms import GLYPHS, WORDS, Norms
from resnet_tui.run.gradient_history import GradientHistory
from resnet_tui.widgets.rows import Rows

_FLAT = 0.5
"""Decades: a history that varies by less is drawn about as flat as it is."""
_NUMBER, _RATIO, _WORD = 9, 8, 13
_BARS_LEAST = 8


class BlockList(Rows):
    """A row a part, in the network's order or from the smallest norm to the largest."""

    def __init__(self) -> None:
        super().__init__()
        self.by_norm = False
        self._norms: Norms | None = None
        self._history = GradientHistory()
        self._order: list[int] = []

    @property
    def part(self) -> int | None:
        """The chosen part; None where there is none."""
        return self._order[self.cursor] if self.cursor < len(self._order) else None

    def show_norms(self, shown: Norms, history: GradientHistory, lines_each: int) -> None:
        """Draw ``shown`` with ``lines_each`` lines a part; the chosen part stays chosen wherever it moves."""
        part = self.part
        self._norms, self._history = shown, history
        known = len(shown.values) == len(shown.parts)
        self._order = shown.ascending() if self.by_norm and known else list(range(len(shown.parts)))
        self.resized(len(self._order), lines_each)
        if part is not None and self.part != part and part < len(self._order):
            self.choose(self._order.index(part))

    def select(self, part: int) -> None:
        """Choose a part."""
        if part in self._order:
            self.choose(self._order.index(part))

    def header(self, width: int) -> list[Segment]:
        """Name the columns."""
        layout = self._layout(width)
        order = "by norm" if self.by_norm else "part"
        ratio = f"{'× median':>{_RATIO}} " if layout.ratio else ""
        flag = ("flag" if layout.flag > 1 else "").ljust(layout.flag)
        recent = "recent" if layout.bars >= 6 else ""
        norm = self._norms.moment if self._norms is not None and not self._norms.place else "norm"
        return [Segment(f" {order:{layout.name}} {norm:>{_NUMBER}} {ratio}{flag} {recent}")]

    def row(self, index: int, line: int, width: int) -> list[Segment]:
        """Return a part's values beside its history, which takes all of its lines."""
        shown = self._norms
        if shown is None:
            return []
        part, layout = self._order[index], self._layout(width)
        if part >= len(shown.values):
            return [Segment(f" {norms.name(shown.parts[part])}" if line == 0 else "", self.style("muted"))]
        history = norms.recent_logs(self._history, part, max(0, layout.bars))
        recent = Segment(_bars(history, line, self.lines_each), self.style("bars"))
        if line > 0:
            return [Segment(" " * (width - layout.bars)), recent]
        flag = shown.flag(part)
        text = f"{GLYPHS[flag]} {WORDS[flag]}" if layout.flag > 1 else GLYPHS[flag]
        name, value = norms.name(shown.parts[part])[: layout.name], norms.number(shown.values[part])
        ratio = f"{shown.ratio(part):>{_RATIO}} " if layout.ratio else ""
        return [
            Segment(f" {name:{layout.name}} {value:>{_NUMBER}} "),
            Segment(ratio, self.style("muted")),
            Segment(f"{text:{layout.flag}} ", self.style(flag if flag in {"vanishing", "exploding"} else "muted")),
            recent,
        ]

    def _layout(self, width: int) -> "_Layout":
        longest = max((len(part) for part in self._norms.parts), default=4) if self._norms is not None else 4
        name = max(4, min(longest, 18, width - _NUMBER - 4))
        left = width - name - _NUMBER - 5 - _BARS_LEAST
        flag = _WORD if left >= _WORD else 1
        ratio = left - flag > _RATIO
        bars = width - name - _NUMBER - 4 - flag - (_RATIO + 1 if ratio else 0)
        return _Layout(name, ratio, flag, bars)


class _Layout(NamedTuple):
    """Columns of name and flag, whether there are multiples of the median, and columns of the history."""

    name: int
    ratio: bool
    flag: int
    bars: int


def _bars(logs: list[float], line: int, lines: int) -> str:
    """Draw one line of a history as bars that are ``lines`` high; ``!`` is what is not finite."""
    known = [log for log in logs if not math.isnan(log)]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    spare = max(0.0, _FLAT - (high - low)) / 2
    low, high = low - spare, high + spare
    scale = (8 * lines - 1) / (high - low)
    heights = (None if math.isnan(log) else 1 + round((log - low) * scale) for log in logs)
    return bars(heights, lines - 1 - line)
