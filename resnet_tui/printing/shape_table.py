"""The shape table as text: as many columns as fit the terminal, the formula below each row where it is narrow."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from rich.text import Text

from engine import words
from engine.config import RunConfig
from engine.events import ShapeRow
from engine.shapes.formula import UNCHANGED, shape_text
from engine.shapes.groups import Detail, grouped
from engine.shapes.table import ShapeTable, training_memory
from resnet_tui.printing.console import on_stdout
from resnet_tui.printing.facts import print_facts

_PIPE_WIDTH = 240
GAP = 2
"""Columns between two columns."""


class Column(NamedTuple):
    """One column: its header, and what it shows of a row."""

    header: str
    cell: Callable[[ShapeRow], str]
    right: bool = False
    style: str = ""


def _window(row: ShapeRow) -> str:
    if not row.kernel:
        return ""
    return "/".join(_square(values) for values in (row.kernel, row.stride, row.padding))


def _square(values: tuple[int, ...]) -> str:
    """Write two equal numbers once."""
    return str(values[0]) if values and len(set(values)) == 1 else shape_text(values)


def _label(row: ShapeRow) -> str:
    """Return the row's name; of an operation, what follows its part's, which stands above it."""
    part = _part(row)
    return f"  {row.name.removeprefix(f'{part}.')}" if row.name.startswith(f"{part}.") and row.block else row.name


def _part(row: ShapeRow) -> str:
    return f"{row.stage}.{row.block}" if row.block else row.stage


ALWAYS = (
    Column("layer", _label, style="bold"),
    Column("operation", lambda row: row.op),
    Column("output", lambda row: shape_text(row.output), right=True, style="cyan"),
    Column("params", lambda row: f"{row.params:,}", right=True),
    Column("MACs", lambda row: words.count(row.macs), right=True),
)
WHERE_THEY_FIT = (
    Column("k/s/p", _window),
    Column("formula", lambda row: row.formula, style="dim"),
    Column("memory", lambda row: words.size(row.activation_bytes), right=True),
    Column("field", lambda row: _square(row.receptive_field), right=True),
    Column("input", lambda row: shape_text(row.input), right=True),
    Column("FLOPs", lambda row: words.count(row.flops), right=True),
)
"""In the order in which they are wanted."""
ORDER = ("layer", "operation", "k/s/p", "input", "output", "formula", "params", "MACs", "FLOPs", "memory", "field")
LEGEND = {
    "k/s/p": "k/s/p: kernel, stride, padding",
    "memory": "memory: kept for the backward pass",
    "field": "field: receptive field in pixels",
}


def columns(rows: Sequence[ShapeRow], width: int) -> list[Column]:
    """Return the columns that fit into ``width``, from left to right: those wanted most, in order.

    The formula, the widest, stands below each row where there is no room for it beside the others.
    """
    return fitting(widths(rows), width)


def widths(rows: Sequence[ShapeRow]) -> dict[str, int]:
    """Return how wide each column has to be for ``rows``, by its header."""
    return {column.header: _width(column, rows) for column in (*ALWAYS, *WHERE_THEY_FIT)}


def fitting(needed: Mapping[str, int], width: int) -> list[Column]:
    """Return the columns that fit into ``width`` where each is as wide as ``needed`` says; as ``columns`` does."""
    chosen = list(ALWAYS)
    left = width + GAP - sum(needed[column.header] + GAP for column in chosen)  # the last has no gap after it
    for column in WHERE_THEY_FIT:
        room = needed[column.header] + GAP
        if room <= left:
            chosen.append(column)
            left -= room
        elif column.header != "formula":
            break
    return sorted(chosen, key=lambda column: ORDER.index(column.header))


def _width(column: Column, rows: Sequence[ShapeRow]) -> int:
    return max(len(column.header), *(len(column.cell(row)) for row in rows), 0)


def print_table(table: ShapeTable, config: RunConfig, detail: Detail) -> None:
    """Print title, table and totals to standard output."""
    console = on_stdout(_PIPE_WIDTH)
    rows = grouped(table.rows, detail)
    shown = columns(rows, console.width)
    console.print(Text.assemble((config.model.title, "bold"), f", input {shape_text(table.input)}"))
    if rows:
        for line in _lines(rows, shown):
            console.print(line, no_wrap=True, overflow="ellipsis", crop=True)
    legend = [text for header, text in LEGEND.items() if any(column.header == header for column in shown)]
    hidden = [column.header for column in WHERE_THEY_FIT if column not in shown and column.header != "formula"]
    if hidden:
        legend.append(f"a wider terminal shows {', '.join(hidden)}")
    console.print(Text("; ".join(legend), "dim"))
    console.print()
    print_facts(console, _totals(table, config))


def _lines(rows: Sequence[ShapeRow], shown: Sequence[Column]) -> Iterator[Text]:
    """Yield header and rows; above the operations of a block its name, below a row the formula that has no column."""
    needed = [_width(column, rows) for column in shown]
    yield _line([column.header for column in shown], ["bold"] * len(shown), needed, shown)
    below = all(column.header != "formula" for column in shown)
    part = ""
    for row in rows:
        if row.name != _part(row) and row.block and part != _part(row):
            yield Text(_part(row), "bold")
        part = _part(row)
        yield _line([column.cell(row) for column in shown], [column.style for column in shown], needed, shown)
        if below and not row.formula.endswith(UNCHANGED):
            yield Text(f"    {row.formula}", "dim")


def _line(cells: Sequence[str], styles: Sequence[str], needed: Sequence[int], shown: Sequence[Column]) -> Text:
    line = Text()
    for cell, style, width, column in zip(cells, styles, needed, shown, strict=True):
        line.append((cell.rjust if column.right else cell.ljust)(width), style)
        line.append(" " * GAP)
    line.rstrip()
    return line


def _totals(table: ShapeTable, config: RunConfig) -> list[tuple[str, str]]:
    memory = training_memory(table, config.optim.name, config.optim.momentum)
    other = table.params - table.trainable_params
    parts = (
        f"weights {words.size(memory.weights)}, gradients {words.size(memory.gradients)}, "
        f"{config.optim.name} state {words.size(memory.optimiser)}, activations {words.size(memory.activations)}, "
        f"images {words.size(memory.batch)}"
    )
    batch = f"batch {table.batch_size:,}"
    params = f"{table.params:,}: {table.trainable_params:,} trainable, {other:,} other; "
    if table.failure is not None:
        return [("parameters", f"{table.params:,} in the whole network, of which the table shows a part")]
    return [
        ("parameters", f"{params}besides, {table.buffers:,} running statistics of norms"),
        ("MACs", f"{table.macs:,} a sample"),
        ("FLOPs", f"{table.flops:,} a sample, two for each MAC"),
        ("activations", f"{words.size(table.activation_bytes)} kept for the backward pass at {batch}"),
        ("to train", f"{words.size(memory.total)} at {batch} in float32: {parts}"),
        ("device", _device()),
    ]


def _device() -> str:
    from engine.devices import describe, memory, resolve

    device = resolve("auto")
    known = memory(device)
    if known is None:
        return f"{describe(device)}, memory not known"
    free, total = known
    return f"{describe(device)}: {words.size(total)}, {words.size(free)} of it free"
