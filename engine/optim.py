"""The optimiser from its configuration."""

import torch
from torch import nn

from engine.config import OptimConfig


def build_optimiser(model: nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """Return the optimiser over all of the model's parameters; the loop sets its learning rate every step."""
    groups = _parameter_groups(model, config)
    if config.name == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.nesterov)
    kind = torch.optim.Adam if config.name == "adam" else torch.optim.AdamW
    return kind(groups, lr=config.lr, betas=config.betas)


def _parameter_groups(model: nn.Module, config: OptimConfig) -> list[dict[str, object]]:
    """Weights of convolutions and linear layers have two dimensions or more; norms and biases have one."""
    parameters = list(model.parameters())
    if config.decay_norm_and_bias:
        return [{"params": parameters, "weight_decay": config.weight_decay}]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
