"""The first tab: loss, accuracy, gradient norms and learning rate at a glance, and the epochs where there is room."""

from collections.abc import Callable
from functools import partial

from rich.text import Text
from textual.app import ComposeResult
from textual.events import Resize
from textual.widget import Widget

from engine.sinks.table import fit
from resnet_tui.charts import curves
from resnet_tui.charts.plot import Plot
from resnet_tui.panel import Panel
from resnet_tui.run.state import RunState
from resnet_tui.view import View
from resnet_tui.widgets.chart import Chart
from resnet_tui.widgets.heat_map import HeatMap

_WIDE = 170
"""Columns from which the table of epochs stands beside the charts."""


class EpochTable(Widget):
    """The latest epochs, as the headless run prints them."""

    DEFAULT_CSS = "EpochTable { border: round $primary-darken-2; padding: 0 1; }"

    def __init__(self) -> None:
        super().__init__()
        self._text = Text("")
        self.border_title = "epochs"

    def show(self, state: RunState) -> None:
        """Draw as many of the latest epochs as there is room for."""
        table = fit(max(1, self.content_size.width), with_val=bool(state.summary.val_images))
        rows = state.summary.rows[-max(1, self.content_size.height - 1) :]
        best = state.summary.best()
        text = Text(table.header(), "bold", no_wrap=True, overflow="crop")
        for row in rows:
            text.append(f"\n{table.row(row)}")
            if best is not None and row.epoch == best.epoch:
                text.append(table.mark, "bold green")
        if text != self._text:
            self._text = text
            self.refresh()

    def render(self) -> Text:
        """Return the table."""
        return self._text


class OverviewTab(Panel):
    """Charts in a grid of two columns, three on a wide screen."""

    topics = frozenset({"run", "steps", "evaluations", "gradients", "marks"})
    DEFAULT_CSS = """
    OverviewTab { layout: grid; grid-size: 2 2; grid-gutter: 0; }
    OverviewTab.wide { grid-size: 3 2; }
    OverviewTab.low { grid-size: 2 1; }
    OverviewTab EpochTable { display: none; }
    OverviewTab.wide EpochTable { display: block; column-span: 2; }
    OverviewTab.low HeatMap, OverviewTab.low #rate { display: none; }
    OverviewTab.narrow { grid-size: 1 1; }
    OverviewTab.narrow #accuracy, OverviewTab.narrow HeatMap, OverviewTab.narrow #rate { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._charts = {
            "loss": (Chart(id="loss"), curves.loss),
            "accuracy": (Chart(id="accuracy"), curves.accuracy),
            "rate": (Chart(id="rate"), curves.rate),
        }
        self._heat = HeatMap()
        self._epochs = EpochTable()

    def compose(self) -> ComposeResult:
        """Yield the charts in reading order."""
        yield self._charts["loss"][0]
        yield self._charts["accuracy"][0]
        yield self._heat
        yield self._charts["rate"][0]
        yield self._epochs

    def on_resize(self, event: Resize) -> None:
        """Choose a grid that leaves each chart readable."""
        self.set_class(event.size.width >= _WIDE, "wide")
        self.set_class(event.size.height < 12, "low")
        self.set_class(event.size.width < 50, "narrow")

    def take_keys(self) -> None:
        """Leave the keys to the screen: there are none that only work here."""
        self.screen.set_focus(None)

    def show(self, state: RunState, view: View) -> None:
        """Draw what is displayed."""
        parts = [partial(_plot, chart, build, state, view) for chart, build in self._charts.values()]
        self.draw_in_turn([*parts, partial(self._show_tables, state, view)])

    def _show_tables(self, state: RunState, view: View) -> None:
        if self._heat.display:
            self._heat.show(state, view)
        if self._epochs.display:
            self._epochs.show(state)


def _plot(chart: Chart, build: Callable[[RunState, View], Plot], state: RunState, view: View) -> None:
    if chart.display:
        chart.plot = build(state, view)
