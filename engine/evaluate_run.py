"""Evaluate the weights that a run kept."""

import time
from collections.abc import Generator
from typing import Literal

from torch import nn

from engine.checkpoint import Tensors, TrainState, load_checkpoint, select
from engine.config import RunConfig
from engine.data import Dataset, load
from engine.data.pipeline import eval_batches
from engine.devices import resolve, resolve_precision
from engine.errors import UserError, WorldError
from engine.evaluation import Evaluation, evaluate_batches
from engine.events import Evaluated, Progress
from engine.models import build, on_device
from engine.run_dir import RunDir

Which = Literal["best", "last"]
PROGRESS_SECONDS = 0.25


def evaluate_run(
    run: RunDir, config: RunConfig, which: Which, split: Literal["test", "val"]
) -> Generator[Progress, None, tuple[Evaluated, tuple[str, ...]]]:
    """Evaluate a checkpoint of ``run``; yields progress, returns scores and class names.

    Args:
        run: where the checkpoint lies.
        config: the run's configuration, with the data folder and device of now.
        which: the checkpoint.
        split: on which part of the data.

    Raises:
        UserError: the run has no such checkpoint, or the data no such split or other classes.
        WorldError: the checkpoint is damaged.
    """
    path = run.best if which == "best" else run.last
    if not path.exists():
        other = "last" if which == "best" else "best"
        exists = (run.last if which == "best" else run.best).exists()
        hint = f"use --checkpoint {other}" if exists else "the first is saved at the end of an epoch"
        raise UserError(f"run {run.name} has no {which} checkpoint yet; {hint}")
    tensors, state = load_checkpoint(path)
    dataset = yield from load(config.data, config.train.seed)
    samples = dataset.val if split == "val" else dataset.test
    if samples is None:
        raise UserError("--split val: this run set no images aside for validation; use --split test")
    if dataset.classes != state.classes:
        raise UserError(
            f"the data has other classes than the run was trained on ({len(dataset.classes)} and "
            f"{len(state.classes)}); give the folder it was trained on with --data-dir"
        )
    device = resolve(config.train.device)
    model = on_device(_model(tensors, state, dataset), device)
    evaluation = Evaluation(len(dataset.classes), device)
    began, shown, images = time.monotonic(), 0.0, 0
    # Weights are float32 whatever they were trained in, so a float16 run can be evaluated where only that is missing.
    half = config.train.precision == "float16" and device.type != "cuda"
    dtype = resolve_precision("auto" if half else config.train.precision, device)
    for count in evaluate_batches(model, eval_batches(samples, dataset, config, device), evaluation, dtype):
        images += count
        if time.monotonic() - shown >= PROGRESS_SECONDS:
            shown = time.monotonic()
            yield Progress(activity=f"evaluating {split}", done=images, total=len(samples.y))
    scores = Evaluated(
        step=state.step,
        epoch=state.best.epoch if which == "best" and state.best else state.epoch,
        split=split,
        seconds=time.monotonic() - began,
        **vars(evaluation.scores()),
    )
    return scores, dataset.classes


def _model(tensors: Tensors, state: TrainState, dataset: Dataset) -> nn.Module:
    """Return the network with the weights whose accuracy counted: their average where one was kept."""
    model = build(state.config.model, dataset.shape, len(dataset.classes)).to_empty(device="cpu")
    averaged = select(tensors, "average.module")
    try:
        model.load_state_dict(averaged or select(tensors, "model"))
    except RuntimeError as error:
        raise WorldError(f"the checkpoint does not fit the network of its configuration: {error}") from error
    return model
