"""Batch norm, addition and ReLU as one operation of a training step on the CPU, forward and backward.

In torch's own operations these read and write every activation about twice as often, which on a CPU takes as long as
the memory needs. The results are the same to rounding; the same run gives the same bits. B batch, C channels, H
height, W width.
"""

import ctypes
import functools
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from engine.kernels.build import BuildError, load

_SOURCE = Path(__file__).with_suffix(".c")
_DTYPES = (torch.float32, torch.bfloat16)
_P, _N, _D = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double


@functools.cache
def library() -> ctypes.CDLL | str:
    """Return the compiled kernels, or why they cannot be had."""
    try:
        found = load(_SOURCE)
    except BuildError as error:
        return str(error)
    found.norm_relu_takes.argtypes = [_N, _N]
    found.norm_relu_forward.argtypes = [ctypes.c_int, _N, _N, *[_P] * 4, _D, _D, *[_P] * 5]
    found.norm_relu_backward.argtypes = [ctypes.c_int, _N, _N, *[_P] * 11]
    return found


def fuse(model: nn.Module) -> str:
    """Let the norms of ``model`` take their ReLU, and an addition, along; return why not, empty where they do."""
    if isinstance(found := library(), str):
        return found
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and _is_usual(module):
            module.fused = True  # type: ignore[assignment]
    return ""


def _is_usual(norm: nn.BatchNorm2d) -> bool:
    return norm.affine and norm.track_running_stats and norm.momentum is not None


def applies(norm: nn.Module, x_BCHW: Tensor) -> TypeGuard[nn.BatchNorm2d]:
    """Whether ``norm_relu`` can take the place of the modules for this input."""
    return (
        getattr(norm, "fused", False)
        and norm.training
        and x_BCHW.device.type == "cpu"
        and x_BCHW.dtype in _DTYPES
        and x_BCHW.is_contiguous(memory_format=torch.channels_last)
        and not torch.compiler.is_compiling()
        and bool(_functions().norm_relu_takes(x_BCHW.numel() // x_BCHW.shape[1], x_BCHW.shape[1]))
    )


def norm_relu(norm: nn.BatchNorm2d, x_BCHW: Tensor, add_BCHW: Tensor | None = None) -> Tensor:
    """Return ``relu(norm(x) + add)``, and move the running statistics; only where it ``applies``.

    Raises:
        MemoryError: there is none for the sums.
    """
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    if add_BCHW is not None:
        add_BCHW = add_BCHW.to(dtype=x_BCHW.dtype, memory_format=torch.channels_last)
    y_BCHW: Tensor = _NormRelu.apply(x_BCHW, add_BCHW, norm.weight, norm.bias, norm)
    return y_BCHW


def branch(y_BCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``y`` twice, for two readers; the gradients that come back are added on the way through ``norm_relu``.

    Without it autograd adds them in a pass over memory of its own.
    """
    if not torch.compiler.is_compiling() and getattr(y_BCHW.grad_fn, "takes_branches", False):
        return _Branch.apply(y_BCHW)  # type: ignore[no-any-return]
    return y_BCHW, y_BCHW


class _Branch(torch.autograd.Function):
    """Gives the second gradient to the operation before, beside the one that autograd gives it."""

    @staticmethod
    def forward(ctx: Any, y: Tensor) -> tuple[Tensor, Tensor]:
        """See ``branch``."""
        ctx.set_materialize_grads(False)
        ctx.before = y.grad_fn
        return y.view_as(y), y.view_as(y)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor | None, dy2: Tensor | None) -> Tensor | None:
        """Pass the gradients on."""
        if dy is None or dy2 is None:
            return dy if dy2 is None else dy2
        if ctx.before.other is not None:  # a graph that branches more than once
            return dy + dy2
        ctx.before.other = dy2.contiguous(memory_format=torch.channels_last)
        return dy


class _NormRelu(torch.autograd.Function):
    """Keeps its input and output, as batch norm and ReLU do; that a ReLU let a value pass shows in the output."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, add: Tensor | None, weight: Tensor, bias: Tensor, norm: Any) -> Tensor:
        """See ``norm_relu``."""
        channels = x.shape[1]
        y = torch.empty_like(x, memory_format=torch.channels_last)
        statistics_2C = torch.empty(2, channels)
        _done(
            _functions().norm_relu_forward(
                x.dtype == torch.bfloat16,
                x.numel() // channels,
                channels,
                x.data_ptr(),
                None if add is None else add.data_ptr(),
                weight.data_ptr(),
                bias.data_ptr(),
                norm.eps,
                norm.momentum,
                norm.running_mean.data_ptr(),
                norm.running_var.data_ptr(),
                statistics_2C.data_ptr(),
                statistics_2C[1].data_ptr(),
                y.data_ptr(),
            )
        )
        ctx.save_for_backward(x, y, weight, statistics_2C)
        ctx.added = add is not None
        ctx.takes_branches, ctx.other = True, None
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> Any:
        """Return the gradients of input, what was added, weight and bias."""
        x, y, weight, statistics_2C = ctx.saved_tensors
        channels = x.shape[1]
        dy = dy.contiguous(memory_format=torch.channels_last)
        dx = torch.empty_like(x, memory_format=torch.channels_last)
        dy2, ctx.other = ctx.other, None
        dadd = torch.empty_like(dx) if ctx.added or dy2 is not None else None
        gradients_2C = torch.empty(2, channels)
        _done(
            _functions().norm_relu_backward(
                x.dtype == torch.bfloat16,
                x.numel() // channels,
                channels,
                x.data_ptr(),
                y.data_ptr(),
                dy.data_ptr(),
                None if dy2 is None else dy2.data_ptr(),
                weight.data_ptr(),
                statistics_2C.data_ptr(),
                statistics_2C[1].data_ptr(),
                dx.data_ptr(),
                None if dadd is None else dadd.data_ptr(),
                gradients_2C.data_ptr(),
                gradients_2C[1].data_ptr(),
            )
        )
        return dx, dadd if ctx.added else None, gradients_2C[0], gradients_2C[1], None


def _functions() -> ctypes.CDLL:
    found = library()
    assert isinstance(found, ctypes.CDLL)  # a norm is fused only then
    return found


def _done(status: int) -> None:
    if status:
        raise MemoryError("no memory for the sums of a batch norm")
