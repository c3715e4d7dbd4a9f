"""Global magnitude pruning: the smallest weights of all layers together become zero for good.

Han, Pool, Tran and Dally, "Learning both Weights and Connections for Efficient Neural Networks" (2015): train, remove
what is small, train what is left. Weights of convolutions and linear layers only; no biases, no norms.

What holds a zero at zero: its gradient, masked before anything reads it, so that gradient norms and clipping are of
what is trained; its momentum, cleared once; and weight decay, which leaves 0 at 0. In the moving average of the
weights it is cleared once too, and an average of zeros stays zero.
"""

import zlib
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils import prune as torch_prune

from engine.events import Pruned
from engine.learner import Learner
from engine.models import part_of

_LEVEL = 6
"""Of zlib, its default: about 25 MB a second, once a run."""


def prune(learner: Learner, amount: float, *, step: int, epoch: int) -> Pruned:
    """Set the ``amount`` share of the smallest weights to zero, hold them there, and return what was done.

    Host-device synchronisations: what is counted, and all parameters twice, to see what they compress to.

    Args:
        learner: changed in place: weights, their average, the optimiser's state.
        amount: a share of all prunable weights together, at least 0 and below 1. Weights that are zero already
            count as the smallest, and all of them are held.
        step: optimiser steps finished.
        epoch: the epoch that begins.
    """
    weights = prunable(learner.model)
    before = compressed_bytes(learner.model)
    masks = keep_largest(weights, amount)
    removed = [weight.detach().abs().masked_fill(masks[name], 0).amax() for name, weight in weights.items()]
    average = dict(learner.average.module.named_parameters()) if learner.average is not None else {}
    with torch.no_grad():
        for name, weight in weights.items():
            weight.masked_fill_(~masks[name], 0)  # not times the mask, which makes -0.0 of what is negative
            state = learner.optimiser.state.get(weight, {}).values()
            followers = [value for value in state if isinstance(value, Tensor) and value.shape == weight.shape]
            for follower in [*followers, *([average[name]] if average else [])]:
                follower.masked_fill_(weight == 0, 0)
    hold_zeros(learner.model)

    zeros = torch.stack([(weight == 0).sum() for weight in weights.values()]).tolist()  # synchronisation
    parts: dict[str, tuple[int, int]] = {}
    for (name, weight), count in zip(weights.items(), zeros, strict=True):
        of_part, zeros_of_part = parts.get(part_of(name), (0, 0))
        parts[part_of(name)] = of_part + weight.numel(), zeros_of_part + count
    return Pruned(
        step=step,
        epoch=epoch,
        amount=amount,
        weights=sum(weight.numel() for weight in weights.values()),
        zeros=sum(zeros),
        parts=tuple((part, *counts) for part, counts in parts.items()),
        threshold=float(torch.stack(removed).max()),  # synchronisation
        compressed_before=before,
        compressed_after=compressed_bytes(learner.model),
    )


def hold_zeros(model: nn.Module) -> None:
    """Keep what is zero among the prunable weights at zero: after pruning, and when a pruned run is resumed.

    So a checkpoint needs no masks besides its weights. A weight that was kept and stands at exactly 0.0 in a
    checkpoint, which is rare, is held from its resume on as well.
    """
    for weight in prunable(model).values():
        trained = weight.requires_grad
        weight.requires_grad_(True)  # a frozen weight takes no hook, and may be thawed later
        weight.register_hook(partial(torch.mul, other=weight.detach() != 0))  # type: ignore[no-untyped-call]
        weight.requires_grad_(trained)


def prunable(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the weights of convolutions and linear layers by their names, from the input to the output."""
    return {
        f"{name}.weight": module.get_parameter("weight")
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear)
    }


def keep_largest(weights: dict[str, nn.Parameter], amount: float) -> dict[str, Tensor]:
    """Return masks of the weights' shapes: False for the ``amount`` share of smallest magnitudes of all together."""
    # Stand-ins, because torch's pruning and `prune.remove` put a weight behind its layer's bias. Another order of the
    # parameters would mix up the moving average, and change the last bits of a clipped gradient from what they are
    # in a resumed run. Contiguous, because torch flattens them as views.
    layers = {name: nn.Module() for name in weights}
    for name, layer in layers.items():
        layer.register_parameter("weight", nn.Parameter(weights[name].detach().contiguous(), requires_grad=False))
    places = [(layer, "weight") for layer in layers.values()]
    torch_prune.global_unstructured(places, torch_prune.L1Unstructured, amount=amount)
    return {name: layer.get_buffer("weight_mask").bool() for name, layer in layers.items()}


def compressed_bytes(model: nn.Module) -> int:
    """Return the size of all parameters after zlib: where zeros save room. A host-device synchronisation."""
    compressor, size = zlib.compressobj(_LEVEL), 0
    for parameter in model.parameters():
        size += len(compressor.compress(parameter.detach().cpu().contiguous().numpy().data))
    return size + len(compressor.flush())
