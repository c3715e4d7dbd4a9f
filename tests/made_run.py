"""A made run: its events in legal order, with times, so that sinks and summaries can be tested without training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from engine.config import RunConfig
from engine.config_file import build_config
from engine.events import (
    CheckpointSaved,
    EpochStarted,
    Evaluated,
    Event,
    ModelBuilt,
    RunFinished,
    RunStarted,
    Split,
    Step,
)

STEPS = 10
"""An epoch; each step of 8 images takes a second, an evaluation 2 seconds a split, a checkpoint half a second."""
IMAGES = 8
EVALUATION = 2.0
CHECKPOINT = 0.5


class MadeRun:
    """Gives events their place in time."""

    def __init__(self, epochs: int = 3, *, val: bool = False, start: float = 1_000_000.0) -> None:
        self.epochs, self.val, self.now = epochs, val, start

    @property
    def config(self) -> RunConfig:
        size = IMAGES if self.val else 0
        return build_config({"name": "made", "data": {"val_size": size}, "train": {"epochs": self.epochs}}, {})

    def at(self, event: Event, *, after: float = 0.0) -> Event:
        self.now += after
        return replace(event, time=self.now)

    def begin(self, resumed_at: int | None = None) -> Iterator[Event]:
        started = RunStarted(
            config=self.config,
            device="cpu (1 thread)",
            precision="float32",
            versions=(),
            process=1,
            host="here",
            classes=("a", "b"),
            train_images=STEPS * IMAGES,
            val_images=IMAGES if self.val else 0,
            test_images=IMAGES * 2,
            epochs=self.epochs,
            steps_per_epoch=STEPS,
            resumed_at=resumed_at,
        )
        yield self.at(started)
        yield self.at(ModelBuilt(rows=(), blocks=("stem", "head"), params=1234, macs=5))

    def epoch(self, epoch: int, *, first: int = 1, last: int = STEPS) -> Iterator[Event]:
        """Start an epoch, or go on with it at step ``first``; loss and accuracy follow ``reading``."""
        yield self.at(EpochStarted(epoch=epoch, epochs=self.epochs))
        for place in range(first, last + 1):
            step = (epoch - 1) * STEPS + place
            yield self.at(reading(step), after=1.0)

    def end_epoch(self, epoch: int, test: float, val: float = 0.5) -> Iterator[Event]:
        yield self.checkpoint(epoch * STEPS, epoch - 1)
        if self.val:
            yield self.evaluated(epoch, "val", val)
        yield self.evaluated(epoch, "test", test)

    def evaluated(self, epoch: int, split: Split, accuracy: float, step: int | None = None) -> Event:
        event = Evaluated(
            step=epoch * STEPS if step is None else step,
            epoch=epoch,
            split=split,
            loss=1 - accuracy,
            accuracy=accuracy,
            top5=None,
            per_class=(accuracy, accuracy),
            confusion=((1, 0), (0, 1)),
            images=IMAGES * 2,
            seconds=EVALUATION,
        )
        return self.at(event, after=EVALUATION)

    def checkpoint(self, step: int, epoch: int) -> Event:
        saved = CheckpointSaved(step=step, epoch=epoch, which="last", path="checkpoints/last", accuracy=None)
        return self.at(saved, after=CHECKPOINT)

    def finish(self, outcome: str = "completed", reason: str = "all epochs trained") -> Event:
        return self.at(
            RunFinished(
                outcome=outcome,  # type: ignore[arg-type]  # a test may give any
                reason=reason,
                steps=0,
                epochs=0,
                seconds=1.0,
                best_accuracy=None,
                best_epoch=None,
                best_split=None,
            )
        )

    def whole(self, test: Sequence[float], val: Sequence[float] = ()) -> Iterator[Event]:
        """Yield a run from its start to its end, an epoch for each accuracy."""
        yield from self.begin()
        for index, accuracy in enumerate(test):
            yield from self.epoch(index + 1)
            yield from self.end_epoch(index + 1, accuracy, val[index] if val else 0.5)
        yield self.finish()


def reading(step: int) -> Step:
    """Return the report of one step: its loss is the step's number, its accuracy a hundredth of it."""
    return Step(
        step=step,
        epoch=(step - 1) // STEPS + 1,
        steps=1,
        images=IMAGES,
        loss=float(step),
        accuracy=step / 100,
        lr=0.1 / step,
        images_per_second=float(IMAGES),
    )
