"""The lines of a log: wrapped or not, searched, filtered, and followed to their end."""

import re
from collections.abc import Iterator, Sequence

from rich.cells import chop_cells
from rich.segment import Segment
from rich.text import Text
from textual.geometry import Size
from textual.message import Message

from resnet_tui.run.log_tail import MOST_LINES, Level, LogLine
from resnet_tui.widgets.line_view import LineView

_INDENT = 11
"""Columns of the time and of the mark, which stand before every line."""
_MARKS: dict[Level, str] = {"": " ", "warning": "!", "error": "×", "day": " "}
_STYLES: dict[Level, str] = {"": "", "warning": "yellow", "error": "bold red", "day": "dim"}
_LEAST_WRAPPED = 8
Row = tuple[LogLine, int, int]
"""A line and the part of its text that stands on one row."""


class LogView(LineView):
    """Shows the latest lines."""

    class Moved(Message):
        """What is seen, or how much there is below, became another."""

    def __init__(self) -> None:
        super().__init__()
        self.following = True
        """Whether the view stays at the end while lines come."""
        self.wrapped = True
        self.lines: list[LogLine] = []
        self._rows: list[Row] = []
        self._pattern: re.Pattern[str] | None = None
        self._only_matching = False
        self._hits: list[LogLine] = []
        self._hit: LogLine | None = None

    @property
    def below(self) -> int:
        """Rows below what is seen."""
        return round(self.max_scroll_y - self.scroll_y)

    @property
    def place(self) -> tuple[int, int]:
        """Which of the matching lines is the chosen one, from 1, 0 for none; and how many there are."""
        return (self._hits.index(self._hit) + 1 if self._hit in self._hits else 0), len(self._hits)

    def extend(self, lines: Sequence[LogLine]) -> None:
        """Append ``lines``; the oldest beyond ``MOST_LINES`` go, and what is seen stays where it is."""
        self.lines += lines
        dropped = self.lines[: max(0, len(self.lines) - MOST_LINES)]
        del self.lines[: len(dropped)]
        gone = self._count_rows_of(dropped)
        del self._rows[:gone]
        self._rows += self._rows_of(lines if len(lines) <= MOST_LINES else self.lines)
        self._find_hits()
        self._resize(self.scroll_offset.y - gone)

    def search(self, wanted: str, *, only_matching: bool) -> None:
        """Mark what matches ``wanted``, capital letters or not, and go to the first from what is seen on.

        Args:
            wanted: plain text; empty for no search.
            only_matching: whether to leave out all other lines.
        """
        self._pattern = re.compile(re.escape(wanted), re.IGNORECASE) if wanted else None
        self._only_matching = only_matching and bool(wanted)
        top = self._rows[self.scroll_offset.y][0] if self.scroll_offset.y < len(self._rows) else None
        self._find_hits()
        self.reflow()
        start = self.lines.index(top) if top in self.lines else 0
        later = (line for line in self.lines[start:] if self._matches(line))
        self._hit = next(later, self._hits[0] if self._hits else None)
        self._go_to_hit()

    def next_match(self, by: int) -> None:
        """Go to the next matching line, or with -1 to the one before; after the last comes the first."""
        if self._hits:
            index = self._hits.index(self._hit) + by if self._hit in self._hits else 0
            self._hit = self._hits[index % len(self._hits)]
            self._go_to_hit()

    def wrap(self) -> None:
        """Wrap long lines, or no longer."""
        self.wrapped = not self.wrapped
        self.scroll_to(x=0, animate=False, immediate=True, force=True)
        self.reflow()

    def measured(self) -> Size:
        """Return the widest line and the number of rows."""
        widest = 0 if self.wrapped else max((_INDENT + len(line.text) for line, _, _ in self._rows), default=0)
        return Size(max(self.columns, widest), len(self._rows))

    def reflow(self) -> None:
        """Lay all lines out anew, and stay at the end if that is followed."""
        self._rows = list(self._rows_of(self.lines))
        self._resize(self.scroll_offset.y)

    def line(self, row: int) -> list[Segment]:
        """Draw a row: time and mark before the first of a line, and what matches highlighted."""
        line, start, end = self._rows[row]
        style = _STYLES[line.level]
        text = Text(end="", no_wrap=True)
        if line.level == "day":
            return self.rendered(text.append(f"── {line.text} ──", style))
        text.append(f"{line.clock if not start else '':8} ", "dim")
        text.append(f"{_MARKS[line.level] if not start else ' '} ", style)
        text.append(line.text[start:end], style)
        for match in self._pattern.finditer(line.text) if self._pattern else ():
            low, high = max(match.start(), start), min(match.end(), end)
            if low < high:
                chosen = "black on yellow bold" if line is self._hit else "reverse"
                text.stylize(chosen, _INDENT + low - start, _INDENT + high - start)
        return self.rendered(text)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Follow the end once it is reached, and no longer when it is left."""
        super().watch_scroll_y(old_value, new_value)
        self.following = new_value >= self.max_scroll_y
        self.post_message(self.Moved())

    def _resize(self, top: int) -> None:
        following = self.following
        self.virtual_size = self.measured()
        self.scroll_to(y=self.max_scroll_y if following else max(0, top), animate=False, immediate=True, force=True)
        self.following = following
        self.refresh()
        self.post_message(self.Moved())

    def _rows_of(self, lines: Sequence[LogLine]) -> Iterator[Row]:
        width = self.columns - _INDENT
        for line in lines:
            if self._only_matching and not self._matches(line):
                continue
            if not self.wrapped or width < _LEAST_WRAPPED or (line.text.isascii() and len(line.text) <= width):
                yield line, 0, len(line.text)
                continue
            yield from ((line, start, end) for start, end in _wrapped(line.text, width))

    def _count_rows_of(self, lines: Sequence[LogLine]) -> int:
        """Return how many of the first rows show ``lines``, the first lines."""
        gone = set(map(id, lines))
        return next((i for i, (line, _, _) in enumerate(self._rows) if id(line) not in gone), len(self._rows))

    def _matches(self, line: LogLine) -> bool:
        return self._pattern is not None and self._pattern.search(line.text) is not None

    def _find_hits(self) -> None:
        self._hits = [line for line in self.lines if self._matches(line)] if self._pattern else []

    def _go_to_hit(self) -> None:
        row = next((i for i, (line, _, _) in enumerate(self._rows) if line is self._hit), None)
        if row is not None:
            middle = row - self.size.height // 2
            self.scroll_to(y=max(0, min(middle, self.max_scroll_y)), animate=False, immediate=True, force=True)
        self.refresh()
        self.post_message(self.Moved())


def _wrapped(text: str, width: int) -> Iterator[tuple[int, int]]:
    """Yield where each row of ``text`` starts and ends: after a space where one is in the row's second half."""
    start = 0
    while start < len(text):
        part = text[start : start + width]
        end = start + len(part if part.isascii() else chop_cells(part, width)[0])
        if end < len(text):
            end = text.rfind(" ", start + width // 2, end) + 1 or end
        yield start, end
        start = end
