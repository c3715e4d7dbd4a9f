"""A report as Markdown, as GitHub has it."""

import re
from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len

from resnet_tui.report.blocks import Block, Column, Facts, Grid, Heading, Words

_SPECIAL = re.compile(r"([\\`*\[\]<>|&~$]|(?<![^\W_])_|_(?![^\W_]))")
"""What could be read as markup, or as HTML; not an underscore within a word."""


def as_markdown(blocks: Iterable[Block]) -> str:
    """Write ``blocks``; charts have no place in Markdown."""
    return "\n\n".join(text for block in blocks if (text := _written(block))) + "\n"


def escaped(text: str) -> str:
    """Return ``text`` so that it is read as it stands."""
    return _SPECIAL.sub(r"\\\1", text)


def _written(block: Block) -> str:
    match block:
        case Heading():
            return f"{'#' * block.level} {escaped(block.text)}"
        case Words():
            return escaped(block.text)
        case Facts():
            return "\n".join(f"- **{escaped(label)}**: {escaped(text)}" for label, text in block.pairs)
        case Grid():
            return f"**{escaped(block.caption)}**\n\n" + "\n".join(_table(block))
        case _:
            return ""


def _table(grid: Grid) -> Iterator[str]:
    rows = [
        [f"**{cell}**" if number in grid.marked and cell else cell for cell in map(escaped, row)]
        for number, row in enumerate(grid.rows)
    ]
    titles = [escaped(column.title) for column in grid.columns]
    widths = [max(3, *map(cell_len, cells)) for cells in zip(titles, *rows, strict=True)]
    yield _line(titles, widths, grid.columns)
    ends = [
        f"{'-' * (width - 1)}{':' if column.right else '-'}"
        for width, column in zip(widths, grid.columns, strict=True)
    ]
    yield f"| {' | '.join(ends)} |"
    for row in rows:
        yield _line(row, widths, grid.columns)


def _line(cells: Sequence[str], widths: Sequence[int], columns: Sequence[Column]) -> str:
    """Write a row with its cells below each other, which reads well without being rendered, too."""
    padded = []
    for cell, width, column in zip(cells, widths, columns, strict=True):
        pad = " " * (width - cell_len(cell))
        padded.append(pad + cell if column.right else cell + pad)
    return f"| {' | '.join(padded)} |"
