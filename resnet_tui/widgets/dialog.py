"""What all dialogs have in common: a frame in the middle with a title, a hint of the keys, and escape."""

from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen

Answer = TypeVar("Answer")


class Dialog(ModalScreen[Answer | None]):
    """Asks something; None says that the person thought better of it. A subclass says what is in the frame."""

    DEFAULT_CSS = """
    Dialog {
        align: center middle;
        & > #dialog {
            width: 72;
            max-width: 100%;
            height: auto;
            max-height: 100%;
            overflow-y: auto;
            scrollbar-size-vertical: 1;
            border: round $primary;
            border-title-style: bold;
            border-title-color: $text;
            border-subtitle-color: $text-muted;
            background: $surface;
            padding: 0 1;
        }
        & > #dialog > Static { height: auto; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "cancel", id="dialog.cancel")]

    def __init__(self, title: str, hint: str) -> None:
        """Get ready to ask.

        Args:
            title: a few words, in the frame's upper edge.
            hint: the keys, in its lower edge.
        """
        super().__init__()
        self._title, self._hint = title, hint

    def compose(self) -> ComposeResult:
        """Lay out the frame and what the subclass has in it."""
        with Vertical(id="dialog") as frame:
            frame.border_title, frame.border_subtitle = Content(self._title), Content(self._hint)
            yield from self.compose_inside()

    def compose_inside(self) -> ComposeResult:
        """Yield what is in the frame."""
        raise NotImplementedError

    def dismiss(self, result: Answer | None = None) -> AwaitComplete:
        """Close with an answer; a second one, typed in the same moment, has nothing more to close."""
        return super().dismiss(result) if self.is_active else AwaitComplete()
