"""How the form looks: its lines drawn one by one, with the cursor on one of them."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.scroll_view import ScrollView
from textual.strip import Strip

from engine.text import one_line
from resnet_tui.setup.draft import Draft
from resnet_tui.setup.fields import PRESET, Field
from resnet_tui.setup.form_lines import LABEL, MARKS, VALUE, FormLine
from resnet_tui.setup.line_edit import LineEdit
from resnet_tui.widgets.strips import filled

_UNDERLINED = Style(underline=True)
_REVERSED = Style(reverse=True)


class FormDrawing(ScrollView):
    """Draws a `Draft`; what keys and mouse do to it is the subclass's."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "form--heading",
        "form--muted",
        "form--value",
        "form--changed",
        "form--error",
        "form--cursor",
    }
    DEFAULT_CSS = """
    FormDrawing {
        overflow-x: hidden;
        scrollbar-size-vertical: 1;
        & > .form--heading { color: $text-primary; text-style: bold; }
        & > .form--muted { color: $text-muted; }
        & > .form--value { color: $foreground; }
        & > .form--changed { color: $text-accent; text-style: bold; }
        & > .form--error { color: $text-error; }
        & > .form--cursor { background: $primary 30%; }
    }
    """

    def __init__(self, draft: Draft) -> None:
        """Draw ``draft``."""
        super().__init__()
        self.draft = draft
        self._more_problems: dict[str, str] = {}
        self._notes: Mapping[str, str] = {}
        self._opened: set[str] = set()
        self._lines: list[FormLine] = []
        self._cursor = PRESET
        """Id of the line that it is on."""
        self._edit: LineEdit | None = None
        """Of the setting under the cursor, where it is typed."""

    @property
    def problems(self) -> dict[str, str]:
        """Every reason why the run cannot start that an entry is to blame for."""
        return self._more_problems | self.draft.problems

    @property
    def _width(self) -> int:
        return self.scrollable_content_region.width or 38

    def render_line(self, y: int) -> Strip:
        """Return a line as it stands on the screen."""
        width, at = self._width, y + self.scroll_offset.y
        if at >= len(self._lines):
            return Strip.blank(width, self.rich_style)
        line = self._lines[at]
        here = line.stops and line.id == self._cursor
        under = self.rich_style
        if here and self.has_focus:
            under += Style(bgcolor=self.get_component_rich_style("form--cursor").bgcolor)
        return filled(list(self._segments(line, here=here)), width, under)

    def _style(self, name: str) -> Style:
        # Without the background, which is the cursor's where that stands.
        found = self.get_component_rich_style(f"form--{name}")
        return Style(color=found.color, bold=found.bold)

    def _segments(self, line: FormLine, *, here: bool) -> Iterator[Segment]:
        muted = self._style("muted")
        pointer = "▸" if here else " "
        if line.kind == "heading":
            yield Segment(f" {line.text}", self._style("heading"))
        elif line.kind == "fold":
            opened = "▾" if line.id in self._opened else "▸"
            yield Segment(f"{pointer}{opened} {line.text}", self._style("heading"))
        elif line.kind == "error":
            yield Segment(" " * MARKS + line.text, self._style("error"))
        elif line.kind == "note":
            yield Segment(" " * MARKS + line.text, muted)
        elif line.field is not None:
            mark, style = self._mark(line.field)
            yield Segment(pointer)
            yield Segment(f"{mark} ", style)
            yield Segment(f"{line.field.label:{LABEL}} ", muted)
            yield from self._value_segments(line.field, style, here=here)

    def _mark(self, field: Field) -> tuple[str, Style]:
        """Return what stands before a setting, and how it is drawn."""
        if field.key in self.problems:
            return "✗", self._style("error")
        if field.key in self.draft.changed:
            return "•", self._style("changed")
        return " ", self._style("value")

    def _value(self, field: Field) -> str:
        """Return a choice as it is shown."""
        room = max(1, self._width - VALUE - 4)
        text = one_line(self.draft.origin if field.key == PRESET else self.draft.text(field.key))
        return text if len(text) <= room else text[: room - 1] + "…"

    def _value_segments(self, field: Field, style: Style, *, here: bool) -> Iterator[Segment]:
        muted = self._style("muted")
        edited = self._edit if here and self.has_focus else None
        kind = field.kind(self.draft.value)
        if kind in {"choice", "depth"}:
            yield Segment("‹ ", muted)
            yield from self._typing(edited, style, 1) if edited else [Segment(self._value(field), style)]
            yield Segment(" ›", muted)
            return
        room = max(1, self._width - VALUE - 1)
        yield from (
            self._typing(edited, style, room)
            if edited
            else [Segment(one_line(self.draft.text(field.key))[:room].ljust(min(8, room)), style + _UNDERLINED)]
        )

    @staticmethod
    def _typing(edit: LineEdit, style: Style, least: int) -> Iterator[Segment]:
        """Yield the text that is edited, its cursor seen."""
        room = max(least, 8) if least > 1 else len(edit.text) + 1
        text, cursor = edit.seen(room)
        if edit.whole:
            yield Segment(one_line(text), style + _REVERSED)
            return
        yield Segment(text[:cursor], style + _UNDERLINED)
        yield Segment(text[cursor : cursor + 1] or " ", style + _REVERSED)
        yield Segment(text[cursor + 1 :].ljust(8 - cursor - 1 if least > 1 else 0), style + _UNDERLINED)
