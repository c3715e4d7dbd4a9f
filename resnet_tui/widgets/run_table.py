"""The runs as a table: as many columns as there is room for, each of its own width, so that nothing jumps."""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import DataTable

from engine import words
from resnet_tui.charts.bars import bars
from resnet_tui.charts.colours import themed
from resnet_tui.run.doing import GLYPHS
from resnet_tui.run.listing import Listed
from resnet_tui.run.series import LARGEST

_LEAST_NAME, _WIDEST_NAME = 14, 44


@dataclass(frozen=True)
class _Column:
    title: str
    width: int
    """In cells; of the name, the least."""
    shown_from: int
    """The table's width from which there is room for it."""
    cell: Callable[[Listed, int], Text]
    """Makes its text, for a width."""
    right: bool = False


def spark(values: Sequence[float], width: int) -> str:
    """Draw ``values`` in at most ``width`` characters, from the lowest to the highest of them."""
    values = [value for value in values if -LARGEST <= value <= LARGEST]
    if not values or width < 1:
        return ""
    count = min(width, len(values))
    edges = [index * len(values) // count for index in range(count + 1)]
    means = [sum(values[low:high]) / (high - low) for low, high in pairwise(edges)]
    low, high = min(means), max(means)
    return bars(1 + round(7 * ((mean - low) / (high - low) if high > low else 0.0)) for mean in means)


def when(seconds: float) -> str:
    """Write a time of day and a date, in this place: ``21 Nov 14:03``; of other years without the time of day."""
    moment = datetime.fromtimestamp(seconds, UTC).astimezone()
    this_year = moment.year == datetime.now(UTC).astimezone().year
    return f"{moment.day:2} {moment:%b %H:%M}" if this_year else f"{moment.day:2} {moment:%b %Y}"


def shortened(name: str, width: int) -> str:
    """Cut ``name`` in its middle: runs differ at its start, by date, and at its end, by seed."""
    if len(name) <= width:
        return name
    tail = (width - 1) // 3
    return name[: width - 1 - tail] + "…" + name[len(name) - tail :]


def _epochs(listed: Listed, width: int) -> Text:
    """Write epochs done and planned, after a bar where there is room for one."""
    done, planned = listed.entry.epochs_done, listed.entry.epochs
    count = f" {done}/{planned}"
    bar = max(0, min(12, width - len(count)))
    full = min(bar, round(bar * done / max(1, planned)))
    return Text.assemble(("━" * full, "green"), ("·" * (bar - full), "dim"), count)


_COLUMNS: dict[str, _Column] = {
    "name": _Column("run", _LEAST_NAME, 0, lambda run, width: Text(shortened(run.entry.name, width), "bold")),
    "state": _Column("state", 12, 28, lambda run, _: Text(f"{GLYPHS[run.doing][0]} {run.doing}")),
    "network": _Column("network", 16, 118, lambda run, _: Text(run.entry.network.replace(", shortcut ", " "))),
    "dataset": _Column("dataset", 9, 104, lambda run, _: Text(run.entry.dataset)),
    "epochs": _Column("epochs", 12, 58, _epochs, right=True),
    "best": _Column("best", 8, 42, lambda run, _: Text(words.percent(run.entry.best_accuracy)), right=True),
    "last": _Column("last", 8, 134, lambda run, _: Text(words.percent(run.entry.last_accuracy)), right=True),
    "curve": _Column("curve", 7, 72, lambda run, width: Text(spark(run.curve, width), "cyan")),
    "time": _Column("time", 8, 94, lambda run, _: Text(words.duration(run.entry.seconds)), right=True),
    "began": _Column("began", 12, 142, lambda run, _: Text(when(run.began)), right=True),
}
_OF_EVERY_RUN = frozenset({"name", "state", "began"})
"""What is known of a damaged run, too."""


def plan(width: int) -> dict[str, int]:
    """Return which columns a table of ``width`` cells has, and how wide each is, with a cell between two."""
    widths = {key: column.width for key, column in _COLUMNS.items() if width >= column.shown_from}
    spare = width - 2 - sum(widths.values()) - len(widths)
    widths["name"] = max(1, min(_WIDEST_NAME, widths["name"] + spare))
    spare = width - 2 - sum(widths.values()) - len(widths)
    for key, most in (("network", 28), ("curve", 30), ("epochs", 22)):
        if key in widths and spare > 0:
            more = min(spare, most - widths[key])
            widths[key], spare = widths[key] + more, spare - more
    return widths


class RunTable(DataTable[Text]):
    """Shows runs in the order given. What is marked, shown and sorted is its owner's to know."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "open", id="runs.open"),
        Binding("home", "scroll_top", "first", id="runs.first", show=False),
        Binding("end", "scroll_bottom", "last", id="runs.last", show=False),
    ]
    DEFAULT_CSS = """
    RunTable { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; }
    """

    def __init__(self, id: str | None = None) -> None:  # noqa: A002 (as every widget has it)
        super().__init__(cursor_type="row", cell_padding=0, id=id)
        self._rows: dict[Path, Listed] = {}
        self._marked: AbstractSet[Path] = frozenset()
        self._widths: dict[str, int] = {}

    @property
    def shown(self) -> list[Path]:
        """The runs in the order of their rows."""
        return list(self._rows)

    @property
    def current(self) -> Path | None:
        """The run under the cursor."""
        return self.shown[self.cursor_row] if 0 <= self.cursor_row < len(self._rows) else None

    def show(self, runs: Sequence[Listed], marked: AbstractSet[Path]) -> None:
        """Make the rows those of ``runs``; the cursor stays on its run, wherever that goes."""
        wanted = {listed.run.path: listed for listed in runs}
        old = self._rows
        marks_changed = marked ^ self._marked
        current = self.current
        self._rows, self._marked = wanted, frozenset(marked)
        if not self._widths or list(wanted)[: len(old)] != list(old):
            self._fill(current)
            return
        for path, listed in wanted.items():
            if path not in old:
                self.add_row(*self._cells(listed), key=str(path))
            elif listed is not old[path] or path in marks_changed:
                for key, cell in zip(("mark", *self._widths), self._cells(listed), strict=True):
                    self.update_cell(str(path), key, cell)

    def on_mount(self) -> None:
        """Take on the colours of another theme when there is one."""
        self.app.theme_changed_signal.subscribe(self, lambda _: self._fill(self.current))

    def on_resize(self) -> None:
        """Choose the columns anew; a cell is left for the scrollbar, so that none moves when it comes."""
        widths = plan(self.outer_size.width - 1)
        if widths != self._widths:
            current = self.current
            self._widths = widths
            self.clear(columns=True)
            self.add_column(Text(" "), width=2, key="mark")
            for key, width in widths.items():
                title, right = _COLUMNS[key].title, _COLUMNS[key].right
                self.add_column(Text(title.rjust(width) if right else title), width=width + 1, key=key)
            self._fill(current)

    def _fill(self, current: Path | None) -> None:
        """Make all rows anew, with the cursor on ``current``, or where it was if that is gone."""
        row = self.cursor_row
        self.clear()
        if not self._widths:  # not laid out yet
            return
        for path, listed in self._rows.items():
            self.add_row(*self._cells(listed), key=str(path))
        if self._rows:
            at = self.shown.index(current) if current in self._rows else min(row, len(self._rows) - 1)
            self.move_cursor(row=at, animate=False)

    def _cells(self, listed: Listed) -> list[Text]:
        cells = [Text("✓" if listed.run.path in self._marked else " ", "bold")]
        readable = listed.summary is not None
        for key, width in self._widths.items():
            cell = _COLUMNS[key].cell(listed, width) if readable or key in _OF_EVERY_RUN else Text("")
            if key == "state":
                cell.stylize(themed(self.app, GLYPHS[listed.doing][1]))
            cell.truncate(width, overflow="ellipsis")
            if _COLUMNS[key].right:
                cell.align("right", width)
            cell.no_wrap = True
            cells.append(cell)
        return cells
