"""The form: a line a setting, all drawn by one widget, so that it is there at once."""

import string
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, get_args

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message

from engine.errors import ConfigError
from engine.text import one_line
from resnet_tui.setup.choices import Choices
from resnet_tui.setup.depths import next_depth
from resnet_tui.setup.draft import Draft
from resnet_tui.setup.fields import FIELDS, PRESET, Field
from resnet_tui.setup.form_drawing import FormDrawing
from resnet_tui.setup.form_lines import VALUE, form_lines
from resnet_tui.setup.line_edit import LineEdit

Opens = Literal["list", "switch", "fold", "next"]
"""An action: list the choices, switch on or off, fold or unfold, go to the next line."""
_OF_NUMBERS = frozenset(string.digits + ".,-+e ")
_OF_DEPTHS = frozenset(string.digits)


class Form(FormDrawing, can_focus=True):
    """Edits a `Draft` in place and says so; lists of choices are for the screen to show."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "up", id="setup.up", show=False),
        Binding("down", "move(1)", "down", id="setup.down", show=False),
        Binding("right", "step(1)", "change", id="setup.next", key_display="←→", tooltip="take the next choice"),
        Binding("left", "step(-1)", "change", id="setup.previous", show=False, tooltip="take the choice before"),
        Binding("enter,space", "list", "list", id="setup.list", tooltip="list the choices, with a search"),
        Binding("enter,space", "switch", "on/off", id="setup.switch", tooltip="switch it on or off"),
        Binding("enter", "next", "next", id="setup.enter", tooltip="go to the next setting"),
        Binding("enter,space", "fold", "open/close", id="setup.fold", tooltip="open or close these settings"),
        Binding("pageup", "move(-10)", "page up", id="setup.page_up", show=False),
        Binding("pagedown", "move(10)", "page down", id="setup.page_down", show=False),
        Binding("home,ctrl+home", "move(-1000)", "first", id="setup.first", show=False),
        Binding("end,ctrl+end", "move(1000)", "last", id="setup.last", show=False),
    ]

    class Edited(Message):
        """A setting is another."""

    class Asked(Message):
        """The choices of a setting are to be listed."""

        def __init__(self, field: Field) -> None:
            super().__init__()
            self.field = field

    class Moved(Message):
        """The cursor is on another line."""

        def __init__(self, field: Field | None) -> None:
            super().__init__()
            self.field = field

    def __init__(self, draft: Draft, choices: Choices) -> None:
        """Edit ``draft``; ``choices`` knows what a setting may be on this machine."""
        super().__init__(draft)
        self._choices = choices
        self._lay_out()

    # What the screen asks and tells ----------------------------------------------------------------------------

    @property
    def field(self) -> Field | None:
        """The setting under the cursor."""
        return FIELDS.get(self._cursor)

    @property
    def opens(self) -> Opens:
        """What enter does here."""
        if (field := self.field) is None:
            return "fold"
        if field.kind(self.draft.value) in {"number", "numbers", "text"}:
            return "next"
        return "switch" if field.choices(self.draft.value) == (False, True) else "list"

    @property
    def typing(self) -> str:
        """What kind of characters are typed here; empty: none, letters are keys."""
        return "" if self._edit is None or self.field is None else self.field.kind(self.draft.value)

    def take(self, draft: Draft) -> None:
        """Edit another draft."""
        self.draft = draft
        self._changed()

    def set_value(self, field: Field, value: Any) -> None:
        """Take a choice; a preset takes the place of everything that does not belong to the machine."""
        if field.key != PRESET:
            self.draft.set(field.key, value)
        else:
            try:
                self.draft = self.draft.replaced(value, self._choices.tree(value))
            except ConfigError as error:
                self.notify(str(error), severity="error", markup=False)
                return
        self._changed()

    def set_remarks(self, problems: Mapping[str, str], notes: Mapping[str, str]) -> None:
        """Show what else is wrong, found by looking at data and machine, and notes, by key."""
        if (dict(problems), dict(notes)) != (self._more_problems, self._notes):
            self._more_problems, self._notes = dict(problems), dict(notes)
            self._lay_out()

    def go_to(self, key: str) -> None:
        """Put the cursor on a setting that is seen or has a problem."""
        if key in self._stops():
            self._cursor = key
            self._arrived()

    # Layout ----------------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        self._lines = list(form_lines(self.draft, self.problems, self._notes, self._opened, self._width))
        self.virtual_size = Size(0, len(self._lines))
        if self._cursor not in (stops := self._stops()):
            self._cursor = stops[0]
        self.refresh()

    def _stops(self) -> list[str]:
        return [line.id for line in self._lines if line.stops]

    def _at(self) -> int:
        """Return the number of the line under the cursor."""
        return next(i for i, line in enumerate(self._lines) if line.stops and line.id == self._cursor)

    def _arrived(self) -> None:
        """Begin with the line under the cursor, and bring it into view with what stands below it."""
        field = self.field
        typed = field is not None and field.kind(self.draft.value) != "choice"
        self._edit = LineEdit(self.draft.text(self._cursor)) if typed else None
        self._follow()
        self.refresh()
        self.post_message(self.Moved(field))

    def _follow(self) -> None:
        at = self._at()
        first = 0 if at < 2 else at  # the heading above the first setting as well
        below = sum(1 for line in self._lines[at + 1 : at + 4] if line.kind in {"error", "note"})
        self.scroll_to_region(Region(0, first, 1, 1 + below), animate=False, force=True)

    def _changed(self, *, typing: bool = False) -> None:
        self._lay_out()
        if not typing:
            self._arrived()
        else:
            self._follow()
        self.post_message(self.Edited())

    def on_resize(self) -> None:
        """Wrap reasons anew."""
        self._lay_out()
        self._follow()

    def on_focus(self) -> None:
        """Begin to edit."""
        self._arrived()

    # Keys ------------------------------------------------------------------------------------------------------

    def check_consume_key(self, key: str, character: str | None = None) -> bool:  # noqa: ARG002 (of the base class)
        """Say which keys are characters to type here, so that the footer leaves them out."""
        return self._types(character)

    def _types(self, character: str | None) -> bool:
        if not self.typing or not character or not character.isprintable():
            return False
        allowed = {"depth": _OF_DEPTHS, "number": _OF_NUMBERS, "numbers": _OF_NUMBERS}.get(self.typing)
        return allowed is None or character in allowed

    def on_key(self, event: events.Key) -> None:
        """Type into the setting under the cursor."""
        edit = self._edit
        if edit is None:
            return
        depth = self._cursor == "model.depth"
        before = edit.text
        if self._types(event.character):
            edit.insert(event.character or "")
        elif depth and event.key in {"left", "right"}:
            return  # steps through what is valid
        elif not edit.press(event.key):
            return
        event.stop()
        event.prevent_default()
        self._typed(before)

    def on_paste(self, event: events.Paste) -> None:
        """Type what is pasted."""
        if self._edit is not None:
            event.stop()
            before = self._edit.text
            self._edit.insert(one_line(event.text))
            self._typed(before)

    def _typed(self, before: str) -> None:
        assert self._edit is not None
        if self._edit.text != before:
            self.draft.typed(self._cursor, self._edit.text)
            self._changed(typing=True)
        self.refresh()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Offer for enter what it does here, and steps where there are choices."""
        if action in get_args(Opens):
            return action == self.opens
        return True if action != "step" else self.typing in {"", "depth"}

    def action_move(self, by: int) -> None:
        """Go to another line."""
        stops = self._stops()
        self._cursor = stops[min(max(0, stops.index(self._cursor) + by), len(stops) - 1)]
        self._arrived()

    def action_next(self) -> None:
        """Go to the next line."""
        self.action_move(1)

    def action_step(self, by: int) -> None:
        """Take the next choice, or the one before."""
        field = self.field
        if field is None:
            self._fold(by > 0)
        elif field.key == "model.depth":
            self._step_depth(by)
        elif field.kind(self.draft.value) == "choice":
            self._step_choice(field, by)

    def _step_choice(self, field: Field, by: int) -> None:
        if field.key == PRESET and self.draft.changed:
            self.action_list()  # the next preset would cost what was changed: let it be chosen
            return
        choices = self._choices.of(self.draft, field)
        now = self._choices.now(self.draft, field)
        at = choices.index(now) + by if now in choices else 0
        self.set_value(field, choices[at % len(choices)])

    def _step_depth(self, by: int) -> None:
        now = self.draft.shown.model
        depth, alike = getattr(now, "depth", 0), (getattr(now, "stages", None), getattr(now, "block", None))

        def valid(depth: int) -> bool:
            # A step goes to a network of the same kind: not from 44 to the 50 of four stages.
            config = self.draft.with_depth(depth)
            found = None if config is None else config.model
            return found is not None and (getattr(found, "stages", None), getattr(found, "block", None)) == alike

        if (wanted := next_depth(valid, depth, by)) is not None:
            self.set_value(FIELDS["model.depth"], wanted)

    def action_list(self) -> None:
        """List the choices."""
        if (field := self.field) is not None:
            self.post_message(self.Asked(field))

    def action_switch(self) -> None:
        """Switch what is on or off."""
        if (field := self.field) is not None:
            self.set_value(field, not self.draft.value(field.key))

    def action_fold(self) -> None:
        """Fold or unfold."""
        self._fold(self._cursor not in self._opened)

    def _fold(self, opened: bool) -> None:
        (self._opened.add if opened else self._opened.discard)(self._cursor)
        self._lay_out()
        self._follow()

    # Mouse -----------------------------------------------------------------------------------------------------

    def on_click(self, event: events.Click) -> None:
        """Go to the line that was clicked; on its value, change it."""
        offset = event.get_content_offset(self)
        if offset is None or not 0 <= (at := offset.y + self.scroll_offset.y) < len(self._lines):
            return
        line = self._lines[at]
        if line.kind in {"heading", "note", "error"}:
            return
        self._cursor = line.id
        self._arrived()
        if line.field is None:
            self.action_fold()
        elif offset.x >= VALUE:
            self._click_value(line.field, offset.x - VALUE)

    def _click_value(self, field: Field, x: int) -> None:
        kind = field.kind(self.draft.value)
        if kind in {"choice", "depth"}:
            end = len(self._value(field)) + 3
            if x < 2 or end - 1 <= x <= end:
                self.action_step(-1 if x < 2 else 1)
            elif self.opens == "switch":
                self.action_switch()
            else:
                self.action_list()
        elif self._edit is not None:
            self._edit.press("end")
            self.refresh()
