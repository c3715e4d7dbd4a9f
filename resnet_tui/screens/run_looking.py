"""The keys that look at a run: axis, scale, smoothing, zoom and the cursor that all charts share."""

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.screen import Screen

from resnet_tui.charts import curves
from resnet_tui.messages import LooksChanged
from resnet_tui.run.state import RunState
from resnet_tui.view import AXES, SMOOTHING, View
from resnet_tui.widgets.chart import Chart
from resnet_tui.widgets.heat_map import HeatMap

_ZOOM = 0.5
_COLUMNS = 60
"""Steps of the cursor from end to end where no chart says how wide a column is."""


class RunLooking(Screen[None]):
    """The looking half of the run screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "axis", "axis", id="view.axis", tooltip="axis: step, epoch, time"),
        Binding("l", "log", "log", id="view.log", tooltip="logarithmic scale", show=False),
        Binding("left_square_bracket", "smooth(-1)", "less smoothing", id="view.less", show=False),
        Binding("right_square_bracket", "smooth(1)", "more smoothing", id="view.more", show=False),
        Binding("plus,equals_sign", "zoom(1)", "zoom in", id="view.in", show=False),
        Binding("minus", "zoom(-1)", "zoom out", id="view.out", show=False),
        Binding("0", "whole", "whole run", id="view.whole", show=False),
        Binding("left", "cursor(-1)", "cursor left", id="view.left", show=False),
        Binding("right", "cursor(1)", "cursor right", id="view.right", show=False),
        Binding("comma", "pan(-1)", "pan left", id="view.pan_left", show=False),
        Binding("full_stop", "pan(1)", "pan right", id="view.pan_right", show=False),
        Binding("escape", "no_cursor", "no cursor", id="view.no_cursor", show=False),
    ]

    state: RunState
    view: View
    charts_filter: str

    @property
    def tab(self) -> str:
        """The open tab."""
        raise NotImplementedError

    def draw_all(self) -> None:
        """Draw at once, since a person asked to see it."""
        raise NotImplementedError

    def keep_looks(self) -> None:
        """Let the next session begin with this view, tab and filter."""
        self.post_message(LooksChanged(self.view, self.tab, self.charts_filter))

    def say(self, text: str) -> None:
        """Tell the person at the screen."""
        raise NotImplementedError

    def looks(self, view: View) -> None:
        """Look in another way, at once."""
        self.view = view
        self.draw_all()
        self.keep_looks()

    def _change(self, change: Callable[[View], View]) -> None:
        self.looks(change(self.view))

    def action_axis(self) -> None:
        """Go to the next axis."""
        self._change(lambda view: view.with_axis(AXES[(AXES.index(view.axis) + 1) % len(AXES)]))
        self.say(f"axis: {self.view.axis}")

    def action_log(self) -> None:
        """Switch the logarithmic scale."""
        self._change(lambda view: replace(view, log=not view.log))
        self.say(f"scale: {'logarithmic' if self.view.log else 'linear'}")

    def action_smooth(self, by: int) -> None:
        """Smooth more or less."""
        now = min(range(len(SMOOTHING)), key=lambda i: abs(SMOOTHING[i] - self.view.smoothing))
        amount = SMOOTHING[min(max(0, now + by), len(SMOOTHING) - 1)]
        self._change(lambda view: replace(view, smoothing=amount))
        self.say(f"smoothing: {f'moving average, {amount:g} of the value before' if amount else 'none'}")

    def action_zoom(self, direction: int) -> None:
        """See less of the axis, larger, or more."""
        factor = _ZOOM if direction > 0 else 1 / _ZOOM
        self._change(lambda view: view.zoomed(factor, curves.whole(self.state, view)))

    def action_whole(self) -> None:
        """See all of the axis."""
        self._change(lambda view: replace(view, window=None))

    def action_pan(self, direction: int) -> None:
        """Move along the axis."""
        self._change(lambda view: view.panned(direction * _ZOOM, curves.whole(self.state, view)))

    def action_cursor(self, direction: int) -> None:
        """Move the cursor of all charts by a column."""
        low, high = self.view.window or curves.whole(self.state, self.view)
        chart = next(iter(self.query(Chart)), None)
        step = (chart.x_step() if chart is not None else None) or (high - low) / _COLUMNS
        at = self.view.cursor
        moved = high if at is None else min(max(low, at + direction * step), high)
        self._change(lambda view: replace(view, cursor=moved))

    def action_no_cursor(self) -> None:
        """Take the cursor away."""
        self._change(lambda view: replace(view, cursor=None))

    @on(Chart.CursorMoved)
    @on(HeatMap.CursorMoved)
    def _pointed(self, message: Chart.CursorMoved | HeatMap.CursorMoved) -> None:
        message.stop()
        if message.x != self.view.cursor:
            self._change(lambda view: replace(view, cursor=message.x))
