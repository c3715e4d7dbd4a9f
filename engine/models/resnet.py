"""The CIFAR ResNet of He et al. 2015, "Deep Residual Learning for Image Recognition", section 4.2.

Depth 6n+2: a 3x3 convolution, three stages of n blocks at 16, 32 and 64 channels, the second and third halving
the picture in their first block, global average pooling and a linear layer. No max-pooling.
Shapes: B batch, C channels, H height, W width, K classes.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.config import Shortcut

WIDTHS = (16, 32, 64)


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


def projection_shortcut(channels_in: int, channels_out: int, stride: int) -> nn.Module:
    """Options B and C: a 1x1 convolution and its norm."""
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(channels_in, channels_out, kernel_size=1, stride=stride, bias=False),
            norm=nn.BatchNorm2d(channels_out),
        )
    )


def make_shortcut(kind: Shortcut, channels_in: int, channels_out: int, stride: int) -> nn.Module | None:
    """Return the path around a block, or None in a plain network."""
    changes_shape = stride != 1 or channels_in != channels_out
    if kind == "none":
        return None
    if kind == "C" or (kind == "B" and changes_shape):
        return projection_shortcut(channels_in, channels_out, stride)
    return ZeroPadShortcut(channels_in, channels_out, stride) if changes_shape else nn.Identity()


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with norms, around which the input is added: relu(F(x) + shortcut(x))."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, kernel_size=3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, kernel_size=3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.shortcut = make_shortcut(shortcut, channels_in, channels_out, stride)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return the block's output, smaller by its stride."""
        out_BCHW = F.relu(self.norm1(self.conv1(x_BCHW)), inplace=True)
        out_BCHW = self.norm2(self.conv2(out_BCHW))
        if self.shortcut is not None:
            out_BCHW = out_BCHW + self.shortcut(x_BCHW)
        return F.relu(out_BCHW, inplace=True)


def make_stage(blocks: int, channels_in: int, channels_out: int, stride: int, shortcut: Shortcut) -> nn.Module:
    """Return ``blocks`` blocks in a row; the first changes the shape."""
    stage = nn.Sequential()
    for index in range(blocks):
        first = index == 0
        block = BasicBlock(channels_in if first else channels_out, channels_out, stride if first else 1, shortcut)
        stage.add_module(f"block{index + 1}", block)
    return stage


class CifarResNet(nn.Module):
    """ResNet-20, 32, 44, 56, 110, 1202 and every other depth 6n+2; a plain network with shortcut ``none``."""

    def __init__(self, depth: int, shortcut: Shortcut, classes: int, channels_in: int = 3) -> None:
        super().__init__()
        blocks = (depth - 2) // 6
        self.stem = nn.Sequential(
            OrderedDict(
                conv=nn.Conv2d(channels_in, WIDTHS[0], kernel_size=3, padding=1, bias=False),
                norm=nn.BatchNorm2d(WIDTHS[0]),
                relu=nn.ReLU(inplace=True),
            )
        )
        self.stage1 = make_stage(blocks, WIDTHS[0], WIDTHS[0], 1, shortcut)
        self.stage2 = make_stage(blocks, WIDTHS[0], WIDTHS[1], 2, shortcut)
        self.stage3 = make_stage(blocks, WIDTHS[1], WIDTHS[2], 2, shortcut)
        self.head = nn.Sequential(
            OrderedDict(
                pool=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
                linear=nn.Linear(WIDTHS[2], classes),
            )
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return logits of shape (B, K)."""
        x_BCHW = self.stem(x_BCHW)
        x_BCHW = self.stage3(self.stage2(self.stage1(x_BCHW)))
        logits_BK: torch.Tensor = self.head(x_BCHW)
        return logits_BK
