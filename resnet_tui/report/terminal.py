"""A report, or a part of one, as text for a terminal."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from io import StringIO

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from resnet_tui.printing.facts import print_facts
from resnet_tui.report.blocks import Block, Charts, Facts, Grid, Heading, Words

WIDTH = 120
"""Where there is no terminal to say it."""
_LEAST = 16
"""Characters of a run's column."""


def as_text(blocks: Iterable[Block]) -> str:
    """Write ``blocks`` as plain text."""
    console = Console(file=StringIO(), width=WIDTH, color_system=None)
    print_blocks(console, blocks)
    assert isinstance(console.file, StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


def print_blocks(console: Console, blocks: Iterable[Block]) -> None:
    """Print ``blocks``; charts have no place here."""
    for number, block in enumerate(blocks):
        if isinstance(block, Charts):
            continue
        if number:
            console.print()
        match block:
            case Heading():
                console.print(Text(block.text, "bold underline" if block.level == 1 else "bold"))
            case Words():
                console.print(Text(block.text))
            case Facts():
                print_facts(console, block.pairs)
            case Grid():
                for part, grid in enumerate(_fitted(block, console.width)):
                    if part:
                        console.print()
                    _print_grid(console, grid)


def _fitted(grid: Grid, width: int) -> Iterator[Grid]:
    """Yield ``grid``; where its runs do not fit beside each other, as many at a time as do."""
    if not grid.by_run:
        yield grid
        return
    room = width - max(cell_len(row[0]) + 2 for row in grid.rows)
    each = max(1, room // _LEAST)
    for start in range(1, len(grid.columns), each):
        kept = slice(start, start + each)
        yield replace(
            grid,
            caption=grid.caption if start == 1 else "",
            columns=(grid.columns[0], *grid.columns[kept]),
            rows=tuple((row[0], *row[kept]) for row in grid.rows),
        )


def _print_grid(console: Console, grid: Grid) -> None:
    if grid.caption:
        console.print(Text(grid.caption, "bold"))
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in grid.columns:
        table.add_column(
            Text(column.title, "dim"),
            justify="right" if column.right else "left",
            overflow="fold",
            no_wrap=column.right,
        )
    for number, row in enumerate(grid.rows):
        cells = [
            Text(cell, "dim" if place == 0 and grid.columns[0].title == "" else "") for place, cell in enumerate(row)
        ]
        table.add_row(*cells, style="bold" if number in grid.marked else "")
    console.print(table)
