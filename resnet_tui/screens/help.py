"""What the keys do here, made from the very table that the keys are looked up in."""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

from rich.console import Group
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static


class Help(ModalScreen[None]):
    """A list of keys, what each does, and its name for remapping."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,f1,q", "dismiss", "close", id="help.close")
    ]
    DEFAULT_CSS = """
    Help { align: center middle; }
    Help > VerticalScroll { width: 76; max-width: 100%; height: auto; max-height: 100%; border: round $primary;
                            background: $surface; padding: 0 1; }
    Help Static { height: auto; }
    """

    def __init__(self, bindings: Iterable[ActiveBinding], keys_file: str) -> None:
        """List ``bindings``; ``keys_file`` is where other keys can be given."""
        super().__init__()
        self._active = tuple(bindings)
        self._keys_file = keys_file

    def compose(self) -> ComposeResult:
        """Yield the list."""
        table = Table.grid(padding=(0, 2))
        for style in ("bold", "", "dim"):
            table.add_column(style=style)
        for keys, what, name in self._rows():
            table.add_row(Text(keys), Text(what), Text(name))
        note = Text(
            f"\nOther keys: write names and keys into {self._keys_file}, such as\n"
            '[keys]\n"run.pause" = "space"\n\n'
            "The mouse works everywhere: tabs, rows, charts (a click reads their values), the seek bar.",
            "dim",
        )
        with VerticalScroll() as box:
            box.border_title = "keys"
            box.border_subtitle = "escape: close"
            yield Static(Group(table, note))

    def _rows(self) -> list[tuple[str, str, str]]:
        """Return keys, description and name of each action; Textual's own, which have no name, are left out."""
        keys: dict[tuple[str, str], list[str]] = {}
        for active in self._active:
            binding = active.binding
            what = binding.tooltip or binding.description
            if binding.id and what and active.enabled:
                keys.setdefault((f"{what[:1].upper()}{what[1:]}", binding.id), []).append(self._key(binding))
        return [(" ".join(dict.fromkeys(shown)), what, name) for (what, name), shown in keys.items()]

    def _key(self, binding: Binding) -> str:
        """Write the key itself: what stands for it in the footer may stand for two."""
        shown = self.app.get_key_display(replace(binding, key_display=None))
        return shown.upper() if re.fullmatch(r"f\d+", shown) else shown
