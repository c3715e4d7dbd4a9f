"""Which network tensors belong to, from our names and their shapes alone."""

from collections.abc import Callable
from itertools import count, takewhile

from torch import Tensor

from engine.config import ModelConfig, ResidualMlpConfig, ResNetConfig
from engine.config.model import FOUR_STAGE_DEPTHS
from engine.errors import UserError
from engine.models.resnet import WIDTHS
from engine.shapes.formula import shape_text

Tensors = dict[str, Tensor]


def sizes(tensors: Tensors, name: str) -> tuple[int, int]:
    """Return the number of input channels, or features, and of classes.

    Raises:
        UserError: stem or head are missing or have no such shape.
    """
    stem = _shape(tensors, "stem.linear.weight", 2, name) if _is_mlp(tensors) else _stem_shape(tensors, name)
    return stem[1], _shape(tensors, "head.linear.weight", 2, name)[0]


def infer(tensors: Tensors, name: str) -> ModelConfig:
    """Return the ResNet or residual MLP that has such tensors.

    What has no weights cannot be seen: a plain network is taken for one with option A, a stride of 2 in a 3x3 stem
    for 1.

    Args:
        tensors: by our names.
        name: where they are from, for messages.

    Raises:
        UserError: it is another network, or one that does not exist here.
    """
    if _is_mlp(tensors):
        return _infer_mlp(tensors, name)
    for inner in ("", "residual."):
        if f"stage1.block1.{inner}conv1.weight" in tensors:
            return _infer_resnet(tensors, inner, name)
    raise UserError(
        f"{name}: which network it belongs to cannot be told from its tensors; give the run, one of its "
        "checkpoints, or a file that was written with export, which says it"
    )


def _infer_resnet(tensors: Tensors, inner: str, name: str) -> ResNetConfig:
    def blocks_in(stage: int) -> int:
        return _count(lambda block: f"stage{stage}.block{block}.{inner}conv1.weight" in tensors)

    blocks = tuple(takewhile(bool, map(blocks_in, count(1))))
    bottleneck = f"stage1.block1.{inner}conv3.weight" in tensors
    block = "bottleneck" if bottleneck else "basic"
    stem = _stem_shape(tensors, name)
    given = {
        "depth": 2 + sum(blocks) * (3 if bottleneck else 2),
        "stages": len(blocks),
        "block": block,
        "shortcut": _shortcut(tensors, blocks, changes_first=bottleneck),
        "stem": "imagenet" if stem[2] == 7 else "cifar",
        "width": stem[0] / WIDTHS.get(len(blocks), WIDTHS[3])[0],
        "preactivation": bool(inner),
    }
    try:
        config = ResNetConfig.model_validate(given)
    except ValueError:
        config = None
    if config is None or config.blocks != blocks:
        allowed = ", ".join(f"{'-'.join(map(str, stages))} {kind}" for kind, stages in FOUR_STAGE_DEPTHS.values())
        raise UserError(
            f"{name}: stages of {'-'.join(map(str, blocks))} {block} blocks after {stem[0]} channels are no network "
            f"that exists here; allowed: three stages of as many blocks each, or {allowed}; at most 32 times the "
            "usual 16 channels (four stages: 64)"
        )
    return config


def _shortcut(tensors: Tensors, blocks: tuple[int, ...], *, changes_first: bool) -> str:
    projected = {key for key in tensors if key.endswith(".shortcut.conv.weight")}
    firsts = range(1 if changes_first else 2, len(blocks) + 1)
    if not projected:
        return "A"
    return "B" if projected <= {f"stage{stage}.block1.shortcut.conv.weight" for stage in firsts} else "C"


def _infer_mlp(tensors: Tensors, name: str) -> ResidualMlpConfig:
    blocks = _count(lambda block: f"stage1.block{block}.linear2.weight" in tensors)
    layers = ["stem.linear.weight", *(f"stage1.block{block}.linear2.weight" for block in range(1, blocks + 1))]
    widths = tuple(_shape(tensors, layer, 2, name)[0] for layer in layers)
    try:
        return ResidualMlpConfig(arch="residual-mlp", widths=widths)
    except ValueError:
        raise UserError(f"{name}: a residual MLP of {blocks} blocks; allowed: 1 to 99") from None


def _is_mlp(tensors: Tensors) -> bool:
    return "stem.linear.weight" in tensors


def _count(exists: Callable[[int], bool]) -> int:
    return sum(1 for _ in takewhile(exists, count(1)))


def _stem_shape(tensors: Tensors, name: str) -> tuple[int, ...]:
    return _shape(tensors, "stem.conv.weight", 4, name)


def _shape(tensors: Tensors, key: str, dimensions: int, name: str) -> tuple[int, ...]:
    shape = tuple(tensors[key].shape) if key in tensors else ()
    if len(shape) != dimensions or 0 in shape:
        found = f"has weights of shape {shape_text(shape)}" if shape else "has no weights"
        part = key.removesuffix(".weight")
        raise UserError(
            f"{name}: its {part} {found}; a network here has {dimensions} dimensions there, none of them 0"
        )
    return shape
