"""From what a person gives as a source to weights: a published name, a run, a checkpoint or any other file."""

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from engine.checkpoint import FORMAT, load_checkpoint
from engine.errors import UserError
from engine.events import Progress
from engine.run_dir import RunDir, find
from engine.text import one_line
from engine.weights.fit import Weights
from engine.weights.layouts import Description, own_prefix, recognise, recognise_ours
from engine.weights.published import fetch, is_published
from engine.weights.read import read_tensors


def load_weights(
    source: str, runs: Path, which: Literal["best", "last"] = "best"
) -> Generator[Progress, None, Weights]:
    """Return the weights that ``source`` means, downloaded where it is a published name and they are not here yet.

    Args:
        source: a published name, a run (its folder, its name below ``runs``, or ``last``), or a file: a checkpoint,
            ``.safetensors``, or what torch.save wrote; looked for in this order.
        runs: the folder of runs.
        which: the checkpoint of a run that is preferred; the other one where it is not there.

    Raises:
        UserError: there is no such source, or it holds no network that is known here.
        WorldError: a file cannot be had, cannot be read, or is damaged.
    """
    path = (yield from fetch(source)) if is_published(source) else _locate(source, runs, which)
    return replace(_read(path), source=source)


def _locate(source: str, runs: Path, which: str) -> Path:
    try:
        run = find(runs, source)
    except UserError as error:
        path = Path(source)
        if source and _exists(path):
            return path
        if source == "last":
            raise
        raise UserError(
            f"there are no weights at {one_line(source, 200)!r}: give a run (its folder, its name in "
            f"{one_line(str(runs))}, or last), a file (.safetensors, .pt, .pth), or a published name such as "
            "torchvision:resnet18, akamaster:resnet20 or chenyaofo:cifar10_resnet20"
        ) from error
    return _checkpoint_of(run, which)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name longer than the file system takes, or a folder that may not be looked into
        return False


def _checkpoint_of(run: RunDir, which: str) -> Path:
    wanted = (run.best, run.last) if which == "best" else (run.last, run.best)
    for path in wanted:
        if path.exists():
            return path
    raise UserError(f"run {run.name} has no checkpoint yet, so it has no weights; give another run")


def _read(path: Path) -> Weights:
    content = read_tensors(path)
    name = one_line(str(path))
    if content.metadata.get("format") != FORMAT:
        return replace(recognise(content.tensors, content.metadata, name), sha256=content.sha256)
    tensors, state = load_checkpoint(path)
    if (prefix := own_prefix(tensors)) is None:
        raise UserError(f"{name}: a checkpoint without a network")
    data = state.config.data
    description = Description(
        model=state.config.model,
        classes=state.classes,
        normalise=data.normalise,
        dataset=data.dataset,
        image_size=data.image_size,
    )
    weights = recognise_ours(tensors, prefix, description, name)
    return replace(weights, layout=f"{weights.layout} checkpoint", sha256=content.sha256)
