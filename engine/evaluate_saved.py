"""Evaluate weights that lie on disk: a run's checkpoint, or anything that ``engine.weights`` reads."""

import time
from collections.abc import Generator
from typing import Literal

import torch
from torch import nn

from engine.advice import memory_suffices
from engine.checkpoint import Tensors, TrainState, load_checkpoint, select
from engine.config import RunConfig, WeightsConfig
from engine.data.dataset import Dataset, Samples
from engine.data.pipeline import eval_batches
from engine.data.sources import load
from engine.devices import resolve, resolve_precision
from engine.errors import UserError, WorldError
from engine.evaluation import Evaluation, Scores, evaluate_batches
from engine.events import Evaluated, Progress
from engine.models import build, build_initialised, on_device
from engine.run_dir import RunDir
from engine.text import one_line
from engine.weights import Weights
from engine.weights.carry import Carried, carry

Which = Literal["best", "last"]
SavedSplit = Literal["test", "val"]
SMALLER = "use a smaller --set train.eval_batch_size"
"""What helps first where memory does not suffice."""
Scored = Generator[Progress, None, tuple[Evaluated, tuple[str, ...]]]
"""Yields progress, returns scores and class names."""
PROGRESS_SECONDS = 0.25


def evaluate_run(run: RunDir, config: RunConfig, which: Which, split: SavedSplit) -> Scored:
    """Evaluate a checkpoint of ``run``.

    Args:
        run: where the checkpoint lies.
        config: the run's configuration, with the data folder and device of now.
        which: the checkpoint.
        split: on which part of the data.

    Raises:
        UserError: the run has no such checkpoint, or the data no such split or other classes.
        WorldError: the checkpoint is damaged; it, or the data, does not fit into memory.
    """
    path = run.best if which == "best" else run.last
    if not path.exists():
        other = "last" if which == "best" else "best"
        exists = (run.last if which == "best" else run.best).exists()
        hint = f"use --checkpoint {other}" if exists else "the first is saved at the end of an epoch"
        raise UserError(f"run {run.name} has no {which} checkpoint yet; {hint}")
    with memory_suffices(SMALLER):
        tensors, state = load_checkpoint(path)
        dataset = yield from load(config.data, config.train.seed)
        if dataset.classes != state.classes:
            raise UserError(
                f"{config.data.dataset} has other classes ({_some(dataset.classes)}) than the run was trained on "
                f"({_some(state.classes)}, of {state.config.data.dataset}); give the data that it was trained on, "
                "with --dataset or --data-dir"
            )
        device = resolve(config.train.device)
        model = on_device(_model(tensors, state, dataset), device)
        epoch = state.best.epoch if which == "best" and state.best else _last_trained(state)
        scores = yield from _score(model, dataset, split, config, device, step=state.step, epoch=epoch)
    return scores, dataset.classes


def precision(config: RunConfig) -> str:
    """Return what a network is evaluated in, such as ``bfloat16``.

    Raises:
        UserError: this machine lacks the device, or that its precision.
    """
    return str(_precision(config, resolve(config.train.device))).removeprefix("torch.")


def evaluate_weights(
    weights: Weights, config: RunConfig, split: SavedSplit, *, allow_partial: bool
) -> Generator[Progress, None, tuple[Evaluated, tuple[str, ...], Carried]]:
    """Evaluate weights from elsewhere; yields progress, returns scores, class names, what became of each tensor.

    Args:
        weights: what to evaluate.
        config: data, device, precision and seed; its network is not looked at.
        split: on which part of the data.
        allow_partial: whether tensors may be missing, and are random then.

    Raises:
        UserError: they do not fit the data, or tensors are missing or left over.
        WorldError: they, or the data, do not fit into memory.
    """
    with memory_suffices(SMALLER):
        dataset = yield from load(config.data, config.train.seed)
    if weights.classes != len(dataset.classes):
        raise UserError(
            f"{one_line(weights.source)} tells {weights.classes} classes apart and {config.data.dataset} has "
            f"{len(dataset.classes)}; choose another --dataset"
        )
    if weights.class_names and weights.class_names != dataset.classes:
        raise UserError(
            f"{one_line(weights.source)} was trained on classes of other names or in another order than those of "
            f"{config.data.dataset}; give the data that it was trained on"
        )
    if weights.channels != dataset.shape[0]:
        raise UserError(
            f"{one_line(weights.source)} takes {weights.channels} channels or features and {config.data.dataset} has "
            f"{dataset.shape[0]}; choose another --dataset"
        )
    with memory_suffices(SMALLER):
        device = resolve(config.train.device)
        model = build_initialised(
            weights.model, dataset.shape, weights.classes, config.train.seed, torch.device("cpu")
        )
        carried = carry(model, weights, WeightsConfig(source=weights.source, allow_partial=allow_partial))
        scores = yield from _score(on_device(model, device), dataset, split, config, device, step=0, epoch=0)
    return scores, dataset.classes, carried


def _score(
    model: nn.Module,
    dataset: Dataset,
    split: SavedSplit,
    config: RunConfig,
    device: torch.device,
    *,
    step: int,
    epoch: int,
) -> Generator[Progress, None, Evaluated]:
    samples = _samples(dataset, split)
    evaluation = Evaluation(len(dataset.classes), device)
    began, shown, images = time.monotonic(), 0.0, 0
    dtype = _precision(config, device)
    for count in evaluate_batches(model, eval_batches(samples, dataset, config, device), evaluation, dtype):
        images += count
        if time.monotonic() - shown >= PROGRESS_SECONDS:
            shown = time.monotonic()
            yield Progress(activity=f"evaluating {split}", done=images, total=len(samples.y))
    scores: Scores = evaluation.scores()
    return Evaluated(step=step, epoch=epoch, split=split, seconds=time.monotonic() - began, **vars(scores))


def _precision(config: RunConfig, device: torch.device) -> torch.dtype:
    # Weights are float32 whatever they were trained in, so a float16 run can be evaluated where only that is missing.
    half = config.train.precision == "float16" and device.type != "cuda"
    return resolve_precision("auto" if half else config.train.precision, device)


def _last_trained(state: TrainState) -> int:
    """Return the epoch that was trained last, be it in part."""
    return state.epoch if state.step_in_epoch else state.epoch - 1


def _some(classes: tuple[str, ...]) -> str:
    return one_line(f"{len(classes)}: {', '.join(classes[:3])}{', …' if len(classes) > 3 else ''}")


def _samples(dataset: Dataset, split: SavedSplit) -> Samples:
    samples = dataset.val if split == "val" else dataset.test
    if samples is None:
        raise UserError("--split val: no images were set aside for validation; use --split test")
    return samples


def _model(tensors: Tensors, state: TrainState, dataset: Dataset) -> nn.Module:
    """Return the network with the weights whose accuracy counted: their average where one was kept."""
    model = build(state.config.model, dataset.shape, len(dataset.classes)).to_empty(device="cpu")
    averaged = select(tensors, "average.module")
    try:
        model.load_state_dict(averaged or select(tensors, "model"))
    except RuntimeError as error:
        raise WorldError(f"the checkpoint does not fit the network of its configuration: {error}") from error
    return model
