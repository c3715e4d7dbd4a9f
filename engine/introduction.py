"""The first two events of a run: what it is, and what its network looks like."""

import os
import platform
import socket
from importlib.metadata import version

from engine.config import RunConfig
from engine.data import Dataset
from engine.devices import describe
from engine.events import ModelBuilt, RunStarted
from engine.learner import Learner
from engine.models import build, parts
from engine.shapes import shape_rows

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
    return RunStarted(
        config=config,
        device=describe(learner.device),
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


def introduce_model(config: RunConfig, dataset: Dataset) -> ModelBuilt:
    """Return ``model_built``; the shapes come from a copy without weights."""
    model = build(config.model, dataset.shape, len(dataset.classes))
    rows = shape_rows(model, dataset.shape)
    return ModelBuilt(
        rows=rows,
        blocks=parts(model),
        params=sum(parameter.numel() for parameter in model.parameters()),
        macs=sum(row.macs for row in rows),
    )
