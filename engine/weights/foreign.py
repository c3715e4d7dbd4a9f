"""Names of parameters in other people's networks, and what those were trained with.

Nearly all residual networks name their parts ``conv1``, ``bn1``, ``layer1.0.conv1``, …; what they call the head and
the shortcut, and how many stages they have, tells the code they were trained with, and so the normalisation.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from engine.config import Normalisation

_WRAPPERS = re.compile(r"^(?:(?:module|_orig_mod)\.)+")
"""Of DataParallel and torch.compile."""
_IN_BLOCK = re.compile(
    r"layer([1-9])\.([0-9]{1,4})\.(?:(conv|bn)([1-3])|(?:shortcut|downsample)\.([01]))\.([a-z_]+)",
)
_ENDS = {
    "conv1": "stem.conv",
    "bn1": "stem.norm",
    "linear": "head.linear",
    "fc": "head.linear",
    "fc_out": "head.linear",
}
_OURS = {"conv": "conv", "bn": "norm"}

_MLP_BLOCK = re.compile(r"model\.([0-9]{1,4})\.(linear[12]|bn[12]|downsample)\.([a-z_]+)")
_MLP_END = re.compile(r"model\.([0-9]{1,4})\.([a-z_]+)")

Trained = Literal["imagenet", "by classes", "by stem"] | None
_ORIGINS: dict[tuple[int, str, str], tuple[str, Trained]] = {
    (3, "", "linear"): ("akamaster/pytorch_resnet_cifar10", "imagenet"),
    (3, "shortcut", "linear"): ("akamaster/pytorch_resnet_cifar10 with option B", "imagenet"),
    (3, "downsample", "fc"): ("chenyaofo/pytorch-cifar-models", "by classes"),
    (3, "shortcut", "fc_out"): ("the ResNet20 document", None),
    (4, "shortcut", "linear"): ("kuangliu/pytorch-cifar", "by classes"),
    (4, "downsample", "fc"): ("torchvision", "by stem"),
    (4, "", "fc"): ("torchvision", "by stem"),
}
"""From stages, name of the shortcut and name of the head: whose code, and what its images were normalised with."""


@dataclass(frozen=True)
class Foreign:
    """A layout that was recognised."""

    rename: Callable[[str], str | None]
    """Our name for one in the file; None: a network here has no such tensor."""
    layout: str
    normalise: Normalisation | None


def recognise_foreign(tensors: dict[str, Tensor]) -> Foreign | None:
    """Return the layout that the names of ``tensors`` follow, or None."""
    plain = {_unwrapped(key): tensor for key, tensor in tensors.items()}
    if {"conv1.weight", "bn1.weight", "layer1.0.conv1.weight"} <= plain.keys():
        return _recognise_resnet(plain)
    if {"model.0.weight", "model.1.weight", "model.3.linear1.weight"} <= plain.keys():
        last = max(int(match[1]) for match in map(_MLP_END.fullmatch, plain) if match)
        return Foreign(lambda key: _rename_in_mlp(_unwrapped(key), last), "the Iris document", None)
    return None


def _unwrapped(key: str) -> str:
    return _WRAPPERS.sub("", key)


def _recognise_resnet(plain: dict[str, Tensor]) -> Foreign:
    stages = len({key.partition(".")[0] for key in plain if _IN_BLOCK.fullmatch(key)})
    shortcut = next((kind for kind in ("shortcut", "downsample") if any(f".{kind}.0." in key for key in plain)), "")
    head = next((key for key in ("linear", "fc", "fc_out") if f"{key}.weight" in plain), "")
    layout, trained = _ORIGINS.get((stages, shortcut, head), (f"conv1, layer1 to layer{stages}, {head}", None))
    normalise: Normalisation | None = None
    if trained == "imagenet" or (trained == "by stem" and plain["conv1.weight"].shape[-1:] == (7,)):
        normalise = "imagenet"
    elif trained is not None and head:
        by_classes: dict[int, Normalisation] = {10: "cifar10", 100: "cifar100"}
        normalise = by_classes.get(next(iter(plain[f"{head}.weight"].shape), 0))
    return Foreign(lambda key: _rename_in_resnet(_unwrapped(key)), layout, normalise)


def _rename_in_resnet(key: str) -> str | None:
    if match := _IN_BLOCK.fullmatch(key):
        stage, block, kind, number, step, leaf = match.groups()
        inner = f"{_OURS[kind]}{number}" if kind else f"shortcut.{('conv', 'norm')[int(step)]}"
        return f"stage{stage}.block{int(block) + 1}.{inner}.{leaf}"
    part, _, leaf = key.rpartition(".")
    return f"{_ENDS[part]}.{leaf}" if part in _ENDS else None


def _rename_in_mlp(key: str, last: int) -> str | None:
    if match := _MLP_BLOCK.fullmatch(key):
        inner = match[2].replace("bn", "norm").replace("downsample", "shortcut")
        return f"stage1.block{int(match[1]) - 2}.{inner}.{match[3]}"
    if match := _MLP_END.fullmatch(key):
        part = {0: "stem.linear", 1: "stem.norm", last: "head.linear"}.get(int(match[1]))
        return f"{part}.{match[2]}" if part else None
    return None
