"""Every chart of the run in a grid, with a filter: one a metric, one a part of the network."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Grid
from textual.events import Resize
from textual.message import Message
from textual.widgets import Input, Static

from resnet_tui.charts.curves import Curve, curves, with_words
from resnet_tui.panel import Panel
from resnet_tui.run.state import RunState
from resnet_tui.view import View
from resnet_tui.widgets.chart import Chart

_WIDTH, _HEIGHT = 38, 9
"""Cells below which a chart is no longer worth its place."""
_MOST = 24


class ChartsTab(Panel, can_focus=True):
    """A page of charts, as many as fit. It has the keys itself, since any of its charts may go."""

    topics = frozenset({"steps", "evaluations", "gradients", "system", "marks", "shapes"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", id="charts.filter"),
        Binding("pagedown", "page(1)", "next page", id="charts.next"),
        Binding("pageup", "page(-1)", "page before", id="charts.previous", show=False),
        Binding("escape", "close", "all charts", id="charts.close"),
    ]
    DEFAULT_CSS = """
    ChartsTab { layout: vertical; }
    ChartsTab #line { height: 1; layout: horizontal; }
    ChartsTab #filter { width: 30; display: none; }
    ChartsTab #page { width: 1fr; height: 1; color: $text-muted; padding: 0 1; }
    ChartsTab Grid { height: 1fr; grid-gutter: 0; }
    """

    class Filtered(Message):
        """The filter became another, to be kept for the next session."""

        def __init__(self, text: str) -> None:
            self.text = text
            super().__init__()

    def __init__(self, filter_text: str = "") -> None:
        """Begin with ``filter_text``: words that must all be in a chart's name."""
        super().__init__()
        self._filter = filter_text
        self._page = 0
        self._seen: tuple[RunState, View] | None = None
        self._charts = [Chart() for _ in range(_MOST)]

    def compose(self) -> ComposeResult:
        """Yield the filter's line and the grid."""
        with Container(id="line"):
            yield Input(self._filter, placeholder="words, such as stage3", id="filter", compact=True)
            yield Static("", id="page", markup=False)
        with Grid():
            yield from self._charts

    @property
    def shape(self) -> tuple[int, int]:
        """Columns and rows of the grid."""
        columns = max(1, min(4, self.size.width // _WIDTH))
        rows = max(1, min(_MOST // columns, (self.size.height - 1) // _HEIGHT))
        return columns, rows

    def show(self, state: RunState, view: View) -> None:
        """Draw the charts of the page."""
        self._seen = state, view
        chosen = self._chosen(state)
        columns, rows = self.shape
        fit = columns * rows
        self._page = min(self._page, max(0, (len(chosen) - 1) // fit))
        page = chosen[self._page * fit : (self._page + 1) * fit]
        grid = self.query_one(Grid)
        grid.styles.grid_size_columns, grid.styles.grid_size_rows = columns, rows
        for index, chart in enumerate(self._charts):
            chart.display = index < len(page)
            if index < len(page):
                plot = page[index].build(state, view)
                chart.plot = plot if len(page) > 1 else with_words(plot, state, view)
        pages = max(1, -(-len(chosen) // fit))
        wanted = f"filter: {self._filter}  " if self._filter else ""
        count = f"{len(chosen)} chart{'s' if len(chosen) > 1 else ''}"
        text = f"{count}, page {self._page + 1} of {pages}" if chosen else "no such chart"
        self.query_one("#page", Static).update(f"{wanted}{text}", layout=False)

    def _chosen(self, state: RunState) -> list[Curve]:
        words = self._filter.lower().split()
        return [curve for curve in curves(state) if all(word in curve.key.lower() for word in words)]

    def on_resize(self, _event: Resize) -> None:
        """Fit the grid anew."""
        self._again()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 (of the base)
        """Offer to take the filter away where there is one."""
        return action != "close" or bool(self._filter) or self._line.display

    @property
    def _line(self) -> Input:
        return self.query_one("#filter", Input)

    def action_filter(self) -> None:
        """Open the filter's line."""
        self._line.display = True
        self.screen.set_focus(self._line)  # at once, so that what is typed next goes there
        self.refresh_bindings()

    def action_close(self) -> None:
        """Take the filter away."""
        self._line.value = ""
        self._close_line()

    def action_page(self, by: int) -> None:
        """Turn the page."""
        self._page = max(0, self._page + by)
        self._again()

    @on(Input.Changed)
    def _filter_as_typed(self, event: Input.Changed) -> None:
        event.stop()
        if event.value != self._filter:
            self._filter, self._page = event.value, 0
            self._again()
            self.post_message(self.Filtered(self._filter))
            self.refresh_bindings()

    @on(Input.Submitted)
    def _filter_done(self, event: Input.Submitted) -> None:
        event.stop()
        self._close_line()

    def _close_line(self) -> None:
        self._line.display = False
        self.focus()
        self.refresh_bindings()

    def _again(self) -> None:
        if self._seen is not None:
            self.show(*self._seen)
