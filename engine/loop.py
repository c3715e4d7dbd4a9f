"""The training loop: a generator of events that obeys control messages between steps.

Where it synchronises host and device: at a reading of the telemetry, at a checkpoint, at pruning, at the end of an
evaluation; and on the CPU, where it costs nothing, at the check of every loss. In float16, the loss scaler adds one
a step.
"""

import math
import time
from collections.abc import Generator
from typing import Literal

import torch

from engine import advice, pruning
from engine import control as messages
from engine.advice import Diverged
from engine.checkpoint import Best, Tensors, TrainState, check_same_run, save_checkpoint
from engine.config import RunConfig
from engine.control import Control, ControlMessage
from engine.data.dataset import Dataset
from engine.data.pipeline import Batch, train_batches
from engine.devices import resolve
from engine.diagnosis import LossWatch
from engine.events import (
    CheckpointSaved,
    ControlApplied,
    EpochStarted,
    Evaluated,
    Event,
    Outcome,
    Progress,
    RunFinished,
    Warned,
    WeightsLoaded,
)
from engine.introduction import checked_shapes, introduce_model, introduce_run, introduce_weights, weights_notes
from engine.learner import Learner
from engine.parallel.group import Group
from engine.parallel.ranks import changed_number, check_together
from engine.parallel.shared_control import SharedControl
from engine.patience import Writing, at_once
from engine.run_dir import RunDir
from engine.schedule import LearningRate, RateState
from engine.splits import Splits
from engine.system import SystemMeter
from engine.telemetry import Telemetry, UseReadings
from engine.weights import Weights

Events = Generator[Event, None, None]


class Trainer:
    """One run: where it stands, and how it goes on."""

    def __init__(
        self,
        config: RunConfig,
        dataset: Dataset,
        control: Control,
        resume: tuple[Tensors, TrainState, list[str]] | None = None,
        weights: Weights | None = None,
        group: Group | None = None,
    ) -> None:
        """Make everything ready.

        Args:
            config: the run.
            dataset: its data.
            control: where messages to the run come from.
            resume: what ``checkpoint.resumable`` gives, for a run that goes on.
            weights: what a new run begins with, where ``config.weights`` names some.
            group: the processes that train this run together, where there are several.

        Raises:
            UserError: the run cannot begin: its device, network, data or checkpoint do not fit together.
        """
        self.config = config
        self.dataset = dataset
        rank = group.rank if group is not None else None
        check_together(config, rank)
        self.device = resolve(config.train.device, rank)
        self.shapes = checked_shapes(config, dataset)
        carried = resume[1].carried if resume is not None else ()
        self.learner = Learner(config, dataset.shape, len(dataset.classes), self.device, weights, carried, group)
        self._weights_loaded: WeightsLoaded | None = None
        self._notes: list[str] = []
        if weights is not None and (report := self.learner.carry_report) is not None:
            self._weights_loaded = introduce_weights(weights, report)
            self._notes = weights_notes(config, weights, report)
        self.run_dir: RunDir | None = None  # set by who keeps the run on disk, before the first event
        self.patience: Writing = at_once  # set with it
        self._control = control if group is None else SharedControl(control, group)
        self._batches = train_batches(dataset, config, self.device, rank)
        self._notes += [self._batches.note] if self._batches.note else []
        self._splits = Splits(dataset, config, self.device, group)
        self._losses = LossWatch(self.learner, self._batches, at_once=self.device.type != "cuda")
        self._telemetry = Telemetry(self.device)
        self._use = UseReadings(SystemMeter(self.device), config.telemetry.system_seconds)
        self.steps_per_epoch = self._batches.steps_per_epoch

        self.epochs = config.train.epochs
        self.epoch = 1
        self.step = self.step_in_epoch = 0
        self.resumed_at: int | None = None
        total = RateState(total_steps=self.epochs * self.steps_per_epoch)
        self._rate = LearningRate(config.schedule, config.optim.lr, self.steps_per_epoch, total)
        self._best: Best | None = None
        self._epochs_since_best = 0
        self._last_saved: int | None = None

        self._ending: tuple[Outcome, str] | None = None
        self._stop_after_epoch: str | None = None
        self._evaluation_wanted = False
        self._paused = False
        if resume is not None:
            tensors, state, notes = resume
            self._notes += notes
            self._restore(tensors, state)

    # The whole run ---------------------------------------------------------------------------------------------

    def events(self) -> Events:
        """Train to the end. Whatever happens short of a kill, the last event is ``run_finished``."""
        began = time.monotonic()
        try:
            yield introduce_run(
                self.config, self.dataset, self.learner, self.epochs, self.steps_per_epoch, self.resumed_at
            )
            if self._weights_loaded is not None:
                yield self._weights_loaded
            yield introduce_model(self.shapes, self.learner)
            for note in self._notes:
                yield Warned(message=note)
            yield from self._epochs()
            outcome, reason = self._ending or ("completed", f"{self.epoch - 1} of {self.epochs} epochs trained")
        except Exception as error:
            outcome, reason = yield from self._ended_by(error)
        finally:
            self._batches.close()
        target = self.config.train.target_accuracy
        yield RunFinished(
            outcome=outcome,
            reason=reason,
            steps=self.step,
            epochs=self.epoch - 1,
            seconds=time.monotonic() - began,
            best_accuracy=self._best.accuracy if self._best else None,
            best_epoch=self._best.epoch if self._best else None,
            best_split=self._splits.choosing if self._best else None,
            target_missed=bool(target) and (self._best is None or self._best.accuracy < target),
        )

    def _ended_by(self, error: Exception) -> Generator[Event, None, tuple[Outcome, str]]:
        """Return how the run ends, and why; where another rank has gone, what this one has is saved first."""
        group = self.learner.group
        if group is None or not (reason := group.lost(error)):
            outcome, reason = advice.ending(self.config, error)
            if group is not None:
                group.leave_word(reason)
            return outcome, reason
        self.learner.leave_group()
        if self._last_saved == self.step:
            reason += f"; saved as of step {self.step}"
        elif self.device.type == "cpu":  # a GPU may hold half a step: it was given work beyond the one that failed
            try:
                yield from self._save("last")
            except Exception as failure:  # weights that are not finite, a full disk: run_finished comes all the same
                return "failed", f"{reason}; saving step {self.step} failed: {advice.ending(self.config, failure)[1]}"
            reason += f"; saved as of step {self.step}, with the norm statistics of rank 0"
        return "failed", reason

    def _epochs(self) -> Events:
        while self.epoch <= self.epochs and self._ending is None:
            yield EpochStarted(epoch=self.epoch, epochs=self.epochs)
            yield from self._train_epoch()
            if self.step_in_epoch == self.steps_per_epoch:
                yield from self._finish_epoch()
        if self._last_saved != self.step:
            yield from self._save("last")

    def _train_epoch(self) -> Events:
        self.learner.model.train()
        self.learner.freeze_carried(self.epoch <= self.config.weights.frozen_epochs)
        self._telemetry.restart()
        for batch in self._batches.epoch(self.epoch, self.step_in_epoch):
            yield from self._between_steps()
            if self._ending is not None:
                break
            yield from self._prune_if_due()
            yield from self._step(batch)
        if not self._telemetry.empty:
            yield from self._read_telemetry(None)

    def _prune_if_due(self) -> Events:
        """Prune right before a step, so that a checkpoint holds pruned weights exactly if it is of a later step."""
        prune = self.config.prune
        if prune.amount and self.step == prune.after_epochs * self.steps_per_epoch:
            pruned = pruning.prune(self.learner, prune.amount, step=self.step, epoch=self.epoch)
            self._best, self._epochs_since_best = None, 0  # the unpruned network's count no more
            self._telemetry.restart()
            yield pruned

    def _finish_epoch(self) -> Events:
        yield from self._between_steps()
        # Saved before the evaluation, so that a kill during it costs no training; resumed, it is only evaluated.
        if self._last_saved != self.step:
            yield from self._save("last")
        # Stopped, here or in between: the checkpoint says that this epoch is still to be evaluated.
        scores = (yield from self._evaluate()) if self._ending is None else None
        if scores is None:
            return
        if not math.isfinite(scores.loss):
            raise Diverged(f"the {scores.split} loss of epoch {self.epoch} is {scores.loss}. {advice.DIVERGED}")
        improved = self._best is None or scores.accuracy > self._best.accuracy
        self._epochs_since_best = 0 if improved else self._epochs_since_best + 1
        finished, self.epoch, self.step_in_epoch = self.epoch, self.epoch + 1, 0
        self._last_saved = None
        if improved:
            self._best = Best(accuracy=scores.accuracy, epoch=finished)
            yield from self._save("best")
        self._end_if_due(scores)

    def _end_if_due(self, scores: Evaluated) -> None:
        train = self.config.train
        if self._ending is not None:
            return
        if train.target_accuracy and scores.accuracy >= train.target_accuracy:
            self._ending = (
                "completed",
                f"{scores.split} accuracy {scores.accuracy:.2%} reached the target of {train.target_accuracy:.2%}",
            )
        elif train.early_stopping and self._epochs_since_best >= train.early_stopping:
            self._ending = ("completed", f"no better {scores.split} accuracy for {train.early_stopping} epochs")
        elif self._stop_after_epoch is not None and self.epoch <= self.epochs:
            self._ending = ("stopped", f"stopped after epoch {self.epoch - 1} by {self._stop_after_epoch}")

    # One step --------------------------------------------------------------------------------------------------

    def _step(self, batch: Batch) -> Events:
        lr = self._rate.at(self.step)
        if self.learner.compiles_with(batch):
            yield Progress(activity="compiling the network", done=0, total=0)
            loss, right, note = self.learner.compile_with(batch)
            yield Warned(message=note)
            self._telemetry.restart()  # it is the first step of its epoch, and compiling is not training time
        else:
            loss, right = self.learner.accumulate_gradient(batch)
        self._losses.look(loss, batch, self.step, self.epoch)
        self._telemetry.add(loss, right, batch.images)
        done = self.step + 1
        in_epoch = self.step_in_epoch + 1
        save_due = bool(every := self.config.train.checkpoint_every_steps) and done % every == 0
        due = done % self.config.telemetry.every_steps == 0 or in_epoch == self.steps_per_epoch or save_due
        norms_P = self.learner.gradients.norms() if due and self.config.telemetry.gradient_norms else None
        self.learner.update(lr)
        self.step, self.step_in_epoch = done, in_epoch
        if due:
            yield from self._read_telemetry(norms_P)
        if save_due and in_epoch < self.steps_per_epoch:
            yield from self._save("last")
        if (use := self._use.due()) is not None:
            yield use

    def _read_telemetry(self, norms_P: torch.Tensor | None) -> Events:
        reading, norms = self._telemetry.read(self.step, self.epoch, self.learner.lr, norms_P)
        self._use.rank_speeds = self.learner.rank_speeds()
        self._losses.look_at_reading(reading.loss, self.step, self.epoch)
        yield reading
        if norms is not None:
            if not math.isfinite(norms.total) and self.learner.dtype != torch.float16:  # its scaler skips such steps
                raise advice.diverged(
                    "gradient norm", norms.total, f"at step {self.step}", self.epoch, self.learner.lr
                )
            yield norms
        self._telemetry.restart()  # who was told may have waited for the disk

    # Messages --------------------------------------------------------------------------------------------------

    def _between_steps(self) -> Events:
        """Obey every message that has come; while paused, wait here for the next."""
        while True:
            message = self._control.receive(timeout=0.5 if self._paused else 0.0)
            if message is not None:
                yield from self._obey(message)
            elif not self._paused:
                break
            if self._ending is not None:
                return
        if self._evaluation_wanted:
            self._evaluation_wanted = False
            if not self._telemetry.empty:
                yield from self._read_telemetry(None)
            yield from self._evaluate()
            self._telemetry.restart()

    def _obey(self, message: ControlMessage) -> Events:
        value: float | int | None = None
        match message:
            case messages.Pause():
                self._paused = True
                if not self._telemetry.empty:
                    yield from self._read_telemetry(None)
            case messages.Resume():
                if self._paused:
                    self._telemetry.restart()
                self._paused = False
            case messages.StopNow():
                self._ending = ("stopped", f"stopped at step {self.step} by {message.source}")
            case messages.StopAfterEpoch():
                self._stop_after_epoch = message.source
            case messages.EvaluateNow():
                self._evaluation_wanted = True
            case messages.SetLearningRate():
                value = message.lr
                self._rate.set(self.step, message.lr)
                self._last_saved = None
            case messages.ExtendEpochs():
                value = message.epochs
                self.extend(message.epochs)
        yield ControlApplied(
            step=self.step, command=message.command, value=value, source=message.source, id=message.id
        )
        if isinstance(message, messages.CheckpointNow):
            yield from self._save("last")

    def extend(self, epochs: int) -> None:
        """Train ``epochs`` more than planned."""
        self.epochs += epochs
        self._rate.extend(self.step, epochs * self.steps_per_epoch)
        self._last_saved = None

    # Evaluation and checkpoints --------------------------------------------------------------------------------

    def _evaluate(self) -> Generator[Event, None, Evaluated | None]:
        """Evaluate every split; return the one that chooses the best epoch, or None where a stop came between."""
        mistakes = self.run_dir.mistakes if self.run_dir is not None else None
        return (yield from self._splits.evaluate(self.learner, self._obey_next, mistakes, self.step, self.epoch))

    def _obey_next(self) -> Generator[Event, None, bool]:
        if message := self._control.receive():
            yield from self._obey(message)
        return self._ending is not None

    def _save(self, which: Literal["last", "best"]) -> Events:
        if self.run_dir is None and self.learner.group is None:
            return
        if not self._telemetry.empty:
            yield from self._read_telemetry(None)
        self.learner.share_statistics()
        if not self.learner.is_finite():
            raise Diverged(f"the weights became infinite or undefined by step {self.step}. {advice.DIVERGED}")
        saved = self._write(self.run_dir, which) if self.run_dir is not None else None  # only rank 0 writes
        if which == "last":
            self._last_saved = self.step
        if saved is not None:
            yield saved
        self._telemetry.restart()  # writing is not training time

    def _write(self, run: RunDir, which: Literal["last", "best"]) -> CheckpointSaved:
        path, previous = (run.last, run.previous) if which == "last" else (run.best, None)
        self.patience(lambda: save_checkpoint(path, self.learner.tensors(), self._state(), previous=previous))
        return CheckpointSaved(
            step=self.step,
            epoch=self.epoch - 1,
            which=which,
            path=path.relative_to(run.path).as_posix(),
            accuracy=self._best.accuracy if self._best else None,
        )

    def _state(self) -> TrainState:
        return TrainState(
            config=self.config,
            classes=self.dataset.classes,
            epoch=self.epoch,
            step_in_epoch=self.step_in_epoch,
            step=self.step,
            epochs=self.epochs,
            steps_per_epoch=self.steps_per_epoch,
            rate=self._rate.state,
            best=self._best,
            epochs_since_best=self._epochs_since_best,
            scaler=self.learner.scaler.state_dict(),
            carried=tuple(sorted(self.learner.carried_parameters)),
        )

    def _restore(self, tensors: Tensors, state: TrainState) -> None:
        check_same_run(self.config, state, self.dataset.classes, self.steps_per_epoch)
        self.learner.restore(tensors)
        if state.scaler:
            self.learner.scaler.load_state_dict(state.scaler)
        if self.config.prune.amount and state.step > self.config.prune.after_epochs * self.steps_per_epoch:
            pruning.hold_zeros(self.learner.model)
        self.epoch, self.step_in_epoch, self.step = state.epoch, state.step_in_epoch, state.step
        self.epochs, self._rate.state = state.epochs, state.rate
        self._best, self._epochs_since_best = state.best, state.epochs_since_best
        self.resumed_at = self._last_saved = state.step
        self._notes += [note] if (note := changed_number(state.config, self.config)) else []
        if self.config.train.epochs != state.config.train.epochs:  # a person gave another number
            self.extend(max(self.config.train.epochs, self.epoch - 1, 1) - self.epochs)
