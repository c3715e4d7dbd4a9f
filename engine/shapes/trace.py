"""Runs a network on the meta device and writes a row for every operation: no weights, no GPU, no arithmetic.

Every operation of the networks is a module without children (``engine.models.operations``), so hooks on those see
all of them. B batch, C channels, H height, W width.
"""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from engine.config import ModelConfig
from engine.events import ShapeRow
from engine.models import build, part_of
from engine.models.operations import Add, Concat, Gate, ScaledAdd, ZeroPadShortcut
from engine.shapes.formula import UNCHANGED, Shape, channels_formula, shape_text, window_formula
from engine.shapes.table import Failure, ShapeTable
from engine.text import one_line

Keeps = Literal["inputs", "output", "nothing", "overwritten"]
_NORMS = nn.BatchNorm1d | nn.BatchNorm2d
_STATISTICS_BYTES = 8
"""A channel: a norm keeps mean and deviation of the batch."""
Field = tuple[tuple[int, int], tuple[int, int]]
"""Receptive field (height, width) of a value, and the distance of neighbours, both in pixels of the input."""


def shape_table(config: ModelConfig, input_shape: Shape, classes: int, batch_size: int = 1) -> ShapeTable:
    """Return the shape table of a network; where it does not fit its input, up to the operation that fails.

    Args:
        config: the network.
        input_shape: (C, H, W) of one image, or (F,) of one row of features.
        classes: number of logits.
        batch_size: for the memory of the activations.

    Raises:
        UserError: the network takes images and these are features, or the other way round.
    """
    model = build(config, input_shape, classes)
    for module in model.modules():
        if keeps := _KEEPS.get(type(module)):
            module.forward = partial(_stand_in, module, keeps)
    trace = _Trace(model)
    # With a gradient, as every output has one through the weights: autograd keeps things for those alone.
    failure = trace.run(torch.empty(batch_size, *input_shape, device="meta", requires_grad=True))
    return ShapeTable(
        rows=trace.rows(),
        input=input_shape,
        batch_size=batch_size,
        params=sum(parameter.numel() for parameter in model.parameters()),
        trainable_params=sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
        buffers=sum(buffer.numel() for buffer in model.buffers() if buffer.is_floating_point()),
        failure=failure,
    )


class _Trace:
    """What is noted while a network runs."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._names = {module: name for name, module in model.named_modules()}
        self._rows: list[ShapeRow] = []
        self._running: tuple[nn.Module, tuple[Tensor, ...]] | None = None
        self._fields: dict[Tensor, Field] = {}
        # What autograd keeps is counted once, with the row that made it; weights and input are not counted.
        self._made_by: dict[int, int | None] = {
            _storage(tensor): None for tensor in (*model.parameters(), *model.buffers())
        }
        self._kept_bytes: dict[int, int] = {}
        self._statistics: dict[int, int] = {}
        self._alive: list[Tensor] = []  # so that no storage takes the number of one that was freed

    def run(self, x: Tensor) -> Failure | None:
        """Run the network on ``x``; return what failed."""
        if x.ndim == 4:
            self._fields[x] = ((1, 1), (1, 1))
        self._made_by[_storage(x)] = None
        try:
            with self._hooked(), saved_tensors_hooks(self._keep, lambda tensor: tensor):
                self._model(x)
        except (RuntimeError, ValueError) as error:
            if self._running is None:
                raise
            module, inputs = self._running
            shape = tuple(inputs[0].shape[1:])
            reason = _too_small(module, shape) or one_line(str(error), 300)
            return Failure(self._names[module], type(module).__name__, shape, reason)
        return None

    def rows(self) -> tuple[ShapeRow, ...]:
        """Return the rows, with what autograd keeps of each."""
        kept = [0] * (len(self._rows) + 1)  # one more: an operation that failed may have kept something
        for storage, size in self._kept_bytes.items():
            if (row := self._made_by[storage]) is not None:
                kept[row] += size
        for row, channels in self._statistics.items():
            kept[row] += _STATISTICS_BYTES * channels
        return tuple(
            replace(row, activation_bytes=size) for row, size in zip(self._rows, kept[: len(self._rows)], strict=True)
        )

    @contextmanager
    def _hooked(self) -> Iterator[None]:
        with ExitStack() as stack:
            for module in self._model.modules():
                if not any(True for _ in module.children()):
                    stack.callback(module.register_forward_pre_hook(self._begin).remove)
                    stack.callback(module.register_forward_hook(self._end).remove)
            yield

    def _begin(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._running = (module, inputs)

    def _end(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self._made_by.setdefault(_storage(output), len(self._rows))
        self._alive.append(output)
        self._running = None
        if isinstance(module, _NORMS):
            self._statistics[len(self._rows)] = module.num_features
        name = self._names[module]
        stage, _, block = part_of(name).partition(".")
        shape = tuple(inputs[0].shape[1:])
        kernel, stride, padding = _window(module, shape)
        field = _field([self._fields[tensor] for tensor in inputs if tensor in self._fields], kernel, stride)
        if field is not None:
            self._fields[output] = field
        macs = _macs(module, output)
        self._rows.append(
            ShapeRow(
                stage=stage,
                block=block,
                name=name,
                op=type(module).__name__,
                kernel=kernel,
                stride=stride,
                padding=padding,
                input=shape,
                output=tuple(output.shape[1:]),
                formula=_formula(module, [tuple(tensor.shape[1:]) for tensor in inputs], kernel, stride, padding),
                params=sum(parameter.numel() for parameter in module.parameters()),
                macs=macs,
                flops=2 * macs,
                receptive_field=field[0] if field is not None else (),
            )
        )

    def _keep(self, tensor: Tensor) -> Tensor:
        """Note what autograd keeps for the backward pass."""
        storage = _storage(tensor)
        self._made_by.setdefault(storage, len(self._rows))  # by the operation that runs
        self._kept_bytes[storage] = tensor.untyped_storage().nbytes()
        self._alive.append(tensor)
        return tensor


class _StandIn(torch.autograd.Function):
    """Stands in for all but convolutions, pooling windows and copies: the same storages made and kept, no arithmetic.

    On the meta device, torch's own are Python functions that load the compiler, which takes as long as all the rest.
    Tests hold shapes and what is kept to what a real training pass has, byte for byte.
    """

    @staticmethod
    def forward(ctx: Any, keeps: Keeps, shape: Shape, *inputs: Tensor) -> Tensor:
        """Return an output of ``shape``, with the batch."""
        output = inputs[0].view(shape) if keeps == "overwritten" else torch.empty(shape, device="meta")
        ctx.save_for_backward(*{"inputs": inputs, "nothing": ()}.get(keeps, (output,)))
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """Never called: only what is kept for it matters."""
        raise NotImplementedError


def _stand_in(module: nn.Module, keeps: Keeps, *inputs: Tensor) -> Tensor:
    """Return what ``module`` gives, and let autograd keep what it keeps."""
    shape = tuple(inputs[0].shape)
    if isinstance(module, nn.Linear):
        shape = (*shape[:-1], module.out_features)
    elif isinstance(module, nn.AdaptiveAvgPool2d):
        shape = (*shape[:2], 1, 1)
    output: Tensor = _StandIn.apply(keeps, shape, *inputs)
    return output


_KEEPS: dict[type[nn.Module], Keeps] = {
    nn.BatchNorm1d: "inputs",
    nn.BatchNorm2d: "inputs",
    nn.ReLU: "overwritten",
    nn.Sigmoid: "output",
    Add: "nothing",
    ScaledAdd: "nothing",
    Gate: "inputs",
    nn.AdaptiveAvgPool2d: "nothing",
    nn.Linear: "inputs",
}
"""What autograd keeps. Every ReLU of the networks overwrites its input; every adaptive pooling is global."""


def _storage(tensor: Tensor) -> int:
    number: int = tensor.untyped_storage()._cdata
    return number


def _window(module: nn.Module, shape: Shape) -> tuple[Shape, Shape, Shape]:
    """Return kernel, stride and padding (height, width) of what slides over the picture; else empty ones."""
    if isinstance(module, nn.AdaptiveAvgPool2d):  # to 1x1: one window that is the whole picture
        return shape[1:], (1, 1), (0, 0)
    if isinstance(module, ZeroPadShortcut):
        return (1, 1), (module.stride, module.stride), (0, 0)
    if isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
        return _pair(module.kernel_size), _pair(module.stride), _pair(module.padding)
    return (), (), ()


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _field(inputs: list[Field], kernel: Shape, stride: Shape) -> Field | None:
    """Return the receptive field of an output: the largest of its inputs', grown by the window."""
    if not inputs:
        return None
    (height, width), (down, right) = (
        (max(field[i][0] for field in inputs), max(field[i][1] for field in inputs)) for i in (0, 1)
    )
    if not kernel:
        return (height, width), (down, right)
    return (
        (height + (kernel[0] - 1) * down, width + (kernel[1] - 1) * right),
        (down * stride[0], right * stride[1]),
    )


def _macs(module: nn.Module, output: Tensor) -> int:
    """Return the multiply-accumulates of a convolution or linear layer for one sample; else 0."""
    if isinstance(module, nn.Conv2d):
        per_value = module.weight[0].numel()
    elif isinstance(module, nn.Linear):
        per_value = module.in_features
    else:
        return 0
    return output[0].numel() * per_value


def _formula(module: nn.Module, inputs: list[Shape], kernel: Shape, stride: Shape, padding: Shape) -> str:
    """Word why the output has its shape."""
    first = shape_text(inputs[0])
    match module:
        case ZeroPadShortcut():
            before = module.new_channels // 2
            after = module.new_channels - before
            channels = (
                f"{before} zeros + {inputs[0][0]} + {after} zeros = {inputs[0][0] + module.new_channels} channels"
            )
            return f"{window_formula(inputs[0], kernel, stride, padding)}; {channels}"
        case Concat():
            return channels_formula([shape[0] for shape in inputs])
        case Add():
            return f"F(x) + x, both {first}"
        case ScaledAdd():
            return f"{module.scale:g}·F(x) + x, both {first}"
        case Gate():
            return f"H(x)·T(x) + x·(1 − T(x)), all {first}"
        case nn.Flatten():
            return f"{' × '.join(map(str, inputs[0]))} = {math.prod(inputs[0])}"
        case nn.Linear():
            return f"{module.in_features} → {module.out_features}"
    return window_formula(inputs[0], kernel, stride, padding) if kernel else first + UNCHANGED


def _too_small(module: nn.Module, shape: Shape) -> str | None:
    """Say that a window does not fit its input, where it does not."""
    kernel, stride, padding = _window(module, shape)
    if not kernel or all(size + 2 * p >= k for size, k, p in zip(shape[1:], kernel, padding, strict=True)):
        return None
    return (
        f"its {shape_text(kernel)} window is larger than its input of {shape_text(shape[1:])}"
        f"{f' with padding {padding[0]}' if any(padding) else ''}: {window_formula(shape, kernel, stride, padding)}"
    )
