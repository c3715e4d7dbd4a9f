"""A question whose answer is typed."""

from collections.abc import Callable

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Input, Static

from resnet_tui.widgets.dialog import Dialog


class AskValue(Dialog[str]):
    """Asks for one value, and returns it as typed once it is valid; None where the person thought better of it."""

    DEFAULT_CSS = """
    AskValue #problem { color: $text-error; }
    """

    def __init__(self, title: str, text: str, value: str, problem: Callable[[str], str]) -> None:
        """Get ready to ask.

        Args:
            title: a few words.
            text: what is asked for.
            value: the answer that is proposed.
            problem: returns what is wrong with an answer and what is allowed; nothing where it is valid.
        """
        super().__init__(title, "enter takes it · escape cancels")
        self._text, self._value, self._problem = text, value, problem

    def compose_inside(self) -> ComposeResult:
        """Lay out text, field and what is wrong."""
        yield Static(Content(self._text))
        yield Input(self._value, compact=True)
        yield Static("", id="problem", markup=False)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Say at once what is wrong."""
        self.query_one("#problem", Static).update(Content(self._problem(event.value.strip())))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Return a valid answer."""
        if not self._problem(answer := event.value.strip()):
            self.dismiss(answer)
