"""Operations without weights as modules, so that each is seen by name in the shape table.

Shapes: B batch, C channels, H height, W width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Add(nn.Module):
    """F(x) + x, the addition that makes a network residual."""

    def forward(self, residual: Tensor, shortcut: Tensor) -> Tensor:
        """Return the sum of two tensors of the same shape."""
        return residual + shortcut


class ScaledAdd(nn.Module):
    """scale * F(x) + x: a small scale keeps wide residual networks from dying (Szegedy et al. 2016, section 3.3)."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, residual: Tensor, shortcut: Tensor) -> Tensor:
        """Return ``shortcut + scale * residual``, all of the same shape."""
        return torch.add(shortcut, residual, alpha=self.scale)

    def extra_repr(self) -> str:
        """Show the scale."""
        return f"scale={self.scale:g}"


class Gate(nn.Module):
    """H(x) T(x) + x (1 - T(x)), the carry and transform of a highway layer (Srivastava et al. 2015, equation 3)."""

    def forward(self, transformed: Tensor, x: Tensor, gate: Tensor) -> Tensor:
        """Return ``x`` where ``gate`` is 0, ``transformed`` where it is 1; all of the same shape."""
        return torch.lerp(x, transformed, gate)


class Concat(nn.Module):
    """Puts channels side by side (Huang et al. 2017; the branches of an Inception block)."""

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return (B, sum of C, H, W)."""
        return torch.cat(inputs, dim=1)


class ZeroPadShortcut(nn.Module):
    """Option A: every second pixel, and zeros for the channels that are new. No parameters."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.new_channels = channels_out - channels_in

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return the input, smaller and with more channels."""
        before = self.new_channels // 2
        x_BCHW = x_BCHW[:, :, :: self.stride, :: self.stride]
        return F.pad(x_BCHW, (0, 0, 0, 0, before, self.new_channels - before))
