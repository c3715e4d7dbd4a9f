"""Runs side by side."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, get_args

from rich.table import Table
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Static

from engine.run_dir import RunDir
from resnet_tui.charts.colours import themed
from resnet_tui.charts.comparison import COLOURS, Row, differing, notes, outcomes, plot, setting_text
from resnet_tui.messages import post
from resnet_tui.run.compared import Compared, Quantity, Reader, on_one_scale
from resnet_tui.view import Axis, View
from resnet_tui.widgets.chart import Chart
from resnet_tui.widgets.heat_map import HeatMap
from resnet_tui.widgets.keys import Keys

MOST = len(COLOURS)
"""Runs that can be told apart on one chart."""
_AXES: tuple[Axis, ...] = ("epoch", "time", "step")
_AXIS_WORDS: dict[Axis, str] = {"epoch": "epochs", "time": "time", "step": "steps"}


class _Read(Message):
    """A run of the comparison was read, or could not be."""

    def __init__(self, place: int, what: Compared | str) -> None:
        self.place, self.what = place, what
        super().__init__()


class CompareScreen(Screen[None]):
    """The curves of several runs on the same axes, or their gradients side by side; below, figures and settings."""

    CSS_PATH = "compare.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "axis", "axis", id="compare.axis", tooltip="curves over epochs, time or steps"),
        Binding("l", "log", "log scale", id="compare.log"),
        Binding(
            "g", "gradients", "gradients", id="compare.gradients", tooltip="gradients of all parts, or curves again"
        ),
        Binding("escape", "back", "back", id="compare.back", tooltip="let go of the cursor; go back to the runs"),
    ]

    def __init__(self, runs: Sequence[RunDir]) -> None:
        """Compare ``runs``, at most ``MOST``."""
        super().__init__()
        self._runs = tuple(runs)
        self._read: dict[int, Compared] = {}
        self._problems: dict[int, str] = {}
        self._axis: Axis = _AXES[0]
        self._log = False
        self._cursor: float | None = None
        self._reader: Reader | None = None
        self._charts: dict[Quantity, Chart] = {quantity: Chart() for quantity in get_args(Quantity)}
        self._maps = [HeatMap() for _ in self._runs]

    def compose(self) -> ComposeResult:
        """Lay out charts or heat maps above tables."""
        yield Static(id="summary")
        with Horizontal(id="charts"):
            yield from self._charts.values()
        with Horizontal(id="maps"):
            for place, run in enumerate(self._runs):
                with Vertical():
                    yield Static(Text(f"{place + 1} {run.name}", COLOURS[place % MOST]), classes="name")
                    yield self._maps[place]
        with VerticalScroll(id="tables"):
            yield Static(id="problems")
            yield Static(id="notes")
            yield Static(id="figures")
            yield Static(id="settings")
        yield Keys()

    def on_mount(self) -> None:
        """Show what is known: nothing yet."""
        self.query_one("#tables").focus()
        self._show()

    def on_screen_resume(self) -> None:
        """Read what is not read yet, and what goes on, from now on."""
        done = [place for place, run in self._read.items() if not run.listed.alive]
        self._stop()
        self._reader = Reader({i: run for i, run in enumerate(self._runs) if i not in done}, self._tell)
        self._reader.start()

    def on_screen_suspend(self) -> None:
        """Read no more while nobody sees it."""
        self._stop()

    def on_unmount(self) -> None:
        """Read no more."""
        self._stop()

    def _stop(self) -> None:
        if self._reader is not None:
            self._reader.stop()

    def on_resize(self, event: events.Resize) -> None:
        """Show as many charts as are worth their place."""
        self.set_class(event.size.height < 14, "-low")
        self._choose_charts(event.size.width)

    def _tell(self, place: int, what: Compared | str) -> None:
        """Take a run over from the thread that reads."""
        post(self, _Read(place, what))

    def on__read(self, message: _Read) -> None:
        """Take in a run."""
        if isinstance(message.what, Compared):
            self._read[message.place] = message.what
            self._problems.pop(message.place, None)
        else:
            self._problems[message.place] = message.what
        self._show()

    def on_chart_cursor_moved(self, event: Chart.CursorMoved) -> None:
        """Read all charts at the same place."""
        self._cursor = event.x
        self._draw()

    def action_axis(self) -> None:
        """Take the next axis."""
        self._axis = _AXES[(_AXES.index(self._axis) + 1) % len(_AXES)]
        self._cursor = None
        self._show()

    def action_back(self) -> None:
        """Let go of the cursor; where there is none, leave."""
        if self._cursor is not None:
            self._cursor = None
            self._draw()
        else:
            self.dismiss()

    def action_log(self) -> None:
        """Put losses and norms on a logarithmic scale, or back."""
        self._log = not self._log
        self._show()

    def action_gradients(self) -> None:
        """Show the gradients of all parts side by side instead of the curves, or the curves again."""
        self.toggle_class("-maps")
        self._show()

    def _show(self) -> None:
        self._choose_charts(self.size.width)
        self._draw()
        self.query_one("#summary", Static).update(Content(self._summary()))
        runs = [self._read[place] for place in sorted(self._read)]
        self._say("#problems", [f"{place + 1}: {why}" for place, why in sorted(self._problems.items())])
        self._say("#notes", notes(self._read))
        self.query_one("#figures", Static).update(self._figures())
        self.query_one("#settings", Static).update(_settings(differing(runs), sorted(self._read)))

    def _say(self, where: str, lines: Sequence[str]) -> None:
        said = self.query_one(where, Static)
        said.update(Content("\n".join(lines)))
        said.display = bool(lines)

    def _choose_charts(self, width: int) -> None:
        norms = any(len(run.series("gradient norm")) for run in self._read.values())
        self._charts["gradient norm"].display = norms and width >= 120
        self._charts["training loss"].display = width >= 60

    def _draw(self) -> None:
        if not self.has_class("-maps"):
            for quantity, chart in self._charts.items():
                chart.plot = plot(quantity, self._read, self._axis, log=self._log, cursor=self._cursor)
            return
        view = View(axis=self._axis, cursor=self._cursor)
        states = on_one_scale({place: run.state for place, run in self._read.items()})
        for place, state in states.items():
            self._maps[place].show(state, view)

    def _summary(self) -> str:
        text = f"{len(self._runs)} runs over {_AXIS_WORDS[self._axis]}"
        if self.has_class("-maps"):
            text += ", gradients on one scale"
        else:
            text += ", log scale" if self._log else ""
        waiting = len(self._runs) - len(self._read.keys() | self._problems.keys())
        return text + self._as_of() + (f"  reading {waiting} more…" if waiting else "")

    def _as_of(self) -> str:
        """Say when live runs were read: they are read again every few seconds."""
        live = [run.read_at for run in self._read.values() if run.listed.alive]
        if not live:
            return ""
        return f", {len(live)} live, as of {datetime.fromtimestamp(min(live), UTC).astimezone():%H:%M:%S}"

    def _figures(self) -> Table:
        """Return a column a run, a row a figure; the best of a row has a tick."""
        table = _table(range(len(self._runs)))
        for row in outcomes(self._read, [run.name for run in self._runs]):
            table.add_row(Text(row.label, "dim"), *self._cells(row))
        return table

    def _cells(self, row: Row) -> list[Text]:
        style = themed(self.app, "success", bold=True)
        return [Text(f"{text} ✓", style) if row.best and text == row.best else Text(text) for text in row.texts]


def _settings(rows: dict[str, tuple[Any, ...]], places: Sequence[int]) -> Table | Text:
    if len(places) < 2:
        return Text("")
    if not rows:
        return Text("\nEvery setting is the same in these runs.", "dim")
    table = _table(places, "settings that differ")
    for key, values in rows.items():
        table.add_row(Text(key, "dim"), *(Text(setting_text(value)) for value in values))
    return table


def _table(places: Sequence[int], title: str = "") -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), expand=False)
    table.add_column(Text(title, "bold"), no_wrap=True, min_width=13)
    for place in places:
        table.add_column(Text(str(place + 1), f"bold {COLOURS[place % MOST]}"), overflow="fold")
    return table
