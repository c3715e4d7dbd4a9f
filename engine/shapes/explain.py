"""One operation or part of a network in full: how its shape, parameters, multiply-accumulates and field come about.

Works on rows alone; imports no torch.
"""

import os
from collections.abc import Sequence

from engine.events import ShapeRow
from engine.shapes.formula import UNCHANGED, shape_text

Facts = list[tuple[str, str]]
_MOST_TERMS = 16


def explain(rows: Sequence[ShapeRow], batch_size: int) -> Facts:
    """Return (label, text) pairs about an operation, or about several in a row, such as a block.

    Args:
        rows: of one operation, or all of a part, as ``groups.within`` gives them.
        batch_size: for which ``activation_bytes`` holds.
    """
    first, last = rows[0], rows[-1]
    macs, kept = sum(row.macs for row in rows), sum(row.activation_bytes for row in rows)
    one = len(rows) == 1
    facts = [
        ("operation", _operation(first) if one else ", ".join(row.op for row in rows)),
        ("input", shape_text(first.input)),
        ("output", shape_text(last.output)),
    ]
    facts += [("shape", first.formula)] if one else _steps(rows)
    facts += [
        ("parameters", _params(first) if one else _sum(rows, "params")),
        ("MACs", _macs(first) if one else _sum(rows, "macs")),
        ("FLOPs", f"2 × {macs:,} = {2 * macs:,}" if macs else "0: only convolutions and linear layers count"),
        ("activations", f"{kept:,} bytes kept for the backward pass at batch {batch_size:,}"),
    ]
    if last.receptive_field:
        facts.append(("receptive field", f"{shape_text(last.receptive_field)} pixels of the input"))
    return facts


def _steps(rows: Sequence[ShapeRow]) -> Facts:
    """Return the formula of each operation that changes a shape or joins two paths."""
    changing = [row for row in rows if not row.formula.endswith(UNCHANGED)]
    return [("shape" if i == 0 else "", f"{_short(row, rows)}: {row.formula}") for i, row in enumerate(changing)]


def _sum(rows: Sequence[ShapeRow], field: str) -> str:
    terms = [(getattr(row, field), _short(row, rows)) for row in rows]
    counted = [f"{number:,} {name}" for number, name in terms if number]
    total = sum(number for number, _ in terms)
    return f"{' + '.join(counted)} = {total:,}" if 1 < len(counted) <= _MOST_TERMS else f"{total:,}"


def _short(row: ShapeRow, rows: Sequence[ShapeRow]) -> str:
    """Return the row's name without what all have in common."""
    common = os.path.commonprefix([row.name for row in rows]).rpartition(".")[0]  # noqa: RUF071 (of characters)
    return row.name.removeprefix(f"{common}.")


def _operation(row: ShapeRow) -> str:
    if not row.kernel or row.op not in _WINDOWED:
        return row.op
    window = f"{row.op}, kernel {shape_text(row.kernel)}, stride {shape_text(row.stride)}"
    return f"{window}, padding {shape_text(row.padding)}"


_WINDOWED = {"Conv2d", "MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d", "ZeroPadShortcut"}


def _params(row: ShapeRow) -> str:
    if row.op == "Conv2d" and row.input and row.params:
        kernel, filters = shape_text(row.kernel), row.output[0]
        weights = row.kernel[0] * row.kernel[1] * row.input[0]
        if row.params == weights * filters:
            return f"{kernel}×{row.input[0]} × {filters} = {row.params:,} (no bias)"
        if row.params == (weights + 1) * filters:
            return f"({kernel}×{row.input[0]} + 1) × {filters} = {row.params:,} (1: the bias)"
    if row.op == "Linear" and row.params == (row.input[0] + 1) * row.output[0]:
        return f"({row.input[0]} + 1) × {row.output[0]} = {row.params:,} (1: the bias)"
    if row.op.startswith("BatchNorm"):
        return f"2 × {row.output[0]} = {row.params:,} (scale and shift a channel)"
    return f"{row.params:,}"


def _macs(row: ShapeRow) -> str:
    outputs = shape_text(row.output)
    if row.op == "Conv2d" and row.macs:
        return f"{shape_text(row.kernel)}×{row.input[0]} for each of {outputs} values = {row.macs:,}"
    if row.op == "Linear":
        return f"{row.input[0]} for each of {outputs} values = {row.macs:,}"
    return f"{row.macs:,}"
