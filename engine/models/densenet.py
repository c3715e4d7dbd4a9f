"""DenseNet: Huang, Liu, van der Maaten and Weinberger 2017, "Densely Connected Convolutional Networks".

The networks for CIFAR: a 3x3 stem, three stages in which every layer reads the concatenation of all outputs before it
and adds k channels, transitions of a 1x1 convolution and average pooling between them.
Shapes: B batch, C channels, H height, W width.
"""

from collections import OrderedDict

from torch import Tensor, nn

from engine.config import DenseNetConfig
from engine.models.layers import Row, conv1x1, conv3x3, make_head, make_stem, relu, staged
from engine.models.operations import Concat

STAGES = 3
PLAIN_STEM = 16
"""Channels of the stem; with bottlenecks and compression it has 2k (section 3, implementation details)."""
BOTTLENECK = 4
COMPRESSION = 2


class DenseBlock(nn.Module):
    """One layer, H in the paper: norm, ReLU and a 3x3 convolution to k channels, which are put beside the input.

    With bottlenecks, norm, ReLU and a 1x1 convolution to 4k channels come first.
    """

    def __init__(self, channels_in: int, growth: int, *, bottleneck: bool) -> None:
        super().__init__()
        steps: OrderedDict[str, nn.Module] = OrderedDict()
        if bottleneck:
            steps |= OrderedDict(
                norm1=nn.BatchNorm2d(channels_in), relu1=relu(), conv1=conv1x1(channels_in, BOTTLENECK * growth)
            )
            channels_in = BOTTLENECK * growth
        last = "2" if bottleneck else "1"
        steps |= {f"norm{last}": nn.BatchNorm2d(channels_in), f"relu{last}": relu()}
        steps[f"conv{last}"] = conv3x3(channels_in, growth)
        self.layer = Row(steps)
        self.concat = Concat()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return the input with k more channels."""
        return self.concat(x_BCHW, self.layer(x_BCHW))  # type: ignore[no-any-return]


def make_transition(channels_in: int, channels_out: int) -> nn.Module:
    """Return what halves the picture between two stages."""
    return Row(
        OrderedDict(
            norm=nn.BatchNorm2d(channels_in),
            relu=relu(),
            conv=conv1x1(channels_in, channels_out),
            pool=nn.AvgPool2d(kernel_size=2, stride=2),
        )
    )


def make_densenet(config: DenseNetConfig, classes: int, channels_in: int) -> nn.Module:
    """Return DenseNet-40 (k=12), DenseNet-BC-100 (k=12), or any other depth and growth rate."""
    bc = config.variant == "bc"
    layers = (config.depth - STAGES - 1) // (2 * STAGES if bc else STAGES)
    stem_channels = channels = 2 * config.growth if bc else PLAIN_STEM
    stages = []
    for index in range(STAGES):
        stage = nn.Sequential()
        for layer in range(layers):
            stage.add_module(f"block{layer + 1}", DenseBlock(channels, config.growth, bottleneck=bc))
            channels += config.growth
        if index < STAGES - 1:
            channels_out = channels // COMPRESSION if bc else channels
            stage.add_module("transition", make_transition(channels, channels_out))
            channels = channels_out
        stages.append(stage)
    stem = make_stem("cifar", channels_in, stem_channels, activated=False)
    return staged(stem, stages, make_head(channels, classes, activated=True))
