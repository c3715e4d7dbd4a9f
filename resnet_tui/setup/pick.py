"""A list of choices with a search."""

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Input, OptionList, Static

from resnet_tui.setup.choices import Option
from resnet_tui.widgets.dialog import Dialog

_ROOM = 3
"""Lines of the dialog that are no choices: its frame and the search."""
_LOW = 16
"""Lines of a terminal below which nothing is explained."""


class Pick(Dialog[Option]):
    """Returns the choice that was made; None: things stay as they are. What is typed searches labels and notes."""

    DEFAULT_CSS = """
    Pick {
        & > #dialog { width: 90%; max-width: 110; }
        & Input { background: $surface; }
        & #about { height: auto; max-height: 4; color: $text-muted; margin-top: 1; }
        & OptionList {
            height: auto;
            border: none;
            padding: 0;
            background: $surface;
            scrollbar-size-vertical: 1;
            text-wrap: nowrap;
            text-overflow: ellipsis;
        }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move('cursor_up')", "up", show=False, id="pick.up"),
        Binding("down", "move('cursor_down')", "down", show=False, id="pick.down"),
        Binding("pageup", "move('page_up')", "page up", show=False, id="pick.page_up"),
        Binding("pagedown", "move('page_down')", "page down", show=False, id="pick.page_down"),
    ]

    def __init__(self, title: str, options: Sequence[Option], now: object, about: str = "") -> None:
        """Offer ``options`` under ``title``; ``now`` is the value at present, ``about`` says what they mean."""
        super().__init__(title, "↑ ↓ enter · type to find · escape")
        self._about = about
        self._options, self._now = tuple(options), now
        self._shown = self._options

    def compose_inside(self) -> ComposeResult:
        """Lay out search, list and what the choices mean."""
        yield Input(placeholder="type to find", compact=True)
        choices = OptionList()
        choices.can_focus = False
        yield choices
        if self._about:
            yield Static(Content(self._about), id="about")

    def on_mount(self) -> None:
        """Begin with the present choice."""
        self._fill()

    def on_resize(self, event: events.Resize) -> None:
        """Leave room for the frame."""
        low = event.size.height < _LOW
        self.query("#about").set(display=not low)
        frame = _ROOM if low or not self._about else _ROOM + 5
        self.query_one(OptionList).styles.max_height = max(1, event.size.height - frame)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show what has all the words."""
        wanted = event.value.casefold().split()
        self._shown = tuple(
            option
            for option in self._options
            if all(word in f"{option.label} {option.note}".casefold() for word in wanted)
        )
        # What begins with it is meant more likely than what has it somewhere.
        self._shown = tuple(
            sorted(self._shown, key=lambda o: bool(wanted) and not o.label.casefold().startswith(wanted[0]))
        )
        self._fill()

    def on_input_submitted(self) -> None:
        """Take what is highlighted."""
        at = self.query_one(OptionList).highlighted
        if at is not None:
            self.dismiss(self._shown[at])

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take what was clicked."""
        event.stop()
        self.dismiss(self._shown[event.option_index])

    def action_move(self, how: str) -> None:
        """Move in the list while the search has the keys."""
        getattr(self.query_one(OptionList), f"action_{how}")()

    def _fill(self) -> None:
        choices = self.query_one(OptionList)
        width = max((len(option.label) for option in self._options), default=0)
        choices.clear_options()
        choices.add_options(
            Content.assemble(
                ("● " if option.value == self._now else "  ", "$accent"),
                option.label.ljust(width + 2),
                (option.note, "$text-muted"),
            )
            for option in self._shown
        )
        values = [option.value for option in self._shown]
        searched = bool(self.query_one(Input).value)
        if values:
            choices.highlighted = values.index(self._now) if self._now in values and not searched else 0
