"""What a file of weights holds, by our names, whoever's code wrote it."""

from dataclasses import replace

from pydantic import ValidationError

from engine.config import DatasetName, ModelConfig, Normalisation
from engine.config.base import Part
from engine.errors import UserError
from engine.text import one_line
from engine.weights.fit import Weights, fit, rename
from engine.weights.foreign import recognise_foreign
from engine.weights.infer import Tensors, infer

METADATA = "resnet-tui"
"""The entry in a ``.safetensors`` header that holds a ``Description`` as JSON."""
PREFIXES = ("average.module.", "model.", "")
"""Before our names in a checkpoint; the averaged weights are those whose accuracy counts."""
_CHECKPOINT = ("model.", "average.", "optim.")
"""What the names of a checkpoint's tensors begin with, of which the network is one part."""


class Description(Part):
    """What a file of ours says about its tensors."""

    model: ModelConfig
    classes: tuple[str, ...] = ()
    normalise: Normalisation | None = None
    dataset: DatasetName | None = None
    """What it was trained on."""
    image_size: int | None = None
    """Height and width of the images where the dataset can have any."""


def recognise(tensors: Tensors, metadata: dict[str, str], name: str) -> Weights:
    """Return the network that ``tensors`` make up, told by their names and shapes.

    Args:
        tensors: as the file has them.
        metadata: of the file's header.
        name: the file, for messages.

    Raises:
        UserError: the layout is not known, or its network does not exist here.
    """
    if (prefix := own_prefix(tensors)) is not None:
        ours = recognise_ours(tensors, prefix, _description(metadata, name), name)
        known = (prefix, *_CHECKPOINT)
        others = (one_line(key, 200) for key in tensors if not key.startswith(known))
        return replace(ours, left_out=(*ours.left_out, *(f"{key}: not a part of the network" for key in others)))
    if (foreign := recognise_foreign(tensors)) is None:
        first = ", ".join(one_line(key, 80) for key in list(tensors)[:3])
        raise UserError(
            f"{name}: tensors named {first}, … are in no layout that is known; known: this program's own; conv1, "
            "bn1, layer1.0.conv1, … as in torchvision, akamaster/pytorch_resnet_cifar10, "
            "chenyaofo/pytorch-cifar-models, kuangliu/pytorch-cifar and the ResNet20 document; and the Iris "
            "document's residual MLP"
        )
    renamed = rename(tensors, foreign.rename)
    return fit(renamed, infer(renamed.tensors, name), foreign.layout, foreign.normalise, (), name)


def recognise_ours(tensors: Tensors, prefix: str, description: Description | None, name: str) -> Weights:
    """Return the network whose tensors have our names after ``prefix``; the others are not looked at.

    Args:
        tensors: as the file has them.
        prefix: one of ``PREFIXES``.
        description: what is known about the network; None: it is told from the tensors.
        name: the file, for messages.

    Raises:
        UserError: it is not known which network it is, or that does not exist.
    """
    kept = {key: tensor for key, tensor in tensors.items() if key.startswith(prefix)}
    renamed = rename(kept, lambda key: key.removeprefix(prefix))
    layout = "resnet-tui, averaged weights" if prefix == PREFIXES[0] else "resnet-tui"
    if description is None:
        return fit(renamed, infer(renamed.tensors, name), layout, None, (), name)
    blocks = sum(getattr(description.model, "blocks", ()))
    if blocks > len(kept):  # a number in a header must not make a network of any size
        raise UserError(f"{name}: says that it holds a network of {blocks:,} blocks, and has {len(kept)} tensors")
    class_names = tuple(one_line(text, 100) for text in description.classes)
    fitted = fit(renamed, description.model, layout, description.normalise, class_names, name)
    return replace(fitted, dataset=description.dataset, image_size=description.image_size)


def own_prefix(tensors: Tensors) -> str | None:
    """Return what stands before our names in ``tensors``; None: they are not ours."""
    for prefix in PREFIXES:
        if all(any(key.startswith(f"{prefix}{part}.") for key in tensors) for part in ("stem", "head")):
            return prefix
    return None


def _description(metadata: dict[str, str], name: str) -> Description | None:
    if METADATA not in metadata:
        return None
    try:
        return Description.model_validate_json(metadata[METADATA])
    except ValidationError as error:
        first = error.errors()[0]
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise UserError(
            f"{name}: its header's {METADATA} entry describes no network of this version: {one_line(what, 300)}"
        ) from error
