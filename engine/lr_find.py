"""The learning-rate range test: a network trained for some batches at rates that rise until its loss explodes."""

from collections.abc import Generator, Iterator
from itertools import count

from engine.config import RunConfig
from engine.data.dataset import Dataset
from engine.data.pipeline import Batch, TrainBatches, train_batches
from engine.devices import deterministic, resolve
from engine.introduction import checked_shapes
from engine.learner import Learner
from engine.lr_range import Explosion, RangeTest, Reading
from engine.weights import Weights


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
                yield Reading(rate, loss)
                if explosion.is_in(loss):
                    break
                learner.update(rate)
        finally:
            batches.close()


def _endless(batches: TrainBatches) -> Iterator[Batch]:
    for epoch in count(1):
        yield from batches.epoch(epoch)
