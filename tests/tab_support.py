"""One tab of the run screen in an app of its own, fed with a state."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.widgets import Footer

from engine.events import Event
from resnet_tui.panel import Panel
from resnet_tui.run.state import RunState
from resnet_tui.view import View


class TabApp(App[None]):
    """Shows ``tab``; ``feed`` draws it as the run screen does."""

    def __init__(self, tab: Panel, *, ascii_only: bool = False) -> None:
        super().__init__()
        self.tab, self.ascii_only, self.state = tab, ascii_only, RunState()

    def compose(self) -> ComposeResult:
        yield self.tab
        yield Footer()

    def on_mount(self) -> None:
        self.tab.styles.height = "1fr"
        self.focus_tab()

    def focus_tab(self) -> None:
        """Give the keys to the tab, as the run screen does when it opens one."""
        target = next((widget for widget in self.tab.query("*") if widget.focusable and widget.display), None)
        if self.tab.can_focus:
            self.tab.focus()
        elif target is not None:
            target.focus()

    def feed(self, *events: Event, one_by_one: bool = False) -> None:
        for event in events:
            self.state.apply(event)
            if one_by_one:
                self.draw()
        self.draw()

    def draw(self) -> None:
        self.tab.show(self.state, View())
