"""The residual MLP of the document "ResNet explained and problems", problem 3: linear layers, for rows of features.

Shapes: B batch, F features.
"""

from collections import OrderedDict
from itertools import pairwise

from torch import Tensor, nn

from engine.config import ResidualMlpConfig
from engine.models.layers import relu, staged
from engine.models.operations import Add


class LinearBlock(nn.Module):
    """Two linear layers with norms, around which the input is added; a linear layer fits it where widths differ."""

    def __init__(self, features_in: int, features_out: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(features_in, features_out)
        self.norm1 = nn.BatchNorm1d(features_out)
        self.relu1 = relu()
        self.linear2 = nn.Linear(features_out, features_out)
        self.norm2 = nn.BatchNorm1d(features_out)
        self.shortcut = nn.Identity() if features_in == features_out else nn.Linear(features_in, features_out)
        self.add = Add()
        self.relu2 = relu()

    def forward(self, x_BF: Tensor) -> Tensor:
        """Return the block's output, (B, F)."""
        out_BF = self.relu1(self.norm1(self.linear1(x_BF)))
        out_BF = self.norm2(self.linear2(out_BF))
        return self.relu2(self.add(out_BF, self.shortcut(x_BF)))  # type: ignore[no-any-return]


def make_residual_mlp(config: ResidualMlpConfig, classes: int, features: int) -> nn.Module:
    """Return stem, residual blocks in one stage, and a linear head, which takes the last block's output as it is."""
    first, last = config.widths[0], config.widths[-1]
    stem = nn.Sequential(OrderedDict(linear=nn.Linear(features, first), norm=nn.BatchNorm1d(first), relu=relu()))
    stage = nn.Sequential()
    for index, (width, width_out) in enumerate(pairwise(config.widths), start=1):
        stage.add_module(f"block{index}", LinearBlock(width, width_out))
    return staged(stem, [stage], nn.Sequential(OrderedDict(linear=nn.Linear(last, classes))))
