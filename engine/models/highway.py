"""Highway network: Srivastava, Greff and Schmidhuber 2015, "Training Very Deep Networks".

Sized for CIFAR like the ResNets here: three stages of 16, 32 and 64 channels. The first layer of the second and third
is an ordinary convolution with stride 2, since a gate needs an input of its output's shape. Every other layer is
y = H(x) T(x) + x (1 - T(x)); H is convolution, norm and ReLU, the gate T a convolution and a sigmoid.
Shapes: B batch, C channels, H height, W width.
"""

from collections import OrderedDict

from torch import Tensor, nn

from engine.config import HighwayConfig
from engine.models.layers import CIFAR_WIDTHS, Row, conv3x3, make_head, make_stem, norm_relu, relu, scaled, staged
from engine.models.operations import Gate


class HighwayBlock(nn.Module):
    """One highway layer."""

    def __init__(self, channels: int, gate_bias: float) -> None:
        super().__init__()
        self.gate_bias = gate_bias
        self.conv = conv3x3(channels, channels)
        self.norm = nn.BatchNorm2d(channels)
        self.relu = relu()
        self.gate = nn.Sequential(
            OrderedDict(conv=nn.Conv2d(channels, channels, kernel_size=3, padding=1), sigmoid=nn.Sigmoid())
        )
        self.carry = Gate()

    def close_gate(self) -> None:
        """Set the gate's initial bias: below 0, most of the input passes on at first (section 2.2)."""
        nn.init.constant_(self.gate.get_submodule("conv").get_parameter("bias"), self.gate_bias)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return an output of the input's shape."""
        transformed_BCHW = norm_relu(self.norm, self.relu, self.conv(x_BCHW))
        return self.carry(transformed_BCHW, x_BCHW, self.gate(x_BCHW))  # type: ignore[no-any-return]


def make_transition(channels_in: int, channels_out: int) -> nn.Module:
    """Return the ordinary layer that halves the picture."""
    return Row(
        OrderedDict(conv=conv3x3(channels_in, channels_out, 2), norm=nn.BatchNorm2d(channels_out), relu=relu())
    )


def make_highway(config: HighwayConfig, classes: int, channels_in: int) -> nn.Module:
    """Return Highway-11, 32, or any other depth 3n+2."""
    widths = [scaled(width, config.width) for width in CIFAR_WIDTHS]
    stages = []
    for index, width in enumerate(widths):
        stage = nn.Sequential()
        for layer in range((config.depth - 2) // 3):
            transition = index > 0 and layer == 0
            block = make_transition(widths[index - 1], width) if transition else HighwayBlock(width, config.gate_bias)
            stage.add_module(f"block{layer + 1}", block)
        stages.append(stage)
    stem = make_stem("cifar", channels_in, widths[0], activated=True)
    return staged(stem, stages, make_head(widths[-1], classes, activated=False))
