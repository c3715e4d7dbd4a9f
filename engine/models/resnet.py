"""Residual networks: He et al. 2015, "Deep Residual Learning for Image Recognition"; with pre-activation, He et al.
2016, "Identity Mappings in Deep Residual Networks".

Three stages of 16, 32, 64 channels for CIFAR (section 4.2), or four of 64, 128, 256, 512 for ImageNet (table 1).
Every stage but the first halves the picture in its first block. Global average pooling and a linear layer end both.
Shapes: B batch, C channels, H height, W width.
"""

from collections import OrderedDict

from torch import Tensor, nn

from engine.config import ResNetConfig, Shortcut
from engine.kernels.norm_relu import branch
from engine.models.layers import (
    CIFAR_WIDTHS,
    Row,
    conv1x1,
    conv3x3,
    make_head,
    make_stem,
    norm_add_relu,
    norm_relu,
    relu,
    scaled,
    staged,
)
from engine.models.operations import Add, ZeroPadShortcut

WIDTHS = {3: CIFAR_WIDTHS, 4: (64, 128, 256, 512)}
EXPANSION = {"basic": 1, "bottleneck": 4}
"""Channels of a block's output, as a multiple of its stage's."""


def make_shortcut(
    kind: Shortcut, channels_in: int, channels_out: int, stride: int, *, norm: bool = True
) -> nn.Module | None:
    """Return the path around a block, or None in a plain network; ``norm``: whether a projection has one."""
    changes_shape = stride != 1 or channels_in != channels_out
    if kind == "none":
        return None
    if kind == "C" or (kind == "B" and changes_shape):
        projection = nn.Sequential(OrderedDict(conv=conv1x1(channels_in, channels_out, stride)))
        if norm:
            projection.add_module("norm", nn.BatchNorm2d(channels_out))
        return projection
    return ZeroPadShortcut(channels_in, channels_out, stride) if changes_shape else nn.Identity()


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with norms, around which the input is added: relu(F(x) + shortcut(x))."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels_in, channels_out, stride)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.relu1 = relu()
        self.conv2 = conv3x3(channels_out, channels_out)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.shortcut = make_shortcut(shortcut, channels_in, channels_out, stride)
        self.add = None if self.shortcut is None else Add()
        self.relu2 = relu()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return the block's output, smaller by its stride."""
        x_BCHW, beside_BCHW = branch(x_BCHW)
        out_BCHW = norm_relu(self.norm1, self.relu1, self.conv1(x_BCHW))
        out_BCHW = self.conv2(out_BCHW)
        if self.shortcut is None or self.add is None:
            return norm_relu(self.norm2, self.relu2, out_BCHW)
        return norm_add_relu(self.norm2, self.add, self.relu2, out_BCHW, self.shortcut, beside_BCHW)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with norms; the stride is in the 3x3, as in torchvision's networks."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        inner = channels_out // EXPANSION["bottleneck"]
        self.conv1 = conv1x1(channels_in, inner)
        self.norm1 = nn.BatchNorm2d(inner)
        self.relu1 = relu()
        self.conv2 = conv3x3(inner, inner, stride)
        self.norm2 = nn.BatchNorm2d(inner)
        self.relu2 = relu()
        self.conv3 = conv1x1(inner, channels_out)
        self.norm3 = nn.BatchNorm2d(channels_out)
        self.shortcut = make_shortcut(shortcut, channels_in, channels_out, stride)
        self.add = None if self.shortcut is None else Add()
        self.relu3 = relu()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return the block's output, smaller by its stride."""
        x_BCHW, beside_BCHW = branch(x_BCHW)
        out_BCHW = norm_relu(self.norm1, self.relu1, self.conv1(x_BCHW))
        out_BCHW = norm_relu(self.norm2, self.relu2, self.conv2(out_BCHW))
        out_BCHW = self.conv3(out_BCHW)
        if self.shortcut is None or self.add is None:
            return norm_relu(self.norm3, self.relu3, out_BCHW)
        return norm_add_relu(self.norm3, self.add, self.relu3, out_BCHW, self.shortcut, beside_BCHW)


class PreactivationBlock(nn.Module):
    """Norm and ReLU before each convolution, so that nothing stands on the path along the shortcuts.

    The first block of a stage also takes its shortcut after the first norm and ReLU, as the paper's appendix does
    where the shape changes.
    """

    def __init__(
        self,
        convolutions: list[nn.Conv2d],
        channels_in: int,
        channels_out: int,
        stride: int,
        shortcut: Shortcut,
        first: bool,
    ) -> None:
        super().__init__()
        steps: OrderedDict[str, nn.Module] = OrderedDict()
        for index, conv in enumerate(convolutions, start=1):
            steps[f"norm{index}"] = nn.BatchNorm2d(conv.in_channels)
            steps[f"relu{index}"] = relu()
            steps[f"conv{index}"] = conv
        self.norm1, self.relu1 = steps.pop("norm1"), steps.pop("relu1")
        self.residual = Row(steps)
        self.shortcut_after_relu = first
        self.shortcut = make_shortcut(shortcut, channels_in, channels_out, stride, norm=False)
        self.add = None if self.shortcut is None else Add()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return the block's output, smaller by its stride."""
        active_BCHW = norm_relu(self.norm1, self.relu1, x_BCHW)
        out_BCHW: Tensor = self.residual(active_BCHW)
        if self.shortcut is not None and self.add is not None:
            out_BCHW = self.add(out_BCHW, self.shortcut(active_BCHW if self.shortcut_after_relu else x_BCHW))
        return out_BCHW


def make_block(config: ResNetConfig, channels_in: int, channels_out: int, stride: int, *, first: bool) -> nn.Module:
    """Return a block of the kind that ``config`` asks for; ``first``: of its stage."""
    if not config.preactivation:
        kind = BasicBlock if config.block == "basic" else Bottleneck
        return kind(channels_in, channels_out, stride, config.shortcut)
    if config.block == "basic":
        convolutions = [conv3x3(channels_in, channels_out, stride), conv3x3(channels_out, channels_out)]
    else:
        inner = channels_out // EXPANSION["bottleneck"]
        convolutions = [conv1x1(channels_in, inner), conv3x3(inner, inner, stride), conv1x1(inner, channels_out)]
    return PreactivationBlock(convolutions, channels_in, channels_out, stride, config.shortcut, first)


def make_stage(config: ResNetConfig, blocks: int, channels_in: int, channels_out: int, stride: int) -> nn.Module:
    """Return ``blocks`` blocks in a row; the first changes the shape."""
    stage = nn.Sequential()
    for index in range(blocks):
        first = index == 0
        block = make_block(
            config, channels_in if first else channels_out, channels_out, stride if first else 1, first=first
        )
        stage.add_module(f"block{index + 1}", block)
    return stage


def make_resnet(config: ResNetConfig, classes: int, channels_in: int) -> nn.Module:
    """Return ResNet-20 to 1202 for CIFAR, or ResNet-18 to 152; a plain network with shortcut ``none``."""
    widths = [scaled(width, config.width) for width in WIDTHS[config.stages]]
    stages: list[nn.Module] = []
    channels = widths[0]
    for width, blocks in zip(widths, config.blocks, strict=True):
        channels_out = width * EXPANSION[config.block]
        stages.append(make_stage(config, blocks, channels, channels_out, stride=2 if stages else 1))
        channels = channels_out
    return staged(
        make_stem(config.stem, channels_in, widths[0], activated=not config.preactivation),
        stages,
        make_head(channels, classes, activated=config.preactivation),
    )
