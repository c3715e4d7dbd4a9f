"""A run that is killed and resumed equals one left alone, to the bit: weights, state and log."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from support import Cases, Cli, tiny, train

from engine import resume_check
from engine.checkpoint import Tensors, TrainState, load_checkpoint, save_checkpoint
from engine.config import RunConfig
from engine.control import Control, ExtendEpochs, SetLearningRate
from engine.event_log import read_events
from engine.events import CheckpointSaved, Event, GradNorms, Progress, RunStarted, Step
from engine.resume_check import Found, ResumeCheck, Spoil, without_momentum
from engine.run_difference import difference
from engine.run_dir import RunDir, iterate
from engine.schedule import RateState
from resnet_tui.printing.progress import shown

STATE: dict[str, Any] = {
    "train__epochs": 3,
    "train__ema_decay": 0.9,
    "train__label_smoothing": 0.1,
    "train__eval_batch_size": 5,  # an evaluation takes as long as some steps
    "optim__nesterov": True,
    "data__flip": True,
    "data__crop_padding": 2,
    "data__mixup": 0.2,
    "data__synthetic_size": 192,
    "schedule__name": "onecycle",
    "telemetry__every_steps": 1,
}
"""Of 12 steps an epoch; all kinds of state that a run can have on a CPU."""


@dataclass
class Where:
    """How many kills came where, by what the log told last."""

    training: int = 0
    saving: int = 0
    evaluating: int = 0

    def count(self, runs: Iterable[RunDir]) -> None:
        for run in runs:
            before: Event | None = None
            for event in read_events(run.events):
                if isinstance(event, RunStarted):
                    self._count(before)
                if not isinstance(event, GradNorms):
                    before = event

    def _count(self, before: Event | None) -> None:
        if isinstance(before, Step):
            due = before.step % 12 == 0
            self.saving, self.training = self.saving + due, self.training + (not due)
        elif isinstance(before, CheckpointSaved) and before.which == "last":
            self.evaluating += before.step % 12 == 0


MATRIX: dict[str, dict[str, Any]] = {
    "memory, saved within epochs": {"train__checkpoint_every_steps": 5},
    "memory, saved at their ends": {},
    "stream, saved within epochs": {
        "train__checkpoint_every_steps": 5,
        "data__residence": "stream",
        "data__workers": 2,
    },
    "stream, saved at their ends": {"data__residence": "stream", "data__workers": 2},
}


VARIANTS: dict[str, dict[str, Any]] = {
    "bfloat16": {"train__precision": "bfloat16"},
    "batches in parts": {"optim__accumulate": 2, "optim__clip_norm": 1.0},
    "adamw, rate in steps": {"optim__name": "adamw", "optim__nesterov": False, "schedule__name": "multistep"},
    "cosine with warm-up": {"schedule__name": "cosine", "schedule__warmup_epochs": 1, "data__cutout": 4},
}


Attempt = TypeVar("Attempt", bound=tuple[Found, ...])


def with_every_kill(attempt: Callable[[Path], Attempt], tmp_path: Path, kills: int) -> tuple[Attempt, Path]:
    """Return what ``attempt`` found and its folder; again where a run ended before its last kill reached it."""
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        found = attempt(folder)
        assert {one.difference for one in found} == {""}
        if sum(one.kills for one in found) == kills:
            break
    return found, folder


@pytest.mark.parametrize("kind", MATRIX)
def test_kills_leave_no_trace(kind: str, tmp_path: Path, cases: Cases, figure: Callable[[str], None]) -> None:
    config = tiny(**STATE | MATRIX[kind])

    def attempt(folder: Path) -> tuple[Found, Found]:
        check = ResumeCheck(config, folder)
        shown(check.leave_alone())
        saving = range(24, 25)  # saving and evaluating come after it
        return shown(check.kill(cases(2, 20), seed=len(kind))), shown(check.kill(cases(1, 5), seed=0, steps=saving))

    (anywhere, evaluating), folder = with_every_kill(attempt, tmp_path, cases(3, 25))
    where = Where()
    for run in iterate(folder / "killed-1" / "runs"), iterate(folder / "killed-2" / "runs"):
        where.count(run)
    assert (anywhere.difference, evaluating.difference) == ("", "")
    interval = config.train.checkpoint_every_steps or 12
    assert max(anywhere.most_repeated, evaluating.most_repeated) <= interval, "more than one interval was repeated"
    kills = anywhere.kills + evaluating.kills
    assert kills == cases(3, 25)
    figure(
        f"{kills} of {kills} kills left no trace ({kind}; {where.training} within an epoch, {where.saving} saving, "
        f"{where.evaluating} evaluating; {anywhere.repeated + evaluating.repeated} steps repeated)"
    )


@pytest.mark.parametrize("kind", VARIANTS)
def test_kills_leave_no_trace_whatever_is_trained(
    kind: str, tmp_path: Path, cases: Cases, figure: Callable[[str], None]
) -> None:
    config = tiny(**STATE | {"train__checkpoint_every_steps": 5} | VARIANTS[kind])

    def attempt(folder: Path) -> tuple[Found]:
        check = ResumeCheck(config, folder)
        shown(check.leave_alone())
        return (shown(check.kill(cases(1, 5), seed=1, steps=range(6, 36))),)

    ((found,), _) = with_every_kill(attempt, tmp_path, cases(1, 5))
    assert found.difference == ""
    assert found.resumes == found.kills == cases(1, 5)
    figure(f"{found.kills} of {found.kills} kills left no trace ({kind})")


def test_several_threads_give_the_same_bits(tmp_path: Path, cases: Cases, figure: Callable[[str], None]) -> None:
    if not cases(0, 1):
        pytest.skip("takes minutes where the processors are in use")
    check = ResumeCheck(tiny(**STATE | {"train__checkpoint_every_steps": 5}), tmp_path, threads=2)
    shown(check.leave_alone())
    found = shown(check.kill(3, seed=1))
    assert found.difference == ""
    figure("3 of 3 kills left no trace (two threads)")


# Without processes: what a kill right after a checkpoint leaves is copied, and resumed -----------------------------


class Halves:
    """A run left alone, and what was on disk at one of its checkpoints."""

    def __init__(self, config: RunConfig, folder: Path, at: int, control: Control | None = None) -> None:
        self.config, self._folder = config, folder
        self.left = folder / "left"
        control = control or Control()

        def on_event(event: Event) -> None:
            if isinstance(event, Step) and event.step == 7:
                control.send(SetLearningRate(lr=0.02))
                control.send(ExtendEpochs(epochs=1))
            if isinstance(event, CheckpointSaved) and event.which == "last" and event.step == at:
                (run,) = iterate(folder / "alone")
                shutil.copytree(run.path, self.left)

        train(config, folder / "alone", on_event=on_event, control=control)
        (self.alone,) = iterate(folder / "alone")

    def resumed(self, spoil: Spoil | None = None) -> str:
        """Resume what is left; return what differs."""
        run = RunDir(self._folder / "resumed")
        shutil.rmtree(run.path, ignore_errors=True)
        shutil.copytree(self.left, run.path)
        if spoil is not None:
            save_checkpoint(run.last, *spoil(*load_checkpoint(run.last)))
        train(self.config, resume=run)
        return difference(self.alone, run)


def tensors_changed(of: str, change: Callable[[str, Tensors], torch.Tensor]) -> Spoil:
    def spoil(tensors: Tensors, state: TrainState) -> tuple[Tensors, TrainState]:
        assert any(of in name for name in tensors)
        return {name: change(name, tensors) if of in name else tensors[name] for name in tensors}, state

    return spoil


def state_changed(**changes: Any) -> Spoil:
    def spoil(tensors: Tensors, state: TrainState) -> tuple[Tensors, TrainState]:
        assert any(getattr(state, name) != value for name, value in changes.items()), "there is nothing to leave out"
        return tensors, replace(state, **changes)

    return spoil


LEFT_OUT: dict[str, Spoil] = {
    "the momentum": without_momentum,
    "the means of the norms": tensors_changed("running_mean", lambda name, all_: torch.zeros_like(all_[name])),
    "the variances of the norms": tensors_changed("running_var", lambda name, all_: torch.ones_like(all_[name])),
    "the average of the weights": tensors_changed(
        "average.module.", lambda name, all_: all_[name.replace("average.module", "model")].clone()
    ),
    "how many steps are averaged": tensors_changed("n_averaged", lambda name, all_: torch.zeros_like(all_[name])),
    "the weights of the head": tensors_changed("model.head", lambda name, all_: all_[name] * (1 + 2**-20)),
    "the step within the epoch": state_changed(step_in_epoch=0),
    "the step": state_changed(step=0),
    "the epoch": state_changed(epoch=1),
    "the changed rate": lambda tensors, state: (
        tensors,
        replace(state, rate=RateState(total_steps=state.rate.total_steps)),
    ),
    "the changed length": state_changed(epochs=3),
    "the best epoch": state_changed(best=None),
    "how long ago it was": state_changed(epochs_since_best=0),
}


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> Halves:
    """A run whose rate and length are changed on the way, cut in its last epoch, after its best."""
    for seed in range(2, 20):
        config = tiny(**STATE | {"train__checkpoint_every_steps": 5, "train__seed": seed})
        halves = Halves(config, tmp_path_factory.mktemp("halves"), 40)
        if load_checkpoint(halves.alone.last)[1].epochs_since_best >= 2:
            return halves
    raise AssertionError("no run had its best epoch early")


def test_nothing_is_left_out(halves: Halves) -> None:
    assert halves.resumed() == ""


@pytest.mark.parametrize("what", LEFT_OUT)
def test_whatever_is_left_out_is_noticed(what: str, halves: Halves, figure: Callable[[str], None]) -> None:
    found = halves.resumed(LEFT_OUT[what])
    assert found != ""
    figure(f"{what} left out of a checkpoint is noticed: {found}")


def test_float16_keeps_its_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs a GPU; the CPU can do it as well, only so slowly that the program does not offer it."""
    monkeypatch.setattr("engine.learner.resolve_precision", lambda *_: torch.float16)
    halves = Halves(tiny(**STATE | {"train__checkpoint_every_steps": 5}), tmp_path, 40)
    assert load_checkpoint(halves.alone.last)[1].scaler["_growth_tracker"]
    assert halves.resumed() == ""
    assert halves.resumed(state_changed(scaler={})) != ""


def test_carried_weights_keep_their_rate(halves: Halves, tmp_path: Path) -> None:
    carried = {"weights__source": str(halves.alone.best), "weights__lr_factor": 0.5, "train__seed": 5}
    again = Halves(tiny(**STATE | {"train__checkpoint_every_steps": 5} | carried), tmp_path, 40)
    assert again.resumed() == ""
    assert again.resumed(state_changed(carried=())) != ""


# What a person sees ----------------------------------------------------------------------------------------------


def test_doctor_proves_it(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, cases: Cases, figure: Callable[[str], None]
) -> None:
    monkeypatch.setattr(resume_check, "_KILLS", cases(2, 12))
    kills = cases(2, 12)
    for _ in range(3):  # a run can end before its last kill reaches it
        began = time.monotonic()
        ended = cli("doctor", "--resume-check", "--device", "cpu", "--json")
        seconds = time.monotonic() - began
        assert ended.returncode == 0, ended.stdout + ended.stderr
        device, exact, control = json.loads(ended.stdout)
        if exact["found"].startswith(f"killed {kills} times"):
            break
    assert device["found"] == "cpu"
    assert exact["found"].startswith(f"killed {kills} times, resumed {kills} times, ")
    assert "state and log equal to the bit" in exact["found"]
    assert "differs" in control["found"]
    figure(f"doctor --resume-check: {exact['found'].partition(':')[0]}, equal, in {seconds:.0f} s")


SAME = Found(kills=1, resumes=1, steps=9, repeated=2, most_repeated=2, difference="", sha256="0" * 64, seconds=1.0)
OTHER = replace(SAME, difference="last.safetensors: \x1b[31mmodel.head differs")


@pytest.mark.parametrize(
    ("found", "control", "status", "said"),
    [(SAME, OTHER, 0, "no problems"), (OTHER, OTHER, 1, "not equal"), (SAME, SAME, 1, "nothing noticed")],
)
def test_doctor_says_where_it_does_not_hold(
    found: Found, control: Found, status: int, said: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prove(*_: object) -> Generator[Progress, None, tuple[Found, Found]]:
        yield Progress(activity="killing and resuming", done=0, total=1)
        return found, control

    monkeypatch.setattr(resume_check, "prove", prove)
    ended = cli("doctor", "--resume-check", "--device", "cpu")
    assert ended.returncode == status
    assert said in " ".join(ended.stdout.split())
    assert "\x1b" not in ended.stdout


def test_doctor_refuses_a_device_that_is_not_there(cli: Cli) -> None:
    ended = cli("doctor", "--resume-check", "--device", "cuda:77")
    assert ended.returncode == 2
    assert "not on this machine" in ended.stderr
