"""The optimiser from its configuration."""

from collections.abc import Collection

import torch
from torch import nn

from engine.config import OptimConfig


def build_optimiser(
    model: nn.Module, config: OptimConfig, carried: Collection[str] = (), lr_factor: float = 1.0
) -> torch.optim.Optimizer:
    """Return the optimiser over all of the model's parameters; ``set_lr`` sets its learning rate every step.

    Args:
        model: the network.
        config: kind, momentum, weight decay.
        carried: names of parameters that begin with weights from elsewhere.
        lr_factor: what their learning rate is multiplied with.
    """
    fused = next(model.parameters()).device.type in {"cpu", "cuda", "mps"}  # all parameters in one pass over memory
    groups = _parameter_groups(model, config, carried if lr_factor != 1 else (), lr_factor)
    if config.name == "sgd":
        sgd = torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.nesterov, fused=fused)
        if config.momentum:
            # As its first step would. In one pass all have momentum or none, also where some are thawed later.
            for parameter in model.parameters():
                sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return sgd
    kind = torch.optim.Adam if config.name == "adam" else torch.optim.AdamW
    return kind(groups, lr=config.lr, betas=config.betas, fused=fused)


def set_lr(optimiser: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every group, each with its own factor."""
    for group in optimiser.param_groups:
        group["lr"] = lr * group["lr_factor"]


def _parameter_groups(
    model: nn.Module, config: OptimConfig, carried: Collection[str], lr_factor: float
) -> list[dict[str, object]]:
    """Group the parameters by learning rate and weight decay.

    Weights of convolutions and linear layers have two dimensions or more; norms and biases have one.
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        # Not by the decay's value: at 0 groups would fall together, and a checkpoint knows parameters by their order.
        key = (lr_factor if name in carried else 1.0, config.decay_norm_and_bias or parameter.ndim > 1)
        groups.setdefault(key, []).append(parameter)
    return [
        {"params": parameters, "lr_factor": factor, "weight_decay": config.weight_decay if decayed else 0.0}
        for (factor, decayed), parameters in groups.items()
    ]
