"""The splits of a run that are evaluated, and their evaluation as events."""

import time
from collections.abc import Callable, Generator
from pathlib import Path

import torch

from engine.config import RunConfig
from engine.data.dataset import Dataset, Samples
from engine.data.pipeline import eval_batches
from engine.evaluation import Evaluation, evaluate_batches, keep_mistakes
from engine.events import Evaluated, Event, Progress, Split
from engine.learner import Learner
from engine.parallel.group import Group

_PROGRESS_SECONDS = 0.25
Stopping = Callable[[], Generator[Event, None, bool]]
"""Obeys the next message, yields what there is to tell, and returns whether the run is to end."""


class Splits:
    """Validation and test set, where there are both: the first chooses the best epoch."""

    def __init__(self, dataset: Dataset, config: RunConfig, device: torch.device, group: Group | None = None) -> None:
        """Make the splits of ``dataset`` ready on ``device``; each rank of ``group`` evaluates its share of them."""
        named: list[tuple[Split, Samples]] = [("test", dataset.test)]
        if dataset.val is not None:
            named.insert(0, ("val", dataset.val))
        rank = group.rank if group is not None else None
        self._splits = [
            (split, samples, eval_batches(samples, dataset, config, device, rank)) for split, samples in named
        ]
        self._classes, self._group = len(dataset.classes), group

    @property
    def choosing(self) -> Split:
        """The split that chooses the best epoch."""
        return self._splits[0][0]

    def evaluate(
        self, learner: Learner, stopping: Stopping, mistakes: Path | None, step: int, epoch: int
    ) -> Generator[Event, None, Evaluated | None]:
        """Evaluate every split; return the one that chooses the best epoch, or None where a stop came between.

        Args:
            learner: whose network.
            stopping: called after each batch.
            mistakes: the file that gets what the choosing split shows the network to be most confidently wrong about.
            step: optimiser steps finished.
            epoch: the epoch they belong to.
        """
        chosen: Evaluated | None = None
        learner.share_statistics()
        for split, samples, batches in self._splits:
            began = shown = time.monotonic()
            evaluation = Evaluation(self._classes, learner.device)
            images = 0
            model, rounds = learner.evaluated_model, len(batches)
            for count in evaluate_batches(model, batches, evaluation, learner.dtype, at_least=rounds):
                images += count
                if (yield from stopping()):
                    return None
                if time.monotonic() - shown >= _PROGRESS_SECONDS:
                    shown = time.monotonic()
                    yield Progress(activity=f"evaluating {split}", done=images, total=batches.samples)
            if self._group is not None:
                evaluation.unite(self._group, batches.first)
            scores = evaluation.scores()
            seconds = time.monotonic() - began
            event = Evaluated(step=step, epoch=epoch, split=split, seconds=seconds, **vars(scores))
            if chosen is None:
                chosen = event
                if mistakes is not None:
                    keep_mistakes(mistakes, evaluation, samples, event)
            yield event
        return chosen
