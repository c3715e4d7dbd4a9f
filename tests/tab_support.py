"""One tab of the run screen in an app of its own, fed with a state."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widgets import Footer
from tui_support import until

from engine.events import Event
from resnet_tui.panel import Panel
from resnet_tui.run.state import RunState
from resnet_tui.view import View


class TabApp(App[None]):
    """Shows ``tab``; ``feed`` draws it as the run screen does."""

    AUTO_FOCUS = ""  # as the run screen: the tab is given the keys once, below

    def __init__(self, tab: Panel, *, ascii_only: bool = False) -> None:
        super().__init__()
        self.tab, self.ascii_only, self.state = tab, ascii_only, RunState()

    def compose(self) -> ComposeResult:
        yield self.tab
        yield Footer()

    def on_mount(self) -> None:
        self.tab.styles.height = "1fr"
        self.call_after_refresh(self.tab.take_keys)  # as the run screen does when it has opened one

    def feed(self, *events: Event, one_by_one: bool = False) -> None:
        for event in events:
            self.state.apply(event)
            if one_by_one:
                self.draw()
        self.draw()

    def draw(self) -> None:
        self.tab.show(self.state, View())


@asynccontextmanager
async def opened(app: TabApp, size: tuple[int, int]) -> AsyncIterator[Pilot[None]]:
    """Run ``app``; its tab has the keys by then: one that is pressed before would be nobody's."""
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.focused is not None)
        yield pilot
