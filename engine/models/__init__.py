"""The networks. Every one names its parts the same way: ``stem``, ``stageN.blockM``, ``head``.

Between blocks there may be a ``stageN.transition`` or ``stageN.reduction``; it is a part like a block.
"""

import torch
from torch import nn

from engine.config import (
    DenseNetConfig,
    HighwayConfig,
    InceptionResNetConfig,
    ModelConfig,
    ResidualMlpConfig,
    ResNetConfig,
)
from engine.errors import UserError
from engine.models.densenet import make_densenet
from engine.models.highway import make_highway
from engine.models.inception_resnet import make_inception_resnet
from engine.models.initialise import initialise
from engine.models.mlp import make_residual_mlp
from engine.models.resnet import make_resnet
from engine.seeds import generator


def build(config: ModelConfig, input_shape: tuple[int, ...], classes: int) -> nn.Module:
    """Build a network on the meta device: shapes without weights.

    Args:
        config: which one.
        input_shape: (C, H, W) of one image, or (F,) of one row of features.
        classes: number of logits.

    Raises:
        UserError: the network takes images and these are features, or the other way round.
    """
    features = len(input_shape) == 1
    if features and not isinstance(config, ResidualMlpConfig):
        raise UserError(
            f"model.arch = {config.arch!r} takes images of channels x height x width, and the input is "
            f"{input_shape[0]} features; choose --arch residual-mlp, or an image dataset, such as "
            "--dataset digits"
        )
    if not features and isinstance(config, ResidualMlpConfig):
        raise UserError(
            f"model.arch = {config.arch!r} takes rows of features, and the input is images of "
            f"{'x'.join(map(str, input_shape))}; choose --dataset iris, or another --arch, such as resnet"
        )
    with torch.device("meta"):
        match config:
            case ResNetConfig():
                return make_resnet(config, classes, input_shape[0])
            case HighwayConfig():
                return make_highway(config, classes, input_shape[0])
            case DenseNetConfig():
                return make_densenet(config, classes, input_shape[0])
            case InceptionResNetConfig():
                return make_inception_resnet(config, classes, input_shape[0])
            case ResidualMlpConfig():
                return make_residual_mlp(config, classes, input_shape[0])


def build_initialised(
    config: ModelConfig, input_shape: tuple[int, ...], classes: int, seed: int, device: torch.device
) -> nn.Module:
    """Build a network on ``device``, its weights drawn from a generator of their own.

    Raises:
        UserError: the network cannot take such an input.
    """
    # Drawn on the CPU so that the same seed gives the same weights on every device.
    model = build(config, input_shape, classes).to_empty(device="cpu")
    initialise(model, generator(seed, "initialise"))
    return on_device(model, device)


def on_device(model: nn.Module, device: torch.device) -> nn.Module:
    """Move ``model`` to ``device``; the channels of a pixel lie together, which makes convolutions faster."""
    return model.to(device).to(memory_format=torch.channels_last)


def part_of(name: str) -> str:
    """Return the part to which a module or parameter belongs: ``stem``, ``stage2.block1``, ``head``."""
    first, _, rest = name.partition(".")
    return f"{first}.{rest.partition('.')[0]}" if first.startswith("stage") and rest else first


def parts(model: nn.Module) -> tuple[str, ...]:
    """Return the parts that hold parameters, from the input to the output."""
    return tuple(dict.fromkeys(part_of(name) for name, _ in model.named_parameters()))
