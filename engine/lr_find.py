"""The learning-rate range test: a network trained for some batches at rates that rise until its loss explodes."""

import math
from collections.abc import Generator, Iterator
from itertools import count
from pathlib import Path

from engine import advice
from engine.allocator import keep_freed_memory
from engine.config import RunConfig
from engine.data import sources
from engine.data.dataset import Dataset
from engine.data.pipeline import Batch, TrainBatches, train_batches
from engine.devices import deterministic, resolve
from engine.errors import WorldError
from engine.events import Progress
from engine.introduction import checked_shapes
from engine.learner import Learner
from engine.lr_range import Explosion, RangeTest, Reading
from engine.weights import Weights, load_weights


def load_and_find_lr(config: RunConfig, test: RangeTest, runs: Path) -> Generator[Progress | Reading, None, None]:
    """Load weights and data, then do as ``find_lr``, in a process that does nothing else; tell how far it is.

    Args:
        config: the run.
        test: which rates.
        runs: where weights to begin with are looked for by a run's name.

    Raises:
        UserError: such a run cannot begin, or its data is not there.
        WorldError: what cannot be read or downloaded, or does not fit into memory; the first loss is not finite.
    """
    sources.check(config.data)
    keep_freed_memory()
    half = config.train.batch_size // 2
    with advice.memory_suffices(f"use {f'--batch-size {half}, ' if half >= 2 else ''}a smaller network"):
        weights = (yield from load_weights(config.weights.source, runs)) if config.weights.source else None
        dataset = yield from sources.load(config.data, config.train.seed)
        yield from find_lr(config, dataset, test, weights)


def find_lr(
    config: RunConfig, dataset: Dataset, test: RangeTest, weights: Weights | None = None
) -> Generator[Reading, None, None]:
    """Train as a run of ``config`` would, but at the rates of ``test``, and yield the loss of each batch.

    Fewer readings than ``test.steps``: the loss exploded at the last one. Nothing is kept; the same configuration
    gives the same readings. The schedule, and what comes later in a run, such as pruning, has no part in it.

    Args:
        config: the run; its learning rate does not matter.
        dataset: its data.
        test: which rates.
        weights: what to begin with, where ``config.weights`` names some.

    Raises:
        UserError: such a run cannot begin: its device, network and data do not fit together.
        WorldError: the loss is not finite from the first batch on, before any rate was tried.
    """
    config = config.model_copy(update={"train": config.train.model_copy(update={"compile": False})})
    with deterministic(config.train.deterministic):
        device = resolve(config.train.device)
        checked_shapes(config, dataset)
        learner = Learner(config, dataset.shape, len(dataset.classes), device, weights)
        batches = train_batches(dataset, config, device)
        learner.model.train()
        learner.freeze_carried(config.weights.frozen_epochs > 0)
        explosion = Explosion(test.window)
        try:
            for step, batch in zip(range(test.steps), _endless(batches), strict=False):
                rate = test.rate(step)
                loss = learner.accumulate_gradient(batch)[0].item()
                if step == 0 and not math.isfinite(loss):
                    raise WorldError(_not_finite(loss))
                yield Reading(rate, loss)
                if explosion.is_in(loss):
                    break
                learner.update(rate)
        finally:
            batches.close()


def _endless(batches: TrainBatches) -> Iterator[Batch]:
    for epoch in count(1):
        yield from batches.epoch(epoch)


def _not_finite(loss: float) -> str:
    return (
        f"the loss is not finite ({loss}) from the first batch on, before any rate was tried, so no learning rate "
        "mends it: look at the data, at the weights to begin with and at train.precision"
    )
