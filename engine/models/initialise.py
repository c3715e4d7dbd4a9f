"""Initial weights, drawn from a given generator and never from the global one."""

import math

import torch
from torch import nn

from engine.models.highway import HighwayBlock


def initialise(model: nn.Module, generator: torch.Generator) -> None:
    """Fill every parameter and buffer of ``model``.

    Convolutions: Kaiming normal over the fan-out (He et al. 2015, "Delving Deep into Rectifiers"; the ResNet20
    document's choice). Linear layers: uniform within 1/sqrt(fan-in), PyTorch's own. Norms: weight 1, bias 0. The
    gates of a highway network begin almost closed.

    Raises:
        TypeError: a module has parameters and no rule here, so that it would stay unfilled.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            bound = 1 / math.sqrt(module.in_features)
            nn.init.uniform_(module.weight, -bound, bound, generator=generator)
            nn.init.uniform_(module.bias, -bound, bound, generator=generator)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.reset_parameters()
        elif any(True for _ in module.parameters(recurse=False)):
            raise TypeError(f"no initial weights for {type(module).__name__}")
    for module in model.modules():
        if isinstance(module, HighwayBlock):
            module.close_gate()
