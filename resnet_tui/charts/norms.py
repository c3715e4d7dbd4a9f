"""Gradient norms in words: of which moment, which is smallest and largest, which are flagged."""

import math
from bisect import bisect_right
from dataclasses import dataclass
from statistics import median

from engine.text import one_line
from resnet_tui.charts.axes import value_words, x_words
from resnet_tui.charts.curves import axis, whole
from resnet_tui.run.gradient_history import RECENT, Flag, GradientHistory
from resnet_tui.run.state import RunState
from resnet_tui.view import View

GLYPHS: dict[Flag, str] = {"": " ", "none": "∅", "vanishing": "▼", "exploding": "▲"}
WORDS: dict[Flag, str] = {"": "", "none": "no gradient", "vanishing": "vanishing", "exploding": "exploding"}


@dataclass(frozen=True)
class Norms:
    """Of all parts: means of the latest readings, or those at the cursor."""

    parts: tuple[str, ...]
    values: tuple[float, ...]
    """Empty before the first reading."""
    flags: tuple[Flag, ...]
    """Of the latest readings; empty away from there."""
    median: float
    readings: int
    """Of which these are the means."""
    place: str = ""
    """Where on the axis, in words; empty for the latest."""

    @property
    def moment(self) -> str:
        """Of when the norms are, in words."""
        return self.place or (f"mean of {self.readings}" if self.readings > 1 else "latest")

    def flag(self, part: int) -> Flag:
        """Return what is flagged of a part."""
        return self.flags[part] if part < len(self.flags) else ""

    def ascending(self) -> list[int]:
        """Return the parts from the smallest norm to the largest; what is not finite is largest."""
        return sorted(range(len(self.values)), key=lambda part: _rank(self.values[part]))

    def ratio(self, part: int) -> str:
        """Return the norm as a multiple of the median part's, in words."""
        value = self.values[part]
        return f"{number(value / self.median)}×" if self.median > 0 and math.isfinite(value) else ""

    def facts(self) -> list[str]:
        """Say which part has the smallest and the largest norm, how many are flagged, the total, and of when."""
        if not self.values:
            return []
        found = [self.place] if self.place else []
        found += [f"{label} {name(self.parts[part])} {number(self.values[part])}"
                  for label, part in zip(("smallest", "largest"), self._ends(), strict=True)]  # fmt: skip
        if self.flags:
            found.append(f"{sum(flag in {'vanishing', 'exploding'} for flag in self.flags)} flagged")
        found.append(f"total {number(math.hypot(*self.values))}")
        if without := sum(value == 0 for value in self.values):
            found.append(f"{without} without gradient")
        return found if self.place else [*found, self.moment]

    def facts_within(self, width: int) -> str:
        """Return the facts that fit, each after a dot; else smallest and largest in few words, or nothing."""
        text, left = "", self.facts()
        while left and len(text) + len(left[0]) + 3 <= width:
            text = f"{text} · {left.pop(0)}"
        if not left or " · largest " in text:
            return text
        ends = " – ".join(f"{short(self.parts[part])} {number(self.values[part])}" for part in self._ends())
        return f" · {ends}" if len(ends) + 3 <= width else ""

    def _ends(self) -> tuple[int, int]:
        """Return the parts of the smallest norm above zero and of the largest."""
        known = [part for part in self.ascending() if self.values[part] > 0] or self.ascending()
        return known[0], known[-1]


def norms(state: RunState, view: View) -> Norms:
    """Return the norms that a person means: those at the cursor where there is one, else the latest."""
    history = state.gradients
    xs = axis(history.steps, history.seconds, state, view)
    if view.cursor is None or not xs or view.cursor >= xs[-1]:
        readings = min(RECENT, len(history.columns))
        return Norms(history.parts, history.recent(), history.flags(), history.median(), readings)
    column = max(0, bisect_right(xs, view.cursor) - 1)
    values = history.at(column)
    middle = median([value for value in values if math.isfinite(value) and value > 0] or [0.0])
    return Norms(history.parts, values, (), middle, 1, x_words(view.cursor, view.axis))


def by_part(shown: Norms) -> dict[str, tuple[float, Flag]]:
    """Return norm and flag of each part by its name; nothing before the first reading."""
    return {
        part: (value, shown.flag(i)) for i, (part, value) in enumerate(zip(shown.parts, shown.values, strict=False))
    }


def absence(state: RunState) -> str:
    """Say why there is nothing to show; empty where there is something."""
    config = state.summary.config
    if state.gradients.columns:
        return ""
    if config is not None and not config.telemetry.gradient_norms:
        return "gradient norms are switched off in this run (telemetry.gradient_norms)"
    return "no reading yet" if state.model is not None else "the network is not built yet"


def ends(state: RunState, view: View) -> tuple[float, float]:
    """Return the part of the axis that is shown, never of no width."""
    low, high = view.window or whole(state, view)
    return low, high if high > low else low + 1.0


def recent_logs(history: GradientHistory, part: int, count: int) -> list[float]:
    """Return log10 of the latest ``count`` norms of a part, or of as many as there are."""
    return [column[part] for column in history.columns[-count:]]


def number(norm: float) -> str:
    """Write a norm in at most eight characters, so that they stand well below each other: ``0.300``, ``1.23e-4``."""
    if not math.isfinite(norm):
        return "NaN"
    return f"{norm:#.3g}" if 1e-3 <= norm < 100 else value_words(norm)


def name(part: str) -> str:
    """Write a part's name as it may stand on a screen."""
    return one_line(part, 40)


def short(part: str) -> str:
    """Write a part's name where there is little room: ``s3.b12``."""
    return ".".join(
        f"{word[0]}{word.lstrip('abcdefghijklmnopqrstuvwxyz')}" if "." in part and word else word
        for word in name(part).split(".")
    )


def _rank(value: float) -> float:
    return value if math.isfinite(value) else math.inf
