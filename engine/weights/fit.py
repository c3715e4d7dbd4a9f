"""Tensors by our names, held against the network that they are to fill."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from engine.config import DatasetName, ModelConfig, Normalisation
from engine.errors import UserError
from engine.models import build
from engine.shapes.formula import shape_text
from engine.text import one_line
from engine.weights.infer import Tensors, sizes

_MOST_TIMES = 10
"""How many times the numbers that a file holds its network may have, where it lacks some."""
SIDE = 32
"""Of the images for which the network is built; no tensor depends on it."""


@dataclass(frozen=True)
class Weights:
    """A network's tensors, and what is known about them."""

    tensors: dict[str, Tensor]
    """By our names, on the CPU; those that ``model`` has, in its shapes."""
    model: ModelConfig
    """The network that they belong to."""
    channels: int
    """Of the input; of the residual MLP, features."""
    classes: int
    layout: str
    """Whose code wrote them, in words."""
    normalise: Normalisation | None
    """What its training images were normalised with; None: not known."""
    missing: tuple[str, ...] = ()
    """Tensors of the network that the file lacks, or has in another shape; our names."""
    left_out: tuple[str, ...] = ()
    """Tensors of the file that are not carried; its names, and why."""
    class_names: tuple[str, ...] = ()
    """Empty: not known."""
    dataset: DatasetName | None = None
    """What it was trained on; None: not known, as ``image_size``."""
    image_size: int | None = None
    source: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Renamed:
    """A file's tensors by our names."""

    tensors: Tensors = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    """The file's name for each of ours."""
    left_out: list[str] = field(default_factory=list)
    """As in ``Weights``."""


def rename(tensors: Tensors, our_name: Callable[[str], str | None]) -> Renamed:
    """Name ``tensors`` as we do; what has no name with us, or one that is taken, is left out."""
    renamed = Renamed()
    for key, tensor in tensors.items():
        new = our_name(key)
        if new is None:
            renamed.left_out.append(_not_a_part(key))
        elif new in renamed.tensors:
            other = one_line(renamed.names[new], 200)
            renamed.left_out.append(f"{one_line(key, 200)}: the same part of the network as {other}")
        else:
            renamed.tensors[new], renamed.names[new] = tensor, key
    return renamed


def fit(
    renamed: Renamed,
    model: ModelConfig,
    layout: str,
    normalise: Normalisation | None,
    class_names: tuple[str, ...],
    name: str,
) -> Weights:
    """Keep the tensors that ``model`` has, in its shapes, and say what is missing and what is left out.

    The count of batches in a norm, which old files lack, is taken to be 0.

    Raises:
        UserError: there is no such network for these channels and classes.
    """
    channels, classes = sizes(renamed.tensors, name)
    if class_names and len(class_names) != classes:
        raise UserError(f"{name}: names {len(class_names)} classes, and its head has {classes}")
    shape = (channels,) if model.arch == "residual-mlp" else (channels, SIDE, SIDE)
    try:
        network = build(model, shape, classes).state_dict()
    except (RuntimeError, ValueError, OverflowError) as error:
        raise UserError(f"{name}: its network cannot be built: {one_line(str(error), 200)}") from error
    _check_size(network, renamed.tensors, name)
    tensors: Tensors = {}
    left_out = list(renamed.left_out)
    for key, tensor in renamed.tensors.items():
        original = renamed.names[key]
        if key not in network:
            left_out.append(_not_a_part(original))
        elif reason := _misfit(tensor, network[key]):
            left_out.append(f"{one_line(original, 200)}: {reason}")
        else:
            tensors[key] = tensor.to(network[key].dtype)
    for key, wanted in network.items():
        if key.endswith(".num_batches_tracked") and key not in renamed.tensors:
            tensors[key] = torch.zeros((), dtype=wanted.dtype)
    missing = tuple(key for key in network if key not in tensors)
    return Weights(tensors, model, channels, classes, layout, normalise, missing, tuple(left_out), class_names)


def _check_size(network: dict[str, Tensor], found: Tensors, name: str) -> None:
    """Refuse a network that a few bytes lay claim to, before anything allocates it.

    Raises:
        UserError: the file holds a small part of it at most.
    """
    wanted = sum(tensor.numel() for tensor in network.values())
    held = sum(tensor.numel() for tensor in found.values())
    if wanted > _MOST_TIMES * held:
        raise UserError(
            f"{name}: belongs, as it says or as its names and shapes have it, to a network of {wanted:,} numbers, "
            f"and holds {held:,}; give the file of a whole network"
        )


def _misfit(tensor: Tensor, wanted: Tensor) -> str:
    """Return why ``tensor`` cannot stand in the place of ``wanted``; empty where it can."""
    if tensor.shape != wanted.shape:
        return f"{_size(tensor)}, where the network has {_size(wanted)}"
    if wanted.is_floating_point() and not tensor.is_floating_point():
        return "whole numbers, where the network has fractions"
    return ""


def _size(tensor: Tensor) -> str:
    return shape_text(tuple(tensor.shape)) or "one number"


def _not_a_part(key: str) -> str:
    return f"{one_line(key, 200)}: not a part of the network"
