"""Proves on this machine that a run which is killed and resumed equals one that is left alone, to the bit.

A small network is trained once undisturbed, and once in attempts, each in a process of its own that is killed at a
random instant, as by ``kill -9``, and resumed as a person would. Then the checkpoints (weights, norm statistics,
optimiser, average of the weights, and where the run stands) and everything that the log says of losses, rates,
gradient norms and accuracies must be equal. That the comparison can fail is shown by leaving something out of a
checkpoint on purpose.
"""

import multiprocessing
import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from engine.checkpoint import Tensors, TrainState, load_checkpoint, save_checkpoint
from engine.config import RunConfig
from engine.config_file import build_config
from engine.devices import resolve
from engine.errors import UserError, WorldError
from engine.event_log import EventReader, read_events
from engine.events import Progress, RunStarted, Step
from engine.host import run_in_foreground
from engine.resume import config_to_resume
from engine.run_difference import difference, digest
from engine.run_dir import RunDir, iterate
from engine.text import clean

Spoil = Callable[[Tensors, TrainState], tuple[Tensors, TrainState]]
"""Returns what a checkpoint holds with something left out."""

_LONGEST_SECONDS = 300.0
"""What an attempt may take before something is taken to be wrong."""
_TOO_LONG = f"a run took longer than {_LONGEST_SECONDS:g} s and was given up"
_AT_START = 0.15
"""How often an attempt is killed while it is still starting."""
_LOOK_SECONDS = 0.001
_EVERY_STEPS = 5
_KILLS = 12


@dataclass(frozen=True, kw_only=True)
class Found:
    """What became of a run that was killed again and again."""

    kills: int
    resumes: int
    """Fewer than ``kills`` where one came before the first checkpoint, so that the run began again."""
    steps: int
    """Of the whole run."""
    repeated: int
    """Steps that had to be trained again, over all resumes."""
    most_repeated: int
    """At one resume."""
    difference: str
    """The first, in words; empty: there is none."""
    sha256: str
    """Of the final checkpoint's content."""
    seconds: float


def small_run(device: str = "auto") -> RunConfig:
    """Return a run of some seconds that has all the state a run can have; exact on ``device``.

    Raises:
        UserError: this machine has no such device.
    """
    resolved = resolve(device)
    return build_config(
        {
            "name": "resume-check",
            "model": {"depth": 8},
            "data": {
                "dataset": "synthetic",
                "synthetic_size": 512,
                "image_size": 16,
                "crop_padding": 2,
                "flip": True,
                "cutout": 4,
                "mixup": 0.2,
            },
            "optim": {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4},
            "schedule": {"name": "onecycle"},
            "train": {
                "epochs": 3,
                "batch_size": 32,
                "ema_decay": 0.9,
                "label_smoothing": 0.1,
                "checkpoint_every_steps": _EVERY_STEPS,
                "device": str(resolved),
                "deterministic": resolved.type != "cpu",
            },
            "telemetry": {"every_steps": 1},
        },
        {},
    )


class ResumeCheck:
    """Runs of one configuration in one folder: one left alone, and others that are killed and compared with it."""

    def __init__(self, config: RunConfig, folder: Path, *, threads: int = 1) -> None:
        """Prepare.

        Args:
            config: of the runs.
            folder: gets the runs.
            threads: that each run trains with. Several wait for each other at every operation of so small a network,
                for very long where other programs want the processors as well.
        """
        self._config = config
        self._folder = folder
        self._threads = threads
        self._context = process_context()
        self._killed = 0
        self.steps = 0
        """Of the run left alone."""
        self._pace = self._starting = 0.0
        """Seconds between two steps of the run left alone, and until it had started."""

    def leave_alone(self) -> Generator[Progress, None, RunDir]:
        """Train undisturbed, and return the run that all others are compared with.

        Raises:
            WorldError: it failed.
        """
        # The first process waits for what all others share, so it tells nothing of how long a start takes.
        first = self._context.Process(target=_nothing)
        yield Progress(activity="starting", done=0, total=0, unit="kills")
        first.start()
        first.join()
        yield Progress(activity="training undisturbed", done=0, total=0, unit="kills")
        began = time.time()
        with self._attempt(self._folder / "alone", None) as process:
            _wait(process)
        run = self._alone = self._complete(process, self._folder / "alone")
        times = [event.time for event in read_events(run.events) if isinstance(event, RunStarted | Step)]
        self._starting = max(0.0, times[0] - began)
        self._pace = (times[-1] - times[0]) / max(1, len(times) - 1)
        self.steps = _position(read_events(run.events))
        return run

    def kill(
        self, times: int, seed: int, *, steps: range | None = None, spoil: Spoil | None = None
    ) -> Generator[Progress, None, Found]:
        """Train, killed ``times`` times at instants drawn from ``seed``, and compare.

        Args:
            times: how often it is killed.
            seed: of the instants.
            steps: after which of them the kills come; None: after any.
            spoil: what the first resume finds left out of the checkpoint.

        Raises:
            WorldError: an attempt that was not killed failed.
        """
        began = time.monotonic()
        self._killed += 1
        folder = self._folder / f"killed-{self._killed}"
        draw = random.Random(seed)  # noqa: S311 - instants, no secrets
        targets = sorted(draw.choices(steps or range(self.steps), k=times))
        kills = resumes = 0
        run: RunDir | None = None
        for target in targets:
            yield Progress(activity="killing and resuming", done=kills, total=times, unit="kills")
            log = _Follower(folder, run)
            with self._attempt(folder, run) as process:
                if run is not None and draw.random() < _AT_START:
                    process.join(draw.uniform(0, self._starting))
                elif log.reaches(target, process):
                    process.join(draw.uniform(0, self._pace))
            if process.exitcode == 0:  # it was faster
                break
            if process.exitcode is None or process.exitcode > 0:  # it failed by itself: killed is negative
                self._complete(process, folder)
            kills += 1
            run = _left_over(folder)
            if run is not None:
                resumes += 1
                if spoil is not None:
                    save_checkpoint(run.last, *spoil(*load_checkpoint(run.last)))
                    spoil = None
        else:
            with self._attempt(folder, run) as process:
                _wait(process)
        run = self._complete(process, folder)
        repeated = _repeated(run)
        return Found(
            kills=kills,
            resumes=resumes,
            steps=self.steps,
            repeated=sum(repeated),
            most_repeated=max(repeated, default=0),
            difference=difference(self._alone, run),
            sha256=digest(run),
            seconds=time.monotonic() - began,
        )

    @contextmanager
    def _attempt(self, folder: Path, run: RunDir | None) -> Iterator[BaseProcess]:
        """Begin, or go on with ``run``, in a process of its own; at the end of the block it is killed."""
        folder.mkdir(parents=True, exist_ok=True)
        resume = run.path if run is not None else None
        arguments = self._config, folder / "runs", resume, folder / "said.txt", self._threads
        process: BaseProcess = self._context.Process(target=attempt, args=arguments)
        process.start()
        try:
            yield process
        finally:
            process.kill()
            process.join()

    def _complete(self, process: BaseProcess, folder: Path) -> RunDir:
        if process.exitcode == 0 and (run := _left_over(folder)) is not None:
            return run
        said = clean((folder / "said.txt").read_text(errors="replace")).strip().splitlines()
        raise WorldError(f"a run failed with status {process.exitcode}: {said[-1] if said else 'it said nothing'}")


def prove(folder: Path, device: str = "auto") -> Generator[Progress, None, tuple[Found, Found]]:
    """Kill and resume a small run; return what was found, and what where the momentum was left out on purpose.

    Args:
        folder: gets the runs.
        device: where they train.

    Raises:
        UserError: this machine has no such device.
        WorldError: a run failed.
    """
    check = ResumeCheck(small_run(device), folder)
    yield from check.leave_alone()
    found = yield from check.kill(_KILLS, seed=1, steps=range(_EVERY_STEPS + 1, check.steps))  # after a checkpoint
    control = yield from check.kill(
        1, seed=2, steps=range(check.steps // 2, check.steps // 2 + 1), spoil=without_momentum
    )
    return found, control


def without_momentum(tensors: Tensors, state: TrainState) -> tuple[Tensors, TrainState]:
    """Leave the optimiser's tensors out of a checkpoint."""
    return {name: tensor for name, tensor in tensors.items() if not name.startswith("optim.")}, state


def _nothing() -> None:
    """Be started, and end."""


def process_context() -> Any:
    """Return how processes are made: from one that has torch in memory, where torch can be forked safely."""
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "engine.loop", "engine.data.stream"])
    return context


def attempt(config: RunConfig, runs: Path, resume: Path | None, said: Path, threads: int) -> None:
    """Train in this process as the command line does; what it prints goes to ``said``."""
    with said.open("ab") as file:
        for standard in (1, 2):
            os.dup2(file.fileno(), standard)
    torch.set_num_threads(threads)
    multiprocessing.set_start_method(None, force=True)  # of workers: the usual, as in a process that a person starts
    run = RunDir(resume) if resume is not None else None
    try:
        if run is not None:
            config = config_to_resume(run, {})
        sys.exit(run_in_foreground(config, runs=runs, resume=run))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_status)


def _wait(process: BaseProcess) -> None:
    process.join(_LONGEST_SECONDS)
    if process.exitcode is None:
        raise WorldError(_TOO_LONG)


class _Follower:
    """Reads what an attempt adds to the log of its run."""

    def __init__(self, folder: Path, run: RunDir | None) -> None:
        self._folder = folder
        self._log = EventReader(run.events) if run is not None else None
        if self._log is not None:
            _position(self._log.read())  # what there is already

    def reaches(self, step: int, process: BaseProcess) -> bool:
        """Wait until the attempt has; return False where it ends before."""
        deadline = time.monotonic() + _LONGEST_SECONDS
        while process.is_alive():
            if time.monotonic() > deadline:
                raise WorldError(_TOO_LONG)
            if self._log is None:
                self._log = next((EventReader(run.events) for run in iterate(self._folder / "runs")), None)
            if self._log is not None and _position(self._log.read()) >= step:
                return True
            time.sleep(_LOOK_SECONDS)
        return False


def _position(events: Iterable[object]) -> int:
    """Return the last step that ``events`` tell of; -1 where they tell of none."""
    at = -1
    for event in events:
        if isinstance(event, RunStarted):
            at = event.resumed_at or 0
        elif isinstance(event, Step):
            at = event.step
    return at


def _left_over(folder: Path) -> RunDir | None:
    """Return the run that can be resumed; one that was killed before its first checkpoint is removed."""
    for run in iterate(folder / "runs"):
        if run.last.exists():
            return run
        shutil.rmtree(run.path)
    return None


def _repeated(run: RunDir) -> list[int]:
    """Return how many steps each resume trained again."""
    at, repeated = 0, []
    for event in read_events(run.events):
        if isinstance(event, RunStarted):
            repeated.append(max(0, at - (event.resumed_at or 0)))
            at = event.resumed_at or 0
        elif isinstance(event, Step):
            at = event.step
    return repeated
