"""The gradients tab: which parts of the network learn how much, now and over the run."""

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Static

from resnet_tui.charts import norms
from resnet_tui.panel import Panel
from resnet_tui.run.gradient_history import RULE
from resnet_tui.run.state import RunState
from resnet_tui.tabs.part import PartView
from resnet_tui.view import View
from resnet_tui.widgets.block_list import BlockList
from resnet_tui.widgets.heat_map import HeatMap
from resnet_tui.widgets.rows import Rows

_NARROW = 60
"""Columns below which the list has the room for itself."""
_LOW = 8
"""Rows below which there is room for nothing but it."""


class GradientsTab(Panel):
    """A list of the parts beside the picture of their history; a part opens to a view of its own."""

    topics = frozenset({"gradients", "marks", "shapes"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "open", id="gradients.open"),
        Binding("o", "sort", "order", id="gradients.sort"),
        Binding("escape", "close", "back", id="gradients.close"),
    ]
    DEFAULT_CSS = """
    GradientsTab {
        layout: vertical;
        & #gradient-facts { height: 1; text-wrap: nowrap; text-overflow: ellipsis; padding: 0 1; }
        & #gradient-rule { height: auto; max-height: 2; color: $text-muted; padding: 0 1; }
        & #gradient-parts { height: 1fr; }
        & BlockList { width: 45%; min-width: 36; max-width: 68; }
        & PartView { display: none; height: 1fr; }
        &.narrow BlockList { width: 1fr; max-width: 100%; min-width: 1; }
        &.narrow HeatMap { display: none; }
        &.low #gradient-facts, &.low #gradient-rule { display: none; }
        &.open PartView { display: block; }
        &.open #gradient-facts, &.open #gradient-rule, &.open #gradient-parts { display: none; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[RunState, View] | None = None
        self._facts = Static(markup=False, id="gradient-facts")
        self._list, self._map, self._part = BlockList(), HeatMap(facts=False), PartView()

    def compose(self) -> ComposeResult:
        """Yield the summary, list and picture, the rule of the flags, and the view of one part."""
        yield self._facts
        with Horizontal(id="gradient-parts"):
            yield self._list
            yield self._map
        yield Static(RULE, markup=False, id="gradient-rule")
        yield self._part

    def show(self, state: RunState, view: View) -> None:
        """Draw what is seen: the parts, or the one that is open."""
        self._shown = state, view
        if self.has_class("open"):
            self._part.show(state, view)
            return
        shown = norms.norms(state, view)
        self._facts.update(Text(" · ".join(shown.facts()) or norms.absence(state)), layout=False)
        self._map.show(state, view, shown)
        each = self._map.rows_each() if not self._list.by_norm else 0
        self._list.show_norms(shown, state.gradients, max(1, each))
        self._map.name_parts(not each)
        self._map.select(self._list.part)

    def take_keys(self) -> None:
        """Give the keys to the list, or to the open part."""
        if self.has_class("open"):
            self._part.take_keys()
        else:
            self._list.focus()

    def on_resize(self) -> None:
        """Leave the room to the list where there is little, and draw again."""
        self.set_class(self.size.width < _NARROW, "narrow")
        self.set_class(self.size.height < _LOW, "low")
        self.call_after_refresh(self._again)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Offer what works now."""
        return {"close": self.has_class("open"), "open": not self.has_class("open"),
                "sort": not self.has_class("open")}.get(action, True)  # fmt: skip

    def action_sort(self) -> None:
        """Change between the network's order and the smallest norm first, which is then chosen."""
        self._list.by_norm = not self._list.by_norm
        self._again()
        if self._list.by_norm:
            self._list.choose(0)

    def action_open(self) -> None:
        """Open the chosen part."""
        if self._shown is None or self._list.part is None:
            return
        self._part.part = self._list.part
        self._turn(opened=True)

    def action_close(self) -> None:
        """Go back to all parts."""
        self._turn(opened=False)

    def _turn(self, *, opened: bool) -> None:
        self.set_class(opened, "open")
        self.refresh_bindings()
        self.call_after_refresh(self._turned)

    def _turned(self) -> None:
        """Draw what is seen now, once it has its size."""
        self._again()
        self.take_keys()

    def _again(self) -> None:
        if self._shown is not None:
            self.show(*self._shown)

    @on(Rows.Moved)
    def _chosen(self, event: Rows.Moved) -> None:
        event.stop()
        self._map.select(self._list.part)

    @on(Rows.Opened)
    def _opened(self, event: Rows.Opened) -> None:
        event.stop()
        self.action_open()

    @on(HeatMap.Picked)
    def _picked(self, event: HeatMap.Picked) -> None:
        event.stop()
        self._list.select(event.part)
        self._list.focus()
