"""One line of tabs, each with its digit; a click chooses one."""

from collections.abc import Sequence

from rich.text import Text
from textual.events import Click
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

_HINT = "? help "


class TabBar(Widget):
    """Draws the names; which one is open is the screen's to say."""

    DEFAULT_CSS = "TabBar { height: 1; background: $surface; }"
    active: reactive[str] = reactive("")

    class Chosen(Message):
        """A person clicked a tab."""

        def __init__(self, tab: str) -> None:
            self.tab = tab
            super().__init__()

    def __init__(self, tabs: Sequence[str]) -> None:
        """Show ``tabs`` from left to right."""
        super().__init__()
        self._tabs = tuple(tabs)

    def render(self) -> Text:
        """Return the line: names where they fit, else digits with the open one's name."""
        text = Text(no_wrap=True, overflow="crop")
        for label, tab in self._labels():
            text.append(label, "bold reverse" if tab == self.active else "")
        room = self.size.width - text.cell_len
        if room > len(_HINT):
            text.append(" " * (room - len(_HINT))).append(_HINT, "dim")
        return text

    def _labels(self) -> list[tuple[str, str]]:
        full = [(f" {i} {tab} ", tab) for i, tab in enumerate(self._tabs, 1)]
        if sum(len(label) for label, _ in full) <= self.size.width:
            return full
        return [(f" {i} {tab} " if tab == self.active else f" {i} ", tab) for i, tab in enumerate(self._tabs, 1)]

    def on_click(self, event: Click) -> None:
        """Tell which tab lies there."""
        right = 0
        for label, tab in self._labels():
            right += len(label)
            if event.x < right:
                self.post_message(self.Chosen(tab))
                return
