"""Rolls the rows of a shape table up to blocks or stages. Works on rows alone; imports no torch."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Literal

from engine.events import ShapeRow
from engine.shapes.formula import shape_text

Detail = Literal["stages", "blocks", "operations"]
DETAILS: tuple[Detail, ...] = ("stages", "blocks", "operations")
_ENDS = ("stem", "head")


def grouped(rows: Iterable[ShapeRow], detail: Detail) -> tuple[ShapeRow, ...]:
    """Return a row for each stage, each block, or each operation.

    Stem and head have a row for each operation that changes the shape, with the norms and ReLUs after it in it; its
    name says so (``stem.conv+norm+relu``).
    Sums are of all operations in a group. Its kernel, stride, padding and formula are those of the operation that
    decides its shape: the first that changes height or width, else the first convolution or linear layer.
    """
    if detail == "operations":
        return tuple(rows)
    return tuple(_merged(key, list(group)) for key, group in groupby(rows, key=_Key(detail)))


def within(rows: Iterable[ShapeRow], name: str) -> tuple[ShapeRow, ...]:
    """Return the operations in what ``name`` names: a stage, a block, a shortcut, a row of a table, one of them."""
    first, *others = name.split("+")
    whole = first.rpartition(".")[0]
    names = {first, *(f"{whole}.{other}" for other in others)}
    return tuple(row for row in rows if row.name in names or row.name.startswith(f"{name}."))


class _Key:
    """Names the group that a row belongs to; remembers the last, which norms and ReLUs of stem and head join."""

    def __init__(self, detail: Detail) -> None:
        self._detail = detail
        self._last = ""

    def __call__(self, row: ShapeRow) -> str:
        if row.stage not in _ENDS:
            self._last = row.stage if self._detail == "stages" else f"{row.stage}.{row.block}"
        elif row.kernel or row.op == "Flatten" or not self._last.startswith(row.stage):
            self._last = row.name  # a flattening belongs to the linear layer after it
        return self._last


def _merged(key: str, rows: list[ShapeRow]) -> ShapeRow:
    first, last, decisive = rows[0], rows[-1], _decisive(rows)
    blocks = list(dict.fromkeys(row.block for row in rows if row.block))
    return ShapeRow(
        stage=first.stage,
        block=first.block if len(blocks) == 1 else "",
        name=key if blocks else _span(rows),
        op=_operation(blocks, rows, decisive),
        kernel=decisive.kernel,
        stride=decisive.stride,
        padding=decisive.padding,
        input=first.input,
        output=last.output,
        params=sum(row.params for row in rows),
        macs=sum(row.macs for row in rows),
        formula=_formula(rows, decisive),
        flops=sum(row.flops for row in rows),
        activation_bytes=sum(row.activation_bytes for row in rows),
        receptive_field=last.receptive_field,
    )


def _span(rows: list[ShapeRow]) -> str:
    """Name operations of stem or head that share a row, such as ``stem.conv+norm+relu``."""
    return "+".join([rows[0].name, *(row.name.rpartition(".")[2] for row in rows[1:])])


def _formula(rows: list[ShapeRow], decisive: ShapeRow) -> str:
    """Return what decides the shape; where channels are put beside the input, that as well."""
    last = rows[-1]
    return f"{decisive.formula}; {last.formula}" if last.op == "Concat" and decisive is not last else decisive.formula


def _operation(blocks: list[str], rows: list[ShapeRow], decisive: ShapeRow) -> str:
    if not blocks:
        return decisive.op
    if len(blocks) == 1:
        return _composition(rows)
    others = [block for block in blocks if not block.startswith("block")]  # a transition or a reduction
    return " + ".join([f"{len(blocks) - len(others)} blocks", *others])


def _decisive(rows: list[ShapeRow]) -> ShapeRow:
    def candidates() -> Iterator[ShapeRow]:
        yield from (row for row in rows if row.kernel and row.input[1:] != row.output[1:])
        yield from (row for row in rows if row.op == "Linear" and row.input != row.output)
        yield from (row for row in rows if row.op in {"Conv2d", "Linear"})
        yield from (row for row in rows if row.input != row.output)
        yield rows[0]

    return next(candidates())


_SHORTCUTS = {"Identity": "identity", "ZeroPadShortcut": "zero-pad", "Conv2d": "projection", "Linear": "projection"}
_MAIN = {"Linear": "linear", "Concat": "concat", "Gate": "gate", "MaxPool2d": "max-pool", "AvgPool2d": "average-pool"}


def _composition(rows: list[ShapeRow]) -> str:
    """Name what a block is made of, such as ``3×3, 3×3 + zero-pad``."""
    main: list[str] = []
    shortcut = ""
    for row in rows:
        if ".shortcut" in row.name:
            shortcut = shortcut or f" + {_SHORTCUTS[row.op]}"
        elif row.op == "Conv2d":
            main.append(shape_text(row.kernel))
        elif row.op in _MAIN:
            main.append(_MAIN[row.op])
    return ", ".join(main) + shortcut
