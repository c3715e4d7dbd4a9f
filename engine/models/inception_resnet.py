"""Inception-ResNet for 32x32 images, after Inception-ResNet-v1 of Szegedy, Ioffe, Vanhoucke and Alemi 2016,
"Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning".

The paper's stem takes 299x299 pixels down to 35x35; here a 3x3 convolution stands in its place, and blocks A, B and C
work at 32x32, 16x16 and 8x8 with about a quarter of the paper's channels. What the blocks are made of is the paper's
(figures 10 to 13): their branches, the 1x1 convolution without ReLU before the addition, the scaled residual.
Shapes: B batch, C channels, H height, W width.
"""

from collections import OrderedDict

from torch import Tensor, nn

from engine.config import InceptionResNetConfig
from engine.models.layers import Row, make_head, make_stem, relu, scaled, staged
from engine.models.operations import Concat, ScaledAdd

Kernel = tuple[int, int]
Branch = tuple[tuple[int, Kernel], ...]
"""Convolutions in a row: channels and kernel of each."""

WIDTHS = (64, 192, 384)
"""Channels of the three stages."""
BRANCHES: tuple[tuple[Branch, ...], ...] = (
    (((8, (1, 1)),), ((8, (1, 1)), (8, (3, 3))), ((8, (1, 1)), (8, (3, 3)), (8, (3, 3)))),
    (((32, (1, 1)),), ((32, (1, 1)), (32, (1, 7)), (32, (7, 1)))),
    (((48, (1, 1)),), ((48, (1, 1)), (48, (1, 3)), (48, (3, 1)))),
)
"""Of blocks A, B and C (figures 10, 11 and 13)."""


def make_conv(channels_in: int, channels_out: int, kernel: Kernel, stride: int = 1) -> nn.Module:
    """Return convolution, norm and ReLU."""
    padding = (kernel[0] // 2, kernel[1] // 2)
    conv = nn.Conv2d(channels_in, channels_out, kernel, stride, padding, bias=False)
    return Row(OrderedDict(conv=conv, norm=nn.BatchNorm2d(channels_out), relu=relu()))


class InceptionBlock(nn.Module):
    """Branches side by side, a 1x1 convolution back to the input's channels, and the scaled addition."""

    def __init__(self, channels: int, branches: tuple[Branch, ...], width: float, scale: float) -> None:
        super().__init__()
        self.branches = [f"branch{index + 1}" for index in range(len(branches))]
        joined = 0
        for name, branch in zip(self.branches, branches, strict=True):
            path, channels_in = nn.Sequential(), channels
            for index, (filters, kernel) in enumerate(branch, start=1):
                channels_out = scaled(filters, width)
                path.add_module(f"conv{index}", make_conv(channels_in, channels_out, kernel))
                channels_in = channels_out
            self.add_module(name, path)
            joined += channels_in
        self.concat = Concat()
        self.project = nn.Conv2d(joined, channels, kernel_size=1)
        self.shortcut = nn.Identity()
        self.add = ScaledAdd(scale)
        self.relu = relu()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return an output of the input's shape."""
        joined_BCHW = self.concat(*(self.get_submodule(name)(x_BCHW) for name in self.branches))
        return self.relu(self.add(self.project(joined_BCHW), self.shortcut(x_BCHW)))  # type: ignore[no-any-return]


class Reduction(nn.Module):
    """Max-pooling beside convolutions with stride 2, which halve the picture (figures 7 and 12)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        new = channels_out - channels_in
        one, other = new // 2, new - new // 2
        self.pool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.branch1 = make_conv(channels_in, one, (3, 3), 2)
        self.branch2 = nn.Sequential(
            OrderedDict(
                conv1=make_conv(channels_in, other, (1, 1)),
                conv2=make_conv(other, other, (3, 3)),
                conv3=make_conv(other, other, (3, 3), 2),
            )
        )
        self.concat = Concat()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return half the height and width, more channels."""
        return self.concat(self.pool(x_BCHW), self.branch1(x_BCHW), self.branch2(x_BCHW))  # type: ignore[no-any-return]


def make_inception_resnet(config: InceptionResNetConfig, classes: int, channels_in: int) -> nn.Module:
    """Return stem, blocks A, reduction, blocks B, reduction, blocks C, head."""
    widths = [scaled(width, config.width) for width in WIDTHS]
    stages = []
    for index, width in enumerate(widths):
        stage = nn.Sequential()
        for block in range(config.blocks[index]):
            made = InceptionBlock(width, BRANCHES[index], config.width, config.scale)
            stage.add_module(f"block{block + 1}", made)
        if index + 1 < len(widths):
            stage.add_module("reduction", Reduction(width, widths[index + 1]))
        stages.append(stage)
    stem = make_stem("cifar", channels_in, widths[0], activated=True)
    return staged(stem, stages, make_head(widths[-1], classes, activated=False))
