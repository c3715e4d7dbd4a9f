"""Highway network: Srivastava, Greff and Schmidhuber 2015, "Training Very Deep Networks".

Sized for CIFAR like the ResNets here: three stages of 16, 32 and 64 channels. The first layer of the second and third
is an ordinary convolution with stride 2, since a gate needs an input of its output's shape. Every other layer is
y = H(x) T(x) + x (1 - T(x)); H is convolution, norm and ReLU, the gate T a convolution and a sigmoid.
Shapes: B batch, C channels, H height, W width, K classes.
"""

from collections import OrderedDict

from torch import Tensor, nn

from engine.config import HighwayConfig
from engine.models.operations import Gate
from engine.models.resnet import WIDTHS, conv3x3, make_head, make_stem, relu, scaled


class HighwayBlock(nn.Module):
    """One highway layer."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = conv3x3(channels, channels)
        self.norm = nn.BatchNorm2d(channels)
        self.relu = relu()
        self.gate = nn.Sequential(
            OrderedDict(conv=nn.Conv2d(channels, channels, kernel_size=3, padding=1), sigmoid=nn.Sigmoid())
        )
        self.carry = Gate()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return an output of the input's shape."""
        transformed_BCHW = self.relu(self.norm(self.conv(x_BCHW)))
        return self.carry(transformed_BCHW, x_BCHW, self.gate(x_BCHW))  # type: ignore[no-any-return]


def make_transition(channels_in: int, channels_out: int) -> nn.Module:
    """Return the ordinary layer that halves the picture."""
    return nn.Sequential(
        OrderedDict(conv=conv3x3(channels_in, channels_out, 2), norm=nn.BatchNorm2d(channels_out), relu=relu())
    )


class HighwayNet(nn.Module):
    """Highway-11, 32 and every other depth 3n+2; the gates' biases are set by ``close_gates``."""

    def __init__(self, config: HighwayConfig, classes: int, channels_in: int = 3) -> None:
        super().__init__()
        self.gate_bias = config.gate_bias
        widths = [scaled(width, config.width) for width in WIDTHS[3]]
        layers = (config.depth - 2) // 3
        self.stem = make_stem("cifar", channels_in, widths[0], activated=True)
        self.stage1, self.stage2, self.stage3 = nn.Sequential(), nn.Sequential(), nn.Sequential()
        for index, stage in enumerate((self.stage1, self.stage2, self.stage3)):
            for layer in range(layers):
                transition = index > 0 and layer == 0
                block = (
                    make_transition(widths[index - 1], widths[index]) if transition else HighwayBlock(widths[index])
                )
                stage.add_module(f"block{layer + 1}", block)
        self.head = make_head(widths[2], classes, activated=False)

    def close_gates(self) -> None:
        """Close the gates for a start, so that every layer passes most of its input on (section 2.2)."""
        for module in self.modules():
            if isinstance(module, HighwayBlock):
                nn.init.constant_(module.gate.get_submodule("conv").bias, self.gate_bias)  # type: ignore[arg-type]

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return logits of shape (B, K)."""
        logits_BK: Tensor = self.head(self.stage3(self.stage2(self.stage1(self.stem(x_BCHW)))))
        return logits_BK
