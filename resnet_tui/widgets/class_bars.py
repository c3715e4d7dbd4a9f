"""Accuracy of each class as bars, and the pairs of classes that are confused most."""

import math

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.geometry import Size

from engine import words
from engine.events import Evaluated
from resnet_tui.run.class_scores import Pair, class_names, class_order, confused_pairs, fitted
from resnet_tui.widgets.line_view import LineView

_EIGHTHS = " ▏▎▍▌▋▊▉"
_LONGEST_NAME = 16
_SAME = 5e-5
"""A change that two decimals of per cent do not show."""
_BAR, _TRACK = Style.parse("green"), Style(dim=True)


def bar(share: float, width: int) -> tuple[str, str]:
    """Return a bar of ``width`` cells as its full part and the rest, to an eighth of a cell."""
    eighths = round(min(1.0, max(0.0, share)) * width * 8)
    full = "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")
    return full, "·" * (width - len(full))


class ClassBars(LineView):
    """A line a class."""

    def __init__(self) -> None:
        super().__init__(id="bars")
        self._scores: Evaluated | None = None
        self._before: Evaluated | None = None
        self._names: list[str] = []
        self._order: list[int] = []

    def show(
        self, scores: Evaluated, classes: tuple[str, ...], before: Evaluated | None, *, worst_first: bool
    ) -> None:
        """Draw ``scores``, with the change since ``before`` where that has the same classes."""
        comparable = before is not None and len(before.per_class) == len(scores.per_class)
        self._scores, self._before = scores, before if comparable else None
        self._names = class_names(classes, len(scores.per_class))
        self._order = class_order(scores, worst_first=worst_first)
        order = "lowest first" if worst_first else "in order"
        self.border_title = f"accuracy of each class, {order}"
        self.border_subtitle = f"change since epoch {before.epoch}" if before and self._before else ""
        self.reflow()

    def measured(self) -> Size:
        """Return a row a class."""
        return Size(self.columns, len(self._order))

    def line(self, row: int) -> list[Segment]:
        """Draw the name, the bar, the accuracy, the change and the count, as far as there is room."""
        label = self._order[row]
        assert self._scores is not None
        widest = max(map(cell_len, self._names))
        name = min(widest, _LONGEST_NAME, max(4, self.columns // 4))
        segments = [Segment(fitted(self._names[label], name) + " ")]
        accuracy = self._scores.per_class[label]
        if not math.isfinite(accuracy):
            return [*segments, Segment("no images", _TRACK)]
        right, total = self._scores.confusion[label][label], sum(self._scores.confusion[label])
        ends = [Segment(f" {words.percent(accuracy):>8}", Style(bold=True))]
        if self._before is not None:
            ends.append(_change(accuracy - self._before.per_class[label], coloured=not self.app.no_color))
        count = max(max(map(sum, self._scores.confusion)), 1)
        digits = len(f"{count:,}")
        counts = Segment(f"  {right:>{digits},} of {total:>{digits},}", _TRACK)
        left = self.columns - name - 1 - sum(segment.cell_length for segment in ends)
        if left - counts.cell_length >= 12:
            ends.append(counts)
            left -= counts.cell_length
        full, rest = bar(accuracy, max(0, min(left, 60)))
        return [*segments, Segment(full, _BAR), Segment(rest, _TRACK), *ends]


def _change(change: float, *, coloured: bool) -> Segment:
    if not math.isfinite(change) or abs(change) < _SAME:
        return Segment(f"{'=' if math.isfinite(change) else '':>9}", _TRACK)
    glyph, colour = ("▲", "green") if change > 0 else ("▼", "red")
    return Segment(f"{f'{glyph} {abs(change) * 100:.2f}':>9}", Style(color=colour if coloured else None))


class PairList(LineView):
    """The most confused pairs, a line each."""

    def __init__(self) -> None:
        super().__init__(id="pairs")
        self.border_title = "most confused"
        self._scores: Evaluated | None = None
        self._names: list[str] = []
        self._pairs: list[Pair] = []

    def show(self, scores: Evaluated, classes: tuple[str, ...]) -> None:
        """Draw the pairs of ``scores``."""
        self._scores, self._names = scores, class_names(classes, len(scores.confusion))
        self._pairs = confused_pairs(scores)
        self.reflow()

    def measured(self) -> Size:
        """Return a row a pair, or one that says that there is none."""
        return Size(self.columns, max(1, len(self._pairs)))

    def line(self, row: int) -> list[Segment]:
        """Draw true class, predicted class, share and counts."""
        if self._scores is None:
            return []
        if not self._pairs:
            return [Segment("no image was taken for another class", _TRACK)]
        pair = self._pairs[row]
        total = sum(self._scores.confusion[pair.true])
        share, counts = f"  {words.percent(pair.share, 1):>7}", f"  ({pair.images:,} of {total:,})"
        room = (self.columns - len(share) - len(counts) - len(" → ")) // 2
        name = max(1, min(max(map(cell_len, self._names)), _LONGEST_NAME, room))
        text = Text(end="", no_wrap=True)
        text.append(f"{fitted(self._names[pair.true], name)} → ")
        text.append(fitted(self._names[pair.predicted], name), "bold")
        text.append(share).append(counts, "dim")
        return self.rendered(text)
