"""Puts weights from elsewhere into a network: all of them, or what was asked for, each exception named."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from engine.config import WeightsConfig, as_flags
from engine.errors import UserError
from engine.shapes.formula import shape_text
from engine.text import one_line

if TYPE_CHECKING:
    from engine.weights.fit import Weights

_SHOWN = 6


@dataclass
class Carried:
    """What became of every tensor; names are the network's."""

    loaded: list[str] = field(default_factory=list)
    """As they are."""
    adapted: list[str] = field(default_factory=list)
    """With how, such as ``stem.conv.weight (7×7 averaged to 3×3)``."""
    fresh: list[str] = field(default_factory=list)
    """Of the network, not of the source: they keep their random values because that was asked for."""
    missing: list[str] = field(default_factory=list)
    """Of the network, absent from the source or of another shape there, with both shapes."""
    left_out: list[str] = field(default_factory=list)
    """Of the source, without a place in the network, with why."""
    parameters: list[str] = field(default_factory=list)
    """The network's parameters that now hold the source's values, adapted ones too."""


def carry(model: nn.Module, weights: "Weights", config: WeightsConfig) -> Carried:
    """Copy ``weights`` into ``model`` and say what became of each tensor.

    Raises:
        UserError: tensors are missing, left over or of another shape, and ``config`` did not ask for that.
    """
    carried = Carried(left_out=list(weights.left_out))
    target = model.state_dict()
    fitting: dict[str, Tensor] = {}
    for name, mine in target.items():
        theirs = weights.tensors.get(name)
        if _is_fresh(name, config):
            carried.fresh.append(name)
        elif theirs is None:
            carried.missing.append(f"{name} (absent)")
        elif theirs.shape == mine.shape:
            fitting[name] = theirs
            carried.loaded.append(name)
        elif config.stem == "adapt" and _can_adapt(name, theirs, mine):
            fitting[name] = averaged_kernel(theirs, mine.shape[2])
            sizes = (shape_text(tuple(kernel.shape[2:])) for kernel in (theirs, mine))
            carried.adapted.append(f"{name} ({' averaged to '.join(sizes)})")
        else:
            shapes = (shape_text(tuple(tensor.shape)) for tensor in (theirs, mine))
            carried.missing.append(f"{name} ({' there, '.join(shapes)} here)")
    carried.left_out += [f"{name} (no such tensor here)" for name in weights.tensors if name not in target]
    if (carried.missing or carried.left_out) and not config.allow_partial:
        raise UserError(_refusal(weights, carried, target, config))
    for name, tensor in fitting.items():
        target[name].copy_(tensor)
    parameters = {name for name, _ in model.named_parameters()}
    carried.parameters = [name for name in fitting if name in parameters]
    return carried


def averaged_kernel(kernel_OIHW: Tensor, size: int) -> Tensor:
    """Return a convolution's kernels averaged down to ``size`` x ``size``, their sums kept.

    O output channels, I input channels, H and W the kernel's. Where the new grid cuts through a value, each side gets
    its share, so that every value counts once. With the sum kept, an even surface gives the same response, so that
    the norm after it still fits.
    """
    down_hH, down_wW = (_shares(before, size).to(kernel_OIHW) for before in kernel_OIHW.shape[2:])
    return down_hH @ kernel_OIHW @ down_wW.T


def _shares(before: int, after: int) -> Tensor:
    """Return which share of each of ``before`` equal lengths lies in each of ``after``, shape (after, before)."""
    edges = torch.arange(after + 1) * (before / after)
    cells = torch.arange(before)
    return (torch.minimum(edges[1:, None], cells + 1) - torch.maximum(edges[:-1, None], cells)).clamp(min=0)


def _is_fresh(name: str, config: WeightsConfig) -> bool:
    if name.startswith("stem."):
        return config.stem == "fresh"
    return name.startswith("head.linear.") and config.head == "fresh"


def _can_adapt(name: str, theirs: Tensor, mine: Tensor) -> bool:
    larger = all(before >= after for before, after in zip(theirs.shape[2:], mine.shape[2:], strict=True))
    return name == "stem.conv.weight" and theirs.shape[:2] == mine.shape[:2] and larger


def _refusal(weights: "Weights", carried: Carried, target: dict[str, Tensor], config: WeightsConfig) -> str:
    resized = {
        name: (theirs, target[name])
        for name, theirs in weights.tensors.items()
        if name in target and theirs.shape != target[name].shape and not _is_fresh(name, config)
    }
    ends = {"head.linear.weight", "head.linear.bias", "stem.conv.weight"}
    fits_between = not carried.left_out and all(name.split(" ")[0] in ends for name in carried.missing)
    head, stem = resized.get("head.linear.weight"), resized.get("stem.conv.weight")
    advice = []
    if fits_between and head and head[0].shape[1] == head[1].shape[1]:
        advice.append("--set weights.head=fresh for a new last layer")
    if fits_between and stem and stem[0].shape[0] == stem[1].shape[0]:
        adapt = config.stem == "carry" and _can_adapt("stem.conv.weight", *stem)
        advice.append(f"--set weights.stem={'adapt, or fresh,' if adapt else 'fresh'} for another stem")
    same = not resized and weights.tensors.keys() | set(weights.missing) == target.keys()
    network = f"the same network ({as_flags(weights.model)})"
    advice.append("a file of the whole network and nothing else" if same else network)
    text = f"{one_line(weights.source)} holds {weights.model.title} with {weights.classes} classes ({weights.layout})"
    if carried.missing:
        text += f"; missing or of another shape: {listed(carried.missing)}"
    if carried.left_out:
        text += f"; without a place in this network: {listed(carried.left_out)}"
    return f"{text}; choose {', '.join(advice)}, or load what fits with --allow-partial"


def listed(names: list[str]) -> str:
    """Write names in a row, the first few of many."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return one_line(", ".join(names[:_SHOWN]) + more, 2000)


def check_something_is_left(model: nn.Module, carried: Carried, config: WeightsConfig) -> None:
    """Refuse to freeze the whole network.

    Raises:
        UserError: every parameter was carried over, so that a frozen epoch would train nothing.
    """
    if config.frozen_epochs and len(carried.parameters) == sum(1 for _ in model.parameters()):
        raise UserError(
            f"weights.frozen_epochs = {config.frozen_epochs}: every tensor was carried over, so nothing would be "
            "trained; make a part new with --set weights.head=fresh, or set it to 0"
        )
