"""Networks in the layouts of other people's code, written for the tests: the same operations under their names."""

from collections.abc import Sequence
from pathlib import Path

import torch
from data_support import finish
from torch import Tensor, nn
from torch.nn import functional as F

from engine.models import build
from engine.weights import Weights, load_weights


class Pad(nn.Module):
    """Option A: every second pixel, zeros for new channels."""

    def __init__(self, new: int) -> None:
        super().__init__()
        self.new = new

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.new // 2, self.new // 2))


class Block(nn.Module):
    """Basic or bottleneck; the way around it is called ``shortcut`` or ``downsample``."""

    def __init__(self, before: int, planes: int, stride: int, kind: str, around: str, option: str) -> None:
        super().__init__()
        after = planes * (4 if kind == "bottleneck" else 1)
        shapes = [(before, planes, 3, stride), (planes, planes, 3, 1)]
        if kind == "bottleneck":
            shapes = [(before, planes, 1, 1), (planes, planes, 3, stride), (planes, after, 1, 1)]
        self.count = len(shapes)
        for index, (channels, out, kernel, step) in enumerate(shapes, start=1):
            self.add_module(f"conv{index}", nn.Conv2d(channels, out, kernel, step, kernel // 2, bias=False))
            self.add_module(f"bn{index}", nn.BatchNorm2d(out))
        way: nn.Module = nn.Identity()
        if option == "C" or stride != 1 or before != after:
            projection = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
            way = Pad(after - before) if option == "A" else projection
        self.around = around
        self.add_module(around, way)

    def forward(self, x: Tensor) -> Tensor:
        out = x
        for index in range(1, self.count + 1):
            out = self.get_submodule(f"bn{index}")(self.get_submodule(f"conv{index}")(out))
            out = F.relu(out) if index < self.count else out
        return F.relu(out + self.get_submodule(self.around)(x))


class Net(nn.Module):
    """``conv1``, ``bn1``, ``layer1`` …, and a head of any name."""

    def __init__(
        self,
        blocks: Sequence[int],
        head: str,
        around: str,
        option: str = "B",
        kind: str = "basic",
        width: int = 16,
        classes: int = 10,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layers = [f"layer{index + 1}" for index in range(len(blocks))]
        before = width
        for index, (name, count) in enumerate(zip(self.layers, blocks, strict=True)):
            layer = nn.Sequential()
            for number in range(count):
                stride = 2 if index > 0 and number == 0 else 1
                layer.append(Block(before, width << index, stride, kind, around, option))
                before = (width << index) * (4 if kind == "bottleneck" else 1)
            self.add_module(name, layer)
        self.head = head
        self.add_module(head, nn.Linear(before, classes))

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        for name in self.layers:
            out = self.get_submodule(name)(out)
        logits: Tensor = self.get_submodule(self.head)(out.mean((2, 3)))
        return logits


class IrisBlock(nn.Module):
    """Two linear layers with norms."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.linear1, self.bn1 = nn.Linear(before, after), nn.BatchNorm1d(after)
        self.linear2, self.bn2 = nn.Linear(after, after), nn.BatchNorm1d(after)
        self.downsample = None if before == after else nn.Linear(before, after)

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.linear2(F.relu(self.bn1(self.linear1(x)))))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


class Iris(nn.Module):
    """The Iris document's residual MLP."""

    def __init__(self) -> None:
        super().__init__()
        stem = (nn.Linear(4, 32), nn.BatchNorm1d(32), nn.ReLU())
        self.model = nn.Sequential(*stem, IrisBlock(32, 32), IrisBlock(32, 64), nn.Linear(64, 3))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model(x)
        return logits


def randomised(model: nn.Module) -> nn.Module:
    """Give every parameter and every norm's statistics values that make a difference."""
    drawn = torch.Generator().manual_seed(1)
    for name, tensor in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            tensor.fill_(5)
        elif tensor.dim() > 1:
            fan_in = tensor[0].numel()
            tensor.copy_(torch.randn(tensor.shape, generator=drawn) / fan_in**0.5)
        else:
            tensor.copy_(torch.rand(tensor.shape, generator=drawn) + 0.5)
    return model.eval()


def load(source: Path | str, runs: Path | None = None) -> Weights:
    return finish(load_weights(str(source), runs or Path("no-runs")))[0]


def network(weights: Weights) -> nn.Module:
    """Return our network with all of ``weights``."""
    assert not weights.missing
    shape = (weights.channels,) if weights.model.arch == "residual-mlp" else (weights.channels, 32, 32)
    model = build(weights.model, shape, weights.classes).to_empty(device="cpu")
    model.load_state_dict(weights.tensors, strict=True)
    return model.eval()


def assert_same_logits(weights: Weights, theirs: nn.Module, *shape: int) -> None:
    x = torch.randn(2, *(shape or (3, 32, 32)), generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        expected = theirs(x)
        assert expected.std() > 1e-3, "logits that are all alike prove nothing"
        torch.testing.assert_close(network(weights)(x), expected, rtol=1e-4, atol=1e-4)
