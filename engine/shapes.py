"""The shape of every layer's output, with parameters and multiply-accumulates, without allocating weights."""

from typing import Any

import torch
from torch import Tensor, nn

from engine.events import ShapeRow
from engine.models import part_of


def shape_rows(model: nn.Module, input_shape: tuple[int, ...]) -> tuple[ShapeRow, ...]:
    """Run ``model``, which is on the meta device, on one made-up input and return a row for each leaf module.

    Args:
        model: a network on the meta device.
        input_shape: (C, H, W) of one image, or (F,) of one sample.
    """
    names = {module: name for name, module in model.named_modules()}
    rows: list[ShapeRow] = []

    def record(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        rows.append(_row(names[module], module, inputs[0], output))

    handles = [
        module.register_forward_hook(record) for module in model.modules() if not any(True for _ in module.children())
    ]
    was_training = model.training
    try:
        with torch.no_grad():
            model.eval()(torch.empty(1, *input_shape, device="meta"))
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()
    return tuple(rows)


def _row(name: str, module: nn.Module, x: Tensor, output: Tensor) -> ShapeRow:
    stage, _, block = part_of(name).partition(".")
    return ShapeRow(
        stage=stage,
        block=block,
        name=name,
        op=type(module).__name__,
        kernel=_pair(module, "kernel_size"),
        stride=_pair(module, "stride"),
        padding=_pair(module, "padding"),
        input=tuple(x.shape[1:]),
        output=tuple(output.shape[1:]),
        params=sum(parameter.numel() for parameter in module.parameters()),
        macs=_macs(module, output),
    )


def _pair(module: nn.Module, attribute: str) -> tuple[int, ...]:
    value: Any = getattr(module, attribute, ())
    return (value, value) if isinstance(value, int) else tuple(value)


def _macs(module: nn.Module, output: Tensor) -> int:
    """Return the multiply-accumulates of a convolution or linear layer for a batch of one; else 0."""
    if isinstance(module, nn.Conv2d):
        per_value = module.weight[0].numel()
    elif isinstance(module, nn.Linear):
        per_value = module.in_features
    else:
        return 0
    return output[0].numel() * per_value
