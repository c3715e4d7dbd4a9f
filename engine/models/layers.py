"""What several networks are made of: convolutions, the layers before the first stage and after the last.

Shapes: B batch, C channels, H height, W width, K classes.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from engine.config import Stem
from engine.kernels.norm_relu import applies
from engine.kernels.norm_relu import norm_relu as fused_norm_relu

CIFAR_WIDTHS = (16, 32, 64)
"""Channels of three stages (He et al. 2015, section 4.2)."""


def staged(stem: nn.Module, stages: Sequence[nn.Module], head: nn.Module) -> nn.Module:
    """Return a network of ``stem``, ``stage1``, ``stage2``, …, ``head``: (B, C, H, W) or (B, F) to logits (B, K)."""
    network = nn.Sequential()
    network.add_module("stem", stem)
    for index, stage in enumerate(stages, start=1):
        network.add_module(f"stage{index}", stage)
    network.add_module("head", head)
    return network


def conv3x3(channels_in: int, channels_out: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3x3 convolution without bias; the norm after it has one."""
    return nn.Conv2d(channels_in, channels_out, kernel_size=3, stride=stride, padding=1, bias=False)


def conv1x1(channels_in: int, channels_out: int, stride: int = 1) -> nn.Conv2d:
    """Return a 1x1 convolution without bias."""
    return nn.Conv2d(channels_in, channels_out, kernel_size=1, stride=stride, bias=False)


def relu() -> nn.Module:
    """Return a ReLU that overwrites its input, which saves its memory."""
    return nn.ReLU(inplace=True)


def norm_relu(norm: nn.Module, relu: nn.Module, x_BCHW: Tensor) -> Tensor:
    """Return ``relu(norm(x))``, in one operation where there is one."""
    if applies(norm, x_BCHW):
        return fused_norm_relu(norm, x_BCHW)
    return relu(norm(x_BCHW))  # type: ignore[no-any-return]


def norm_add_relu(
    norm: nn.Module, add: nn.Module, relu: nn.Module, out_BCHW: Tensor, shortcut: nn.Module, x_BCHW: Tensor
) -> Tensor:
    """Return ``relu(norm(out) + shortcut(x))``, norm, addition and ReLU in one operation where there is one."""
    if applies(norm, out_BCHW):
        return fused_norm_relu(norm, out_BCHW, shortcut(x_BCHW))
    return relu(add(norm(out_BCHW), shortcut(x_BCHW)))  # type: ignore[no-any-return]


class Row(nn.Sequential):
    """Layers one after the other; a norm and the ReLU after it may be one operation."""

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return what the last layer gives."""
        layers = list(self)
        index = 0
        while index < len(layers):
            layer, after = layers[index], layers[index + 1] if index + 1 < len(layers) else None
            if isinstance(layer, nn.BatchNorm2d) and isinstance(after, nn.ReLU):
                x_BCHW = norm_relu(layer, after, x_BCHW)
                index += 2
            else:
                x_BCHW = layer(x_BCHW)
                index += 1
        return x_BCHW


def make_stem(kind: Stem, channels_in: int, channels_out: int, *, activated: bool) -> nn.Module:
    """Return the layers before the first stage; ``activated``: with norm and ReLU."""
    kernel, stride = {"cifar": (3, 1), "stride2": (3, 2), "imagenet": (7, 2)}[kind]
    stem = Row()
    stem.add_module("conv", nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False))
    if activated:
        stem.add_module("norm", nn.BatchNorm2d(channels_out))
        stem.add_module("relu", relu())
    if kind == "imagenet":
        stem.add_module("pool", nn.MaxPool2d(kernel_size=3, stride=2, padding=1))
    return stem


def make_head(channels: int, classes: int, *, activated: bool) -> nn.Module:
    """Return global average pooling and the linear layer; ``activated``: norm and ReLU come first."""
    head = Row()
    if activated:
        head.add_module("norm", nn.BatchNorm2d(channels))
        head.add_module("relu", relu())
    head.add_module("pool", nn.AdaptiveAvgPool2d(1))
    head.add_module("flatten", nn.Flatten())
    head.add_module("linear", nn.Linear(channels, classes))
    return head


def scaled(channels: int, width: float) -> int:
    """Return ``channels`` times ``width``, at least 1."""
    return max(1, round(channels * width))
