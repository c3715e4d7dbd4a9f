"""A question with named choices, each with what it does."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from rich.style import Style
from rich.table import Table
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from resnet_tui.charts.colours import themed

_FRAME = 3
"""Lines of the dialog that are neither its text nor its choices: the border and the hint."""


@dataclass(frozen=True)
class Choice:
    """One answer."""

    id: str
    label: str
    explanation: str = ""
    """What it does, in a sentence."""
    variant: Literal["default", "primary", "warning", "error"] = "default"


class Confirm(ModalScreen[str | None]):
    """Asks, and returns the id of the choice that was made; None where the person thought better of it."""

    DEFAULT_CSS = """
    Confirm {
        align: center middle;
        & > #dialog {
            width: 72;
            max-width: 100%;
            height: auto;
            max-height: 100%;
            border: round $primary;
            border-title-style: bold;
            border-title-color: $text;
            background: $surface;
            padding: 0 1;
        }
        #text { height: auto; margin-bottom: 1; scrollbar-size-vertical: 1; }
        #choices {
            height: auto;
            border: none;
            padding: 0;
            background: $surface;
            scrollbar-size-vertical: 1;
        }
        #hint { height: 1; color: $text-muted; text-align: right; }
        &.-small #text { margin-bottom: 0; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Cancel", id="confirm.cancel")]

    def __init__(self, title: str, text: str, choices: Sequence[Choice], default: str | None = None) -> None:
        """Get ready to ask.

        Args:
            title: a few words.
            text: what it is about; lines may be several.
            choices: at least one; each answers to a letter of its label, which is shown beside it.
            default: id of the choice that enter takes at first; None: the first.
        """
        super().__init__()
        self._title, self._text, self._choices = title, text, tuple(choices)
        self._default = default
        self._letters = _letters(self._choices)

    def compose(self) -> ComposeResult:
        """Lay out text, choices and a hint of the keys."""
        with Vertical(id="dialog") as dialog:
            dialog.border_title = Content(self._title)
            if self._text:
                with VerticalScroll(id="text", can_focus=False):
                    yield Static(Content(self._text))
            yield OptionList(*map(self._option, self._choices), id="choices")
            yield Static(Content("↑↓ enter, letter · escape: cancel"), id="hint")

    def on_mount(self) -> None:
        """Let enter take the default."""
        choices = self.query_one(OptionList)
        ids = [choice.id for choice in self._choices]
        choices.highlighted = ids.index(self._default) if self._default in ids else 0
        choices.focus()

    def on_resize(self, event: events.Resize) -> None:
        """Share the lines that there are between text and choices, so that the choices are seen first."""
        room = max(2, event.size.height - _FRAME)
        self.set_class(event.size.height < 20, "-small")
        text_room = max(1, room // 3)
        for text in self.query("#text"):
            text.styles.max_height = text_room
        self.query_one(OptionList).styles.max_height = max(1, room - (text_room if self._text else 0))

    def on_key(self, event: events.Key) -> None:
        """Take the choice that the letter stands for."""
        if (chosen := self._letters.get((event.character or "").casefold())) is not None:
            event.stop()
            self.dismiss(chosen)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take the choice that was picked."""
        event.stop()
        self.dismiss(event.option_id)

    def _option(self, choice: Choice) -> Option:
        letter = next((letter for letter, chosen in self._letters.items() if chosen == choice.id), " ")
        grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
        grid.add_column(style="bold", width=1)
        grid.add_column(ratio=1)
        grid.add_row(Text(letter), Text(choice.label, self._style(choice)))
        if choice.explanation:
            grid.add_row("", Text(choice.explanation, "dim"))
        return Option(grid, id=choice.id)

    def _style(self, choice: Choice) -> Style:
        match choice.variant:
            case "default":
                return Style()
            case "primary":
                return Style(bold=True)
            case meaning:
                return themed(self.app, meaning, bold=True)


def _letters(choices: Sequence[Choice]) -> dict[str, str]:
    """Return the key of each choice: a letter of its label that no earlier one has, if possible a word's first."""
    taken: dict[str, str] = {}
    for choice in choices:
        label = choice.label.casefold()
        letters = (*(word[0] for word in label.split()), *label)
        free = (letter for letter in letters if letter.isalnum() and letter not in taken)
        if (letter := next(free, None)) is not None:
            taken[letter] = choice.id
    return taken
