"""A question whose answer is typed."""

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static


class AskValue(ModalScreen[str | None]):
    """Asks for one value, and returns it as typed once it is valid; None where the person thought better of it."""

    DEFAULT_CSS = """
    AskValue {
        align: center middle;
        & > #dialog {
            width: 66;
            max-width: 100%;
            height: auto;
            max-height: 100%;
            border: round $primary;
            border-title-style: bold;
            border-title-color: $text;
            background: $surface;
            padding: 0 1;
        }
        #problem { height: auto; color: $error; }
        #hint { height: 1; color: $text-muted; text-align: right; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Cancel", id="ask_value.cancel")]

    def __init__(self, title: str, text: str, value: str, problem: Callable[[str], str]) -> None:
        """Get ready to ask.

        Args:
            title: a few words.
            text: what is asked for.
            value: the answer that is proposed.
            problem: returns what is wrong with an answer and what is allowed; nothing where it is valid.
        """
        super().__init__()
        self._title, self._text, self._value, self._problem = title, text, value, problem

    def compose(self) -> ComposeResult:
        """Lay out text, field, what is wrong, and a hint of the keys."""
        with Vertical(id="dialog") as dialog:
            dialog.border_title = Content(self._title)
            yield Static(Content(self._text))
            yield Input(self._value, compact=True)
            yield Static("", id="problem", markup=False)
            yield Static(Content("enter takes it · escape cancels"), id="hint")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Say at once what is wrong."""
        self.query_one("#problem", Static).update(Content(self._problem(event.value.strip())))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Return a valid answer."""
        if not self._problem(answer := event.value.strip()):
            self.dismiss(answer)
