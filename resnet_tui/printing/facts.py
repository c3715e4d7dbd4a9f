"""Labelled lines of text for a person, the same in every command."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_facts(console: Console, facts: Iterable[tuple[str, str]]) -> None:
    """Print (label, text) pairs in two columns; long texts are folded in theirs."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text in facts:
        grid.add_row(Text(label, "dim"), Text(text))
    console.print(grid)
