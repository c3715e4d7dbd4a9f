"""One row of a shape table in full: how its shape, parameters, multiply-accumulates and field come about.

Works on rows alone; imports no torch.
"""

from engine.events import ShapeRow
from engine.shapes.formula import shape_text

Facts = list[tuple[str, str]]


def explain(row: ShapeRow, batch_size: int) -> Facts:
    """Return (label, text) pairs about an operation, a block or a stage.

    Args:
        row: from ``trace.shape_table`` or ``groups.grouped``.
        batch_size: for which its ``activation_bytes`` holds.
    """
    facts = [
        ("operation", _operation(row)),
        ("input", shape_text(row.input)),
        ("output", shape_text(row.output)),
        ("shape", row.formula),
        ("parameters", _params(row)),
        ("MACs", _macs(row)),
        (
            "FLOPs",
            f"2 × {row.macs:,} = {row.flops:,}" if row.macs else "0: only convolutions and linear layers count",
        ),
        ("activations", f"{row.activation_bytes:,} bytes kept for the backward pass at batch {batch_size:,}"),
    ]
    if row.receptive_field:
        facts.append(("receptive field", f"{shape_text(row.receptive_field)} pixels of the input"))
    return facts


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
