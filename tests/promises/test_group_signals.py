"""A signal to a run's whole process group, as a terminal or a batch system sends it: saved, ended, nothing left."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image
from support import Cases, tiny

from engine import order
from engine.checkpoint import load_checkpoint
from engine.config import RunConfig
from engine.config_file import to_toml
from engine.event_log import EventReader, read_events
from engine.events import Event, RunFinished, RunStarted, Step
from engine.run_dir import RunDir, iterate

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="process groups and /proc")

LONGEST = 60.0
WITHIN = 1.0
"""Seconds from the signal to the end."""
PATIENT = 3
"""Attempts at a case, so that another program that has the processors for a second fails nothing."""
ENDLESS: dict[str, Any] = {
    "train__epochs": 100_000,
    "telemetry__every_steps": 1,
    "data__residence": "stream",
    "data__workers": 2,
}
Command = Callable[[RunConfig, Path], list[str]]


def headless(config: RunConfig, folder: Path) -> list[str]:
    preset = folder / "preset.toml"
    preset.write_text(to_toml(config))
    return ["-m", "resnet_tui", "train", "--headless", "--preset", str(preset), "--runs-dir", str(folder / "runs")]


def host(config: RunConfig, folder: Path) -> list[str]:
    return ["-m", "engine.host", str(folder / "runs")]


class Training:
    """A run in a session of its own."""

    def __init__(self, command: Command, config: RunConfig, folder: Path) -> None:
        folder.mkdir()
        self.folder, self.runs = folder, folder / "runs"
        self.said = folder / "said.txt"
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, *command(config, folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=said,
                env=os.environ | {"RESNET_TUI_CACHE": str(folder / "cache")},
                start_new_session=True,
            )
        assert self.process.stdin is not None
        with self.process.stdin as stdin:
            if command is host:
                stdin.write(order.encode(config))
        self._log: EventReader | None = None

    def run(self) -> RunDir | None:
        return next(iterate(self.runs), None)

    def wait(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + LONGEST
        while not condition():
            assert self.process.poll() is None, self.said.read_text()
            assert time.monotonic() < deadline, "never came"
            time.sleep(0.001)

    def said_so(self, wanted: Callable[[Event], bool]) -> bool:
        """Whether the log has such an event that was not looked at before."""
        if self._log is None and (run := self.run()) is not None:
            self._log = EventReader(run.events)
        return self._log is not None and any(wanted(event) for event in self._log.read())

    def has_loaded(self, library: str) -> bool:
        return library in Path(f"/proc/{self.process.pid}/maps").read_text()

    def group(self) -> list[psutil.Process]:
        """Return what is alive of it."""
        alive = []
        for process in psutil.process_iter():
            try:
                if os.getpgid(process.pid) == self.process.pid and process.status() != psutil.STATUS_ZOMBIE:
                    alive.append(process)
            except (psutil.NoSuchProcess, ProcessLookupError):
                pass
        return alive

    def signalled(self, number: int) -> float:
        """Signal all of it and return the seconds until it has ended."""
        began = time.monotonic()
        os.killpg(self.process.pid, number)
        self.process.wait(timeout=LONGEST)
        return time.monotonic() - began

    def close(self) -> None:
        for process in self.group():
            with suppress(psutil.NoSuchProcess):  # workers end by themselves without their run
                process.kill()
        self.process.wait()


def step(event: Event) -> bool:
    return isinstance(event, Step)


def end_of_epoch(event: Event) -> bool:
    return isinstance(event, Step) and event.step % 16 == 0


def starting(training: Training) -> bool:
    return training.has_loaded("pydantic_core")  # half of what is imported before torch


def importing(training: Training) -> bool:
    return training.has_loaded("libtorch_cpu")


def decoding(training: Training) -> bool:
    return any(training.folder.glob("cache/**/*.part/train.npy"))


def warming_up(training: Training) -> bool:
    return training.said_so(lambda event: isinstance(event, RunStarted))


def training_(training: Training) -> bool:
    return training.said_so(step)


def evaluating(training: Training) -> bool:
    return training.said_so(end_of_epoch)


def saving(training: Training) -> bool:
    run = training.run()
    return run is not None and any(run.checkpoints.glob(".*.tmp"))


@dataclass(frozen=True)
class Phase:
    reached: Callable[[Training], bool]
    settings: dict[str, Any]
    then: float
    """At most so many seconds later comes the signal."""
    first: tuple[Command, signal.Signals] = headless, signal.SIGTERM
    """What is always tried."""


PHASES = {
    "starting": Phase(starting, {}, 0.02, (host, signal.SIGINT)),
    "importing": Phase(importing, {}, 0.2),
    "decoding": Phase(decoding, {"data__dataset": "imagefolder"}, 0.2),
    "warming up": Phase(warming_up, {}, 0.1),
    "training": Phase(training_, {}, 0.1, (headless, signal.SIGINT)),
    "evaluating": Phase(
        evaluating,
        {"data__synthetic_size": 8192, "train__batch_size": 512, "train__eval_batch_size": 2},
        0.1,
    ),
    "saving": Phase(saving, {"train__checkpoint_every_steps": 1}, 0.002),
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many as take some seconds to decode."""
    folder = tmp_path_factory.mktemp("pictures")
    draw = random.Random(1)
    picture = io.BytesIO()
    Image.frombytes("RGB", (500, 500), draw.randbytes(500 * 500 * 3)).save(picture, "JPEG")
    for split, count in ("train", 300), ("test", 20):
        for name in ("one", "two"):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                (folder / split / name / f"{number}.jpg").write_bytes(picture.getvalue())
    return folder


def check(training: Training, phase: Phase, draw: random.Random, number: int) -> float:
    """Signal the group in this phase; return the seconds it took."""
    training.wait(lambda: phase.reached(training))
    time.sleep(draw.uniform(0, phase.then))
    seconds = training.signalled(number)
    said = training.said.read_text()
    # Before a run begins a signal may end its process by itself, which a shell tells as the same status.
    early = {-number} if training.run() is None else set()
    assert training.process.returncode in {128 + number} | early, said
    assert "Traceback" not in said
    assert training.group() == []
    run = training.run()
    if run is not None and run.events.exists():
        events = list(read_events(run.events))
        assert isinstance(events[-1], RunFinished), events[-1]
        assert events[-1].outcome == "stopped", events[-1].reason
        assert load_checkpoint(run.last)[1].step == events[-1].steps
        assert not run.is_alive()
    return seconds


@pytest.mark.parametrize("phase", PHASES)
def test_a_signal_to_the_group_ends_it_in_order(
    phase: str, tmp_path: Path, pictures: Path, cases: Cases, figure: Callable[[str], None]
) -> None:
    draw = random.Random(phase)
    commands = [(command, number) for number in (signal.SIGTERM, signal.SIGINT) for command in (headless, host)]
    commands.sort(key=lambda case: case != PHASES[phase].first)
    settings = ENDLESS | PHASES[phase].settings
    if settings.get("data__dataset"):
        settings["data__dir"] = str(pictures)
    slowest = 0.0
    wanted = commands[: cases(1, 4)] * cases(1, 2)
    for case, (command, number) in enumerate(wanted):
        for attempt in range(PATIENT):
            training = Training(command, tiny(**settings), tmp_path / f"{case}-{attempt}")
            try:
                seconds = check(training, PHASES[phase], draw, number)
            finally:
                training.close()
            if seconds <= WITHIN:
                break
        assert seconds <= WITHIN, f"{command.__name__}, {number}: {seconds:.2f} s"
        slowest = max(slowest, seconds)
    figure(f"{len(wanted)} of {len(wanted)} signals while {phase} ended the run in order, slowest {slowest:.2f} s")


def test_a_second_signal_ends_it_at_once(tmp_path: Path, figure: Callable[[str], None]) -> None:
    """In a step that takes seconds, which a first signal lets end."""
    long = ENDLESS | {"data__synthetic_size": 8192, "train__batch_size": 4096, "optim__accumulate": 1024}
    training = Training(headless, tiny(**long), tmp_path / "run")
    try:
        training.wait(lambda: training_(training))
        time.sleep(0.5)  # into the second step
        os.killpg(training.process.pid, signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            training.process.wait(timeout=0.5)
        seconds = training.signalled(signal.SIGTERM)
        assert training.process.returncode == 128 + signal.SIGTERM
        assert seconds < 2 * WITHIN, "a step takes longer"
        assert not training.said_so(lambda event: isinstance(event, RunFinished)), "it did not end in order"
        training_over = time.monotonic()
        while training.group():
            assert time.monotonic() - training_over < 5, "workers are left"
            time.sleep(0.01)
        assert "Traceback" not in training.said.read_text()
        figure(f"a second signal ended it {seconds:.2f} s later, in the middle of a step")
    finally:
        training.close()


def test_no_signal_ends_a_worker_however_early_it_comes(
    tmp_path: Path, cases: Cases, figure: Callable[[str], None]
) -> None:
    sent = 0
    for case in range(cases(1, 10)):
        training = Training(headless, tiny(**ENDLESS), tmp_path / f"{case}")
        run = psutil.Process(training.process.pid)
        try:
            while not training.said_so(step):
                assert training.process.poll() is None, "the run ended with its worker"
                for worker in run.children():
                    with suppress(psutil.NoSuchProcess):  # other children, which are not for long
                        worker.terminate()
                        sent += 1
            assert len(training.group()) == 3, "it has its workers still"
        finally:
            training.close()
    assert sent > 0
    figure(f"{sent:,} signals to workers from their first moment on ended none of {cases(1, 10)} runs")


def test_workers_do_not_outlive_a_killed_run(tmp_path: Path, cases: Cases, figure: Callable[[str], None]) -> None:
    slowest = 0.0
    for case in range(cases(1, 5)):
        training = Training(headless, tiny(**ENDLESS), tmp_path / f"{case}")
        try:
            training.wait(lambda: training_(training))  # noqa: B023 (called at once)
            assert len(training.group()) == 3, "it has workers"
            time.sleep(random.Random(case).uniform(0, 0.1))
            training.process.kill()
            began = time.monotonic()
            training.process.wait()
            run = training.run()
            assert run is not None
            while training.group() or run.is_alive():
                assert time.monotonic() - began < 3, "workers live on, and keep the run locked"
                time.sleep(0.01)
            slowest = max(slowest, time.monotonic() - began)
        finally:
            training.close()
    figure(f"no worker outlived {cases(1, 5)} of {cases(1, 5)} killed runs by more than {slowest:.2f} s")
