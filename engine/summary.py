"""A run in a few numbers, folded from its events: what tables, progress lines and lists show.

The fold is the only bookkeeping of its kind: the console, ``metrics.csv`` and the list of runs all read it.
It keeps one row an epoch and a short window of recent steps, never anything for each step. Imports no torch.
"""

import contextlib
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from engine.config import RunConfig
from engine.epochs import EpochRow, EpochSums
from engine.errors import WorldError
from engine.event_log import MAX_LINE_BYTES
from engine.events import (
    CheckpointSaved,
    ControlApplied,
    EpochStarted,
    Evaluated,
    Event,
    ModelBuilt,
    Outcome,
    Progress,
    Pruned,
    RunFinished,
    RunStarted,
    Split,
    Step,
    System,
    WeightsLoaded,
    decode,
)
from engine.pace import Pace
from engine.regular import open_regular
from engine.text import one_line

State = Literal["preparing", "training", "evaluating", "paused", "completed", "stopped", "failed", "diverged"]


@dataclass
class RunSummary:
    """The fold: feed it every event in order, read it at any time."""

    config: RunConfig | None = None
    """None until the run started, as everything below is at its empty value."""
    started: float = 0.0
    """When the first process began, in seconds since the epoch."""
    device: str = ""
    precision: str = ""
    classes: tuple[str, ...] = ()
    train_images: int = 0
    val_images: int = 0
    test_images: int = 0
    steps_per_epoch: int = 0
    params: int = 0
    macs: int = 0
    blocks: tuple[str, ...] = ()
    resumed_at: int | None = None
    """The step at which the latest process went on, or None."""
    epochs: int = 0
    """Planned."""
    epoch: int = 0
    """In hand, from 1; 0 before the first."""
    step: int = 0
    """Optimiser steps finished since the run began."""
    checkpoint_step: int | None = None
    """Of the latest checkpoint, from which a resumed run goes on; None before the first."""
    rows: list[EpochRow] = field(default_factory=list)
    weights: WeightsLoaded | None = None
    """What the run began with instead of random weights."""
    pruned: Pruned | None = None
    """What became zero; None before."""
    evaluation_speeds: dict[int, float] = field(default_factory=dict)
    """Images a second of the evaluation that chose, at the end of each epoch; of the device in use only."""
    rank_speeds: tuple[float, ...] = ()
    """Where several processes train: images a second of each, without waiting for the others."""
    last_step: Step | None = None
    """The latest reading of loss, accuracy, rate and speed."""
    progress: Progress | None = None
    """How far the phase in hand has come that is not training."""
    outcome: Outcome | None = None
    reason: str = ""
    target_missed: bool = False
    elapsed: float = 0.0
    """Seconds that all processes spent on the run up to the latest event, without pauses."""
    training_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    images_trained: int = 0
    _paused: bool = False
    _evaluating: bool = False
    _stop_after: int | None = None
    _now: float = 0.0
    _mark: float = 0.0
    """When the phase in hand began."""
    _in_hand: EpochSums = field(default_factory=EpochSums)
    _at_checkpoint: EpochSums = field(default_factory=EpochSums)
    """The epoch in hand as it was at ``checkpoint_step``."""
    _pace: Pace = field(default_factory=Pace)

    @property
    def state(self) -> State:
        """What the run is doing, or how it ended."""
        if self.outcome is not None:
            return self.outcome
        if self._paused:
            return "paused"
        if self._evaluating:
            return "evaluating"
        return "training" if self.epoch else "preparing"

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits evaluated at the end of each epoch."""
        sizes: tuple[tuple[Split, int], ...] = (("val", self.val_images), ("test", self.test_images))
        return tuple(split for split, images in sizes if images)

    @property
    def choosing_split(self) -> Split:
        """The split that chooses the best epoch: val where there is one, else test."""
        return "val" if self.val_images else "test"

    @property
    def last_epoch(self) -> int:
        """The epoch after which the run means to end."""
        return self._stop_after or self.epochs

    @property
    def total_steps(self) -> int:
        """Steps planned for the whole run."""
        return self.last_epoch * self.steps_per_epoch

    @property
    def images_per_second(self) -> float:
        """Mean over all training so far, 0 before any."""
        return self.images_trained / self.training_seconds if self.training_seconds else 0.0

    @property
    def average_error(self) -> float | None:
        """Mean over all epochs of 1 - test accuracy, as the ResNet20 document defines it in its section 4.

        It describes the whole course of training, not the network at its end.
        """
        errors = [1 - row.test_accuracy for row in self.rows if row.test_accuracy is not None]
        return math.fsum(errors) / len(errors) if errors else None

    def best(self, split: Split | None = None, *, by_step: int | None = None) -> EpochRow | None:
        """Return the first epoch with the highest accuracy on ``split``, or on the split that chooses.

        Once the network is pruned, only epochs of the pruned network count; with ``by_step``, only those that were
        trained by that step.
        """
        last = math.inf if by_step is None else by_step / max(1, self.steps_per_epoch)
        split = split or self.choosing_split
        begin = self.pruned.epoch if self.pruned and self.pruned.epoch <= last else 0
        rows = [(accuracy, row) for row in self.rows
                if begin <= row.epoch <= last and (accuracy := row.accuracy(split)) is not None]  # fmt: skip
        return max(rows, key=lambda pair: pair[0])[1] if rows else None

    def ends_epoch(self, event: Evaluated) -> bool:
        """Whether ``event`` belongs to an epoch's row; else a person asked for it."""
        return event.step == event.epoch * self.steps_per_epoch and event.split in self.splits

    def apply(self, event: Event) -> None:
        """Take the next event of the run's log."""
        self._pass_time(event)
        match event:
            case Progress():
                self._show_progress(event)
            case RunStarted():
                self._start(event)
            case ModelBuilt() | WeightsLoaded():
                self._begin_with(event)
            case EpochStarted():
                self._start_epoch(event)
            case Pruned():
                self.pruned, self._mark = event, event.time
            case Step():
                self._train(event)
            case Evaluated():
                self._evaluated(event)
            case System():
                self.rank_speeds = event.rank_images_per_second
            case CheckpointSaved():
                self.checkpoint_step, self._at_checkpoint = event.step, self._in_hand.copy()
            case ControlApplied():
                self._control(event)
            case RunFinished():
                self.outcome, self.reason = event.outcome, event.reason
                self.target_missed = event.target_missed
                self.step = max(self.step, event.steps)

    def eta(self, now: float) -> float | None:
        """Estimate the seconds left, evaluations counted and pauses not.

        Args:
            now: seconds since the epoch.

        Returns:
            None before a few steps were measured and after the end.
        """
        if self.outcome is not None or not self._pace.known:
            return None
        training = max(0, self.total_steps - self.step) * self._pace.step_seconds()
        epochs = self.last_epoch - (self.rows[-1].epoch if self.rows else 0)
        evaluation = sum(map(self._evaluation_seconds, self.splits))
        evaluated = 0.0
        if not self.rows or self.rows[-1].epoch < self.epoch:
            evaluated = sum(map(self._evaluation_seconds, self._in_hand.scores))
        left = training + epochs * (evaluation + self._pace.epoch_overhead()) - evaluated
        if self._paused:
            return left
        # The phase in hand has come on since its last event, but by no more than it is known to take.
        if not self._evaluating:
            phase = self._pace.reading_seconds()
        else:
            phase = evaluation - evaluated if self._at_end_of_epoch else 0.0
        return max(0.0, left - min(max(0.0, now - self._mark), phase))

    @property
    def _at_end_of_epoch(self) -> bool:
        return self.step == self.epoch * self.steps_per_epoch

    def _evaluation_seconds(self, split: Split) -> float:
        return self._pace.evaluation_seconds(split, self.val_images if split == "val" else self.test_images)

    def _pass_time(self, event: Event) -> None:
        if isinstance(event, Progress):  # a resumed run's first ones stand before its run_started
            return
        if self.config and not self._paused and not isinstance(event, RunStarted):
            passed = max(0.0, event.time - self._now)
            self.elapsed += passed
            self._in_hand.seconds += passed
        self._now = event.time

    def _start(self, event: RunStarted) -> None:
        at = event.resumed_at or 0
        self.started = self.started or event.time
        self.rows = [row for row in self.rows if row.step <= at]
        if self.pruned and self.pruned.step >= at:  # a checkpoint of the very step was saved before it
            self.pruned = None
        same_device = event.device == self.device
        self.evaluation_speeds = {row.epoch: self.evaluation_speeds[row.epoch] for row in self.rows
                                  if same_device and row.epoch in self.evaluation_speeds}  # fmt: skip
        self._in_hand = self._at_checkpoint.copy() if self.checkpoint_step == at else EpochSums()
        self.step, self.epoch = at, 0
        self.rank_speeds = ()
        self.last_step = self.progress = self.outcome = self._stop_after = None
        self.reason, self.target_missed = "", False
        self._paused = self._evaluating = False
        self._pace = Pace()
        self.config, self.epochs, self.resumed_at = event.config, event.epochs, event.resumed_at
        self.device, self.precision, self.classes = event.device, event.precision, event.classes
        self.train_images, self.val_images = event.train_images, event.val_images
        self.test_images, self.steps_per_epoch = event.test_images, event.steps_per_epoch

    def _begin_with(self, event: ModelBuilt | WeightsLoaded) -> None:
        if isinstance(event, WeightsLoaded):
            self.weights = event
        else:
            self.params, self.macs, self.blocks = event.params, event.macs, event.blocks

    def _start_epoch(self, event: EpochStarted) -> None:
        self.epoch, self.epochs = event.epoch, event.epochs
        self.progress, self._mark = None, event.time
        self._evaluating = self._at_end_of_epoch  # resumed between an epoch's last step and its evaluation
        if self._in_hand.epoch != event.epoch:  # else it goes on from a checkpoint in its middle
            self._in_hand = EpochSums(event.epoch)

    def _train(self, event: Step) -> None:
        self.last_step, self.step, self.progress = event, event.step, None
        self._mark, self._evaluating = event.time, self._at_end_of_epoch
        seconds = event.images / event.images_per_second if event.images_per_second > 0 else 0.0
        self._in_hand.add_step(event, seconds)
        self._pace.add_step(event, seconds)
        self.images_trained += event.images
        self.training_seconds += seconds

    def _show_progress(self, event: Progress) -> None:
        self.progress = event
        if self.epoch and not self._evaluating:  # within an epoch only evaluation takes long enough to tell
            self._evaluating, self._mark = True, event.time

    def _evaluated(self, event: Evaluated) -> None:
        self.evaluation_seconds += event.seconds
        self._pace.add_evaluation(event.split, event.seconds)
        self._in_hand.evaluation_seconds += event.seconds
        self.step = max(self.step, event.step)
        self.progress, self._mark = None, event.time
        if not self.ends_epoch(event):
            self._evaluating = False
            return
        sums = self._in_hand
        sums.scores[event.split] = (event.loss, event.accuracy)
        if event.split == self.choosing_split and event.seconds > 0:
            self.evaluation_speeds[event.epoch] = event.images / event.seconds
        if len(sums.scores) < len(self.splits):
            return
        self._evaluating = False
        if not self.rows or self.rows[-1].epoch < event.epoch:  # else a resumed run evaluates it once more
            self.rows.append(sums.row(event))
            self._pace.add_epoch(sums.seconds - sums.training_seconds - sums.evaluation_seconds)

    def _control(self, event: ControlApplied) -> None:
        match event.command:
            case "pause":
                self._paused = True
            case "resume":
                self._paused, self._mark = False, event.time
            case "stop_after_epoch":
                self._stop_after = self.epoch
            case "extend_epochs" if event.value is not None and math.isfinite(event.value):
                self.epochs += int(event.value)


def read_summary(path: Path, *, steps: bool = True) -> RunSummary:
    """Fold a whole event log, passing over damaged lines; an absent or empty one gives an empty summary.

    Args:
        path: the run's ``events.jsonl``.
        steps: whether to read the steps. Without them rows lack training loss, accuracy, rate and speed, and
            a log of hundreds of thousands of steps is read in an instant.

    Raises:
        OSError: the log is there but cannot be read.
        WorldError: not one line of it is an event.
    """
    kinds = ("grad_norms", "system") if steps else ("grad_norms", "system", "step")
    skipped = tuple(f'"kind":"{kind}"}}\n'.encode() for kind in kinds)
    summary, applied, damaged = RunSummary(), 0, 0
    with contextlib.suppress(FileNotFoundError), open_regular(path) as file:
        while line := file.readline(MAX_LINE_BYTES):
            if line.endswith(skipped):  # told by its end, far cheaper than decoding it
                continue
            try:
                summary.apply(decode(line))
                applied += 1
            except ValueError:
                damaged += line.endswith(b"\n") or not line.startswith(b"{")  # else it is not written to its end
    if damaged and not applied:
        raise WorldError(f"{one_line(str(path))}: damaged: not one of its {damaged} lines is an event")
    return summary
