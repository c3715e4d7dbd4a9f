"""What stands in each line of the form."""

import textwrap
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from resnet_tui.setup.draft import Draft
from resnet_tui.setup.fields import GROUPS, PRESET, Field, Group

LABEL = 14
MARKS = 3
"""Columns before a label: the cursor, the mark, a gap."""
VALUE = MARKS + LABEL + 1
"""Column in which values begin."""


@dataclass(frozen=True)
class FormLine:
    """One line."""

    kind: Literal["field", "heading", "fold", "note", "error"]
    text: str = ""
    field: Field | None = None
    group: Group | None = None

    @property
    def stops(self) -> bool:
        """Whether the cursor can stand there."""
        return self.kind in {"field", "fold"}

    @property
    def id(self) -> str:
        """What tells it from the other lines on which the cursor can stand."""
        return self.field.key if self.field else self.group.title if self.group else ""


def form_lines(
    draft: Draft, problems: Mapping[str, str], notes: Mapping[str, str], opened: Collection[str], width: int
) -> Iterator[FormLine]:
    """Yield the lines of the form.

    Args:
        draft: what is edited.
        problems: reasons by key, told below the entry.
        notes: other remarks by key, told there as well.
        opened: titles of folded groups that are open, besides those with a problem in them.
        width: columns there are.
    """
    for group in GROUPS:
        fields = [field for field in group.fields if field.key == PRESET or field.shown(draft.value)]
        if not fields:
            continue
        if group.folded:
            yield FormLine("fold", f"{group.title} ({len(fields)})", group=group)
            if group.title not in opened and not any(field.key in problems for field in fields):
                continue
        elif group.title:
            yield FormLine("heading", group.title, group=group)
        for field in fields:
            yield FormLine("field", field=field)
            yield from _below(field, problems, notes, width)


def _below(field: Field, problems: Mapping[str, str], notes: Mapping[str, str], width: int) -> Iterator[FormLine]:
    room = max(10, width - MARKS - 1)
    for text in textwrap.wrap(problems.get(field.key, ""), room):
        yield FormLine("error", text, field)
    note = notes.get(field.key, "")
    if note:
        yield FormLine("note", textwrap.shorten(note, room, placeholder="…"), field)
