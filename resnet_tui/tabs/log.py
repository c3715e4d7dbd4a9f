"""Everything that a run said, as it says it."""

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Checkbox, Input, Static

from engine.run_dir import RunDir
from resnet_tui.messages import post
from resnet_tui.panel import Panel
from resnet_tui.run.log_tail import LogTail
from resnet_tui.run.state import RunState, Topic
from resnet_tui.view import View
from resnet_tui.widgets.log_view import LogView


class SearchLine(Input):
    """Says in the footer what enter does."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "submit", "keep search", id="log.keep")]


class LogTab(Panel):
    """Follows ``log.txt``: opening facts, epochs, controls, warnings, stray prints, tracebacks."""

    topics: frozenset[Topic] = frozenset()
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "search", id="log.search"),
        Binding("f", "filter", "only matching", id="log.filter"),
        Binding("w", "wrap", "wrap", id="log.wrap"),
        Binding("n", "match(1)", "next match", id="log.next"),
        Binding("N", "match(-1)", "match before", id="log.previous", show=False),
        Binding("down", "match(1)", "next match", id="log.down", show=False),
        Binding("up", "match(-1)", "match before", id="log.up", show=False),
        Binding("escape", "close", "end search", id="log.close"),
    ]
    DEFAULT_CSS = """
    LogTab { layout: vertical; }
    LogTab LogView { height: 1fr; padding: 0 0 0 1; }
    LogTab #search { height: 1; display: none; }
    LogTab.searching #search { display: block; }
    LogTab #search Input { width: 1fr; }
    LogTab #search Checkbox { width: auto; margin: 0 1; }
    LogTab #place { height: 1; padding: 0 1; color: $text-muted; }
    """

    class _Came(Message):
        """The thread has read lines."""

    def __init__(self, run: RunDir | None) -> None:
        """Follow the log of ``run``; with None there is none to follow."""
        super().__init__()
        self._view = LogView()
        self._tail = LogTail(run.log, lambda: post(self, self._Came())) if run else None

    def compose(self) -> ComposeResult:
        """Yield the lines, the search and the place."""
        yield self._view
        with Horizontal(id="search"):
            yield SearchLine(placeholder="search: enter keeps it, ↑ ↓ go to matches, escape ends it", compact=True)
            yield Checkbox("only matching lines", compact=True)
        yield Static(id="place", markup=False)

    def on_mount(self) -> None:
        """Begin to read."""
        if self._tail is not None:
            self._tail.start()
        self._say_place()

    def on_unmount(self) -> None:
        """Stop reading."""
        if self._tail is not None:
            self._tail.stop()

    def show(self, state: RunState, view: View) -> None:
        """Do nothing: the file says it all."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 (of the base)
        """Leave keys of a search alone while there is none."""
        return action not in {"match", "close", "filter"} or self.has_class("searching")

    @property
    def _line(self) -> Input:
        return self.query_one(Input)

    def action_search(self) -> None:
        """Open the search, or go back to it."""
        self.add_class("searching")
        self.refresh_bindings()
        self._line.focus()

    def action_close(self) -> None:
        """End the search; all lines are shown again."""
        self._line.value = ""
        self.query_one(Checkbox).value = False
        self.remove_class("searching")
        self.refresh_bindings()
        self._view.focus()

    def action_filter(self) -> None:
        """Show only lines that match, or all again."""
        self.query_one(Checkbox).toggle()

    def action_wrap(self) -> None:
        """Wrap long lines, or no longer."""
        self._view.wrap()

    def action_match(self, by: int) -> None:
        """Go to another match."""
        self._view.next_match(by)

    @on(Input.Changed)
    @on(Checkbox.Changed)
    def _search_as_typed(self, event: Message) -> None:
        event.stop()
        self._view.search(self._line.value, only_matching=self.query_one(Checkbox).value)

    @on(Input.Submitted)
    def _leave_line(self, event: Input.Submitted) -> None:
        """Give the keys back to the lines; what is searched for stays."""
        event.stop()
        if event.value:
            self._view.focus()
        else:
            self.action_close()

    @on(_Came)
    def _take(self, event: Message) -> None:
        event.stop()
        if self._tail is not None:
            self._view.extend(self._tail.take())

    @on(LogView.Moved)
    def _moved(self, event: LogView.Moved) -> None:
        event.stop()
        self._say_place()

    def _say_place(self) -> None:
        view = self._view
        if not view.lines:
            text = "nothing yet" if self._tail is not None else "this run keeps no log"
        else:
            text = "following" if view.following else f"… {view.below:,} more below; end follows"
            text += f" · {sum(line.level != 'day' for line in view.lines):,} lines"
        if self._line.value:
            number, count = view.place
            text += f" · match {number:,} of {count:,}" if count else " · no match"
        self.query_one("#place", Static).update(Text(text, no_wrap=True, overflow="ellipsis"), layout=False)
