"""What several networks are made of: convolutions, the layers before the first stage and after the last.

Shapes: B batch, C channels, H height, W width, K classes.
"""

from collections.abc import Sequence

from torch import nn

from engine.config import Stem

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


def make_stem(kind: Stem, channels_in: int, channels_out: int, *, activated: bool) -> nn.Module:
    """Return the layers before the first stage; ``activated``: with norm and ReLU."""
    kernel, stride = {"cifar": (3, 1), "stride2": (3, 2), "imagenet": (7, 2)}[kind]
    stem = nn.Sequential()
    stem.add_module("conv", nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False))
    if activated:
        stem.add_module("norm", nn.BatchNorm2d(channels_out))
        stem.add_module("relu", relu())
    if kind == "imagenet":
        stem.add_module("pool", nn.MaxPool2d(kernel_size=3, stride=2, padding=1))
    return stem


def make_head(channels: int, classes: int, *, activated: bool) -> nn.Module:
    """Return global average pooling and the linear layer; ``activated``: norm and ReLU come first."""
    head = nn.Sequential()
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
