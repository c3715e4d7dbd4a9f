"""A question with named choices, each with what it does."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.style import Style
from rich.table import Table
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from resnet_tui.charts.colours import themed
from resnet_tui.widgets.dialog import Dialog

_FRAME = 2
"""Lines of the dialog that are neither its text nor its choices: its border."""


@dataclass(frozen=True)
class Choice:
    """One answer."""

    id: str
    label: str
    explanation: str = ""
    """What it does, in a sentence."""
    variant: Literal["default", "primary", "warning", "error"] = "default"
    key: str = ""
    """The letter that takes it; empty: the first of its label that is still free."""


class Confirm(Dialog[str]):
    """Asks, and returns the id of the choice that was made; None where the person thought better of it."""

    DEFAULT_CSS = """
    Confirm {
        & > #dialog { overflow-y: hidden; }
        #text { height: auto; margin-bottom: 1; scrollbar-size-vertical: 1; }
        #choices {
            height: auto;
            border: none;
            padding: 0;
            background: $surface;
            scrollbar-size-vertical: 1;
        }
        &.-small #text { margin-bottom: 0; }
    }
    """

    def __init__(self, title: str, text: str, choices: Sequence[Choice], default: str | None = None) -> None:
        """Get ready to ask.

        Args:
            title: a few words.
            text: what it is about; lines may be several.
            choices: at least one; each answers to a letter of its label, which is shown beside it.
            default: id of the choice that enter takes at first; None: the first.
        """
        super().__init__(title, "↑↓ enter, or a letter · escape cancels")
        self._text, self._choices = text, tuple(choices)
        self._default = default
        self._letters = _letters(self._choices)

    def compose_inside(self) -> ComposeResult:
        """Lay out text and choices."""
        if self._text:
            with VerticalScroll(id="text", can_focus=False):
                yield Static(Content(self._text))
        yield OptionList(*map(self._option, self._choices), id="choices")

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
    """Return the key of each choice: its own, else the first letter of its label that is still free."""
    taken = {choice.key: choice.id for choice in choices if choice.key}
    for choice in choices:
        free = (letter for letter in choice.label.casefold() if letter.isalnum() and letter not in taken)
        if not choice.key and (letter := next(free, None)) is not None:
            taken[letter] = choice.id
    return taken
