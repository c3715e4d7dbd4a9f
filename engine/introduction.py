"""The first two events of a run: what it is, and what its network looks like."""

import logging
import os
import platform
import socket
from importlib.metadata import version

from engine.config import RunConfig
from engine.data.dataset import Dataset
from engine.devices import describe
from engine.errors import UserError
from engine.events import ModelBuilt, RunStarted, WeightsLoaded
from engine.learner import Learner
from engine.models import parts
from engine.shapes.formula import shape_text
from engine.shapes.table import ShapeTable
from engine.shapes.trace import shape_table
from engine.text import one_line
from engine.weights import Weights
from engine.weights.carry import Carried

_log = logging.getLogger(__name__)
_START_ONLY = {"gate_bias"}
"""Options that only say how a network begins."""
PACKAGES = ("torch", "torchvision", "numpy", "resnet-tui")


def introduce_run(
    config: RunConfig,
    dataset: Dataset,
    learner: Learner,
    epochs: int,
    steps_per_epoch: int,
    resumed_at: int | None,
) -> RunStarted:
    """Return ``run_started``."""
    if learner.not_fused:
        _log.info("norm, addition and ReLU are not fused: %s", learner.not_fused)
    return RunStarted(
        config=config,
        device=describe(learner.device, fused=not learner.not_fused, processes=config.train.processes),
        precision=str(learner.dtype).removeprefix("torch."),
        versions=(("python", platform.python_version()), *((name, version(name)) for name in PACKAGES)),
        process=os.getpid(),
        host=socket.gethostname(),
        classes=dataset.classes,
        train_images=len(dataset.train.y),
        val_images=len(dataset.val.y) if dataset.val is not None else 0,
        test_images=len(dataset.test.y),
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        resumed_at=resumed_at,
    )


def introduce_model(table: ShapeTable, learner: Learner) -> ModelBuilt:
    """Return ``model_built``."""
    return ModelBuilt(rows=table.rows, blocks=parts(learner.model), params=table.params, macs=table.macs)


def introduce_weights(weights: Weights, carried: Carried) -> WeightsLoaded:
    """Return ``weights_loaded``."""
    return WeightsLoaded(
        source=one_line(weights.source),
        sha256=weights.sha256,
        network=f"{weights.model.title}, {weights.classes} classes",
        layout=weights.layout,
        normalise=weights.normalise,
        loaded=len(carried.loaded),
        adapted=tuple(carried.adapted),
        fresh=tuple(carried.fresh),
        missing=tuple(one_line(name) for name in carried.missing),
        left_out=tuple(one_line(name) for name in carried.left_out),
    )


def weights_notes(config: RunConfig, weights: Weights, carried: Carried) -> list[str]:
    """Return what a person should know that no tensor shows: another normalisation, or another network."""
    notes = []
    if weights.normalise not in {None, config.data.normalise}:
        notes.append(
            f"the weights were trained on images normalised as {weights.normalise!r}, and this run has "
            f"{config.data.normalise!r}; --set data.normalise={weights.normalise} gives them what they know"
        )
    other = [
        f"{key} {theirs} there, {mine} here"
        for key, theirs in weights.model.model_dump().items()
        if key not in _START_ONLY
        and (key != "stem" or config.weights.stem == "carry")
        and theirs != (mine := getattr(config.model, key, None))
    ]
    if other and not (carried.missing or carried.left_out):
        notes.append(
            f"the weights fit, and yet are, as far as can be told, of another network: {'; '.join(other)}; this one "
            "computes something else with them"
        )
    return notes


def checked_shapes(config: RunConfig, dataset: Dataset) -> ShapeTable:
    """Return the shape table of a run's network.

    Raises:
        UserError: the network does not fit the images: which operation fails, and why.
    """
    table = shape_table(config.model, dataset.shape, len(dataset.classes), config.micro_batch)
    if table.failure is not None:
        failure = table.failure
        raise UserError(
            f"{config.model.title} does not fit images of {shape_text(dataset.shape)}: {failure.name} "
            f"({failure.op}): {failure.reason}; use larger images (data.image_size) or another network"
        )
    return table
