"""The residual MLP of the document "ResNet explained and problems", problem 3: linear layers, for rows of features.

Shapes: B batch, F features, K classes.
"""

from collections import OrderedDict

from torch import Tensor, nn

from engine.config import ResidualMlpConfig
from engine.models.operations import Add


class LinearBlock(nn.Module):
    """Two linear layers with norms, around which the input is added; a linear layer fits it where widths differ."""

    def __init__(self, features_in: int, features_out: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(features_in, features_out)
        self.norm1 = nn.BatchNorm1d(features_out)
        self.relu1 = nn.ReLU()
        self.linear2 = nn.Linear(features_out, features_out)
        self.norm2 = nn.BatchNorm1d(features_out)
        self.shortcut = nn.Identity() if features_in == features_out else nn.Linear(features_in, features_out)
        self.add = Add()
        self.relu2 = nn.ReLU()

    def forward(self, x_BF: Tensor) -> Tensor:
        """Return the block's output, (B, F)."""
        out_BF = self.relu1(self.norm1(self.linear1(x_BF)))
        out_BF = self.norm2(self.linear2(out_BF))
        return self.relu2(self.add(out_BF, self.shortcut(x_BF)))  # type: ignore[no-any-return]


class ResidualMlp(nn.Module):
    """Stem, residual blocks in one stage, and a linear head, which takes the last block's output as it is."""

    def __init__(self, config: ResidualMlpConfig, classes: int, features: int) -> None:
        super().__init__()
        first, *rest = config.widths
        self.stem = nn.Sequential(
            OrderedDict(linear=nn.Linear(features, first), norm=nn.BatchNorm1d(first), relu=nn.ReLU())
        )
        self.stage1 = nn.Sequential()
        width = first
        for index, width_out in enumerate(rest, start=1):
            self.stage1.add_module(f"block{index}", LinearBlock(width, width_out))
            width = width_out
        self.head = nn.Sequential(OrderedDict(linear=nn.Linear(width, classes)))

    def forward(self, x_BF: Tensor) -> Tensor:
        """Return logits of shape (B, K)."""
        logits_BK: Tensor = self.head(self.stage1(self.stem(x_BF)))
        return logits_BK
