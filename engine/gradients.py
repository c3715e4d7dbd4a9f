"""The L2 norm of the gradient of every part of the network, for one transfer from the device."""

import torch
from torch import Tensor, nn

from engine.models import part_of, parts


class GradientMeter:
    """Measures ``parts(model)``; P parts, N parameters."""

    def __init__(self, model: nn.Module) -> None:
        self.parts = parts(model)
        self._parameters = list(model.parameters())
        index = {part: i for i, part in enumerate(self.parts)}
        self._part_of_N = torch.tensor(
            [index[part_of(name)] for name, _ in model.named_parameters()],
            device=self._parameters[0].device,
        )

    def norms(self) -> Tensor:
        """Return the norm of each part's gradient, shape (P,), on the device; nothing is synchronised."""
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in self._parameters]
        norms_N = torch.stack(torch._foreach_norm(gradients)).float()
        squares_P = norms_N.new_zeros(len(self.parts)).index_add_(0, self._part_of_N, norms_N.square())
        return squares_P.sqrt()
