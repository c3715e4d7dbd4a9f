"""Several processes train one run: the same losses as one, one end, one checkpoint that any number resumes."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean

import psutil
import pytest
import torch
from safetensors.torch import load_file
from support import LEGAL_ORDER, Cases, letters, of, outcome, run_cli, tiny, train

from engine import events as ev
from engine import order
from engine.checkpoint import load_checkpoint
from engine.config import RunConfig
from engine.config_file import to_toml
from engine.control import CheckpointNow, Pause, Resume, SetLearningRate, post
from engine.errors import UserError
from engine.evaluate_saved import evaluate_run
from engine.event_log import EventReader, read_events
from engine.run_dir import RunDir, find
from resnet_tui.printing.progress import shown

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and process groups")

TOLERANCE = 1e-6
"""Of a loss, a norm and a weight in float32. Here two ranks give the very bits of one process."""
LONGEST = 120.0
TORCHRUN = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "resnet_tui", "train", "--headless")
TRAIN = ("-m", "resnet_tui", "train", "--headless")
HOST = ("-m", "engine.host")
RUN = tiny(
    data__synthetic_size=75,  # the last batch of 11 is shared unevenly
    data__crop_padding=2,
    data__flip=True,
    optim__clip_norm=1.0,
    optim__momentum=0.9,
    optim__weight_decay=1e-3,
    train__ema_decay=0.9,
    train__precision="float32",
    train__processes=2,
    train__eval_batch_size=4,
    telemetry__every_steps=1,
    telemetry__system_seconds=0.1,
)
ENDLESS = RUN.model_copy(update={"train": RUN.train.model_copy(update={"epochs": 100_000})})


class Processes:
    """A launcher and its ranks, with a thread that follows the run's log."""

    def __init__(self, command: tuple[str, ...], config: RunConfig, folder: Path, *more: str) -> None:
        folder.mkdir(exist_ok=True)
        self.runs, self.log = folder / "runs", folder / "said.txt"
        (folder / "preset.toml").write_text(to_toml(config))
        arguments = [str(self.runs)]
        if command is not HOST:
            arguments = ["--runs-dir", str(self.runs), *(more or ("--preset", str(folder / "preset.toml")))]
        with self.log.open("wb") as said:
            self.process = psutil.Popen(
                [sys.executable, *command, *arguments],
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=subprocess.STDOUT,
                env=os.environ
                | {"OMP_NUM_THREADS": "1", "RESNET_TUI_CACHE": str(folder / "cache"), "COLUMNS": "120"},
                start_new_session=True,
            )
        with self.process.stdin as stdin:
            if command is HOST:
                stdin.write(order.encode(config))
        self._reader: EventReader | None = None
        self._ranks: list[psutil.Process] = []

    @property
    def run(self) -> RunDir:
        return find(self.runs, "last")

    def wait_for(self, wanted: Callable[[ev.Event], bool]) -> ev.Event:
        """Return the next such event of the log."""
        until = time.monotonic() + LONGEST
        while True:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, "never came"
            if self._reader is None and any(self.runs.glob("*/events.jsonl")):
                self._reader = EventReader(self.run.events)
            for event in self._reader.read() if self._reader is not None else ():
                if wanted(event):
                    return event
            time.sleep(0.01)

    def until(self, condition: Callable[[], bool]) -> None:
        last = time.monotonic() + LONGEST
        while not condition():
            assert time.monotonic() < last, self.log.read_text()
            time.sleep(0.01)

    def rank(self, number: int) -> psutil.Process:
        self._ranks = self._ranks or [child for child in self.process.children() if is_rank(child)]
        return next(process for process in self._ranks if process.environ()["RANK"] == str(number))

    def ended(self) -> int:
        """Wait for the end and return its status; no rank may be left."""
        status: int = self.process.wait(LONGEST)
        _, left = psutil.wait_procs(self._ranks, timeout=5)
        assert left == []
        return status

    def close(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            self._ranks = self._ranks or self.process.children()
        for process in [self.process, *self._ranks]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Processes]]:
    made: list[Processes] = []

    def start(command: tuple[str, ...], config: RunConfig, *more: str) -> Processes:
        made.append(Processes(command, config, tmp_path, *more))
        return made[-1]

    yield start
    for processes in made:
        processes.close()


def is_rank(process: psutil.Process) -> bool:
    """Not one that the launcher has just forked, or asks something of the machine."""
    with contextlib.suppress(psutil.Error):
        return "RANK" in process.environ()
    return False


def listening(*processes: psutil.Process) -> list[str]:
    """Return the addresses at which ``processes`` can be reached."""
    found = (one for process in processes for one in process.net_connections("inet"))
    return [one.laddr.ip for one in found if one.status == psutil.CONN_LISTEN]


def later_step(after: int = 0) -> Callable[[ev.Event], bool]:
    return lambda event: isinstance(event, ev.Step) and event.step > after


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Processes:
    """``RUN``, which torchrun has trained to its end in two processes."""
    processes = Processes(TORCHRUN, RUN, tmp_path_factory.mktemp("together"))
    assert processes.process.wait(LONGEST) == 0, processes.log.read_text()
    return processes


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """The same in one process that takes each batch in two parts."""
    optim, training = RUN.optim.model_copy(update={"accumulate": 2}), RUN.train.model_copy(update={"processes": 1})
    folder = tmp_path_factory.mktemp("alone")
    train(RUN.model_copy(update={"optim": optim, "train": training}), folder)
    return find(folder, "last")


def test_two_processes_give_the_losses_of_one_that_takes_each_batch_in_two_parts(
    together: Processes, alone: RunDir
) -> None:
    events, expected = list(read_events(together.run.events)), list(read_events(alone.events))
    assert LEGAL_ORDER.fullmatch(letters(events))
    steps, expected_steps = of(events, ev.Step), of(expected, ev.Step)
    assert len(steps) == len(expected_steps) == 10
    for step, other in zip(steps, expected_steps, strict=True):
        assert (step.step, step.images, step.accuracy, step.lr) == (
            other.step,
            other.images,
            other.accuracy,
            other.lr,
        )
        assert math.isclose(step.loss, other.loss, rel_tol=TOLERANCE)
    for norms, other_norms in zip(of(events, ev.GradNorms), of(expected, ev.GradNorms), strict=True):
        assert norms.norms == pytest.approx(other_norms.norms, rel=TOLERANCE)


def test_two_processes_give_the_weights_of_one_that_takes_each_batch_in_two_parts(
    together: Processes, alone: RunDir
) -> None:
    tensors, expected = load_file(together.run.last), load_file(alone.last)
    assert tensors.keys() == expected.keys()
    trained = [name for name in tensors if "running" not in name and "num_batches" not in name]
    assert len(trained) > 40
    for name in trained:
        torch.testing.assert_close(tensors[name], expected[name], rtol=TOLERANCE, atol=TOLERANCE)


def test_two_processes_are_close_to_one_that_takes_each_batch_whole(together: Processes, tmp_path: Path) -> None:
    """Norms see half as many images. Of seeds 0, 1, 2, first losses differ by up to 0.3 %, means by up to 1.7 %.

    Those of two seeds differ by 3 % and more.
    """
    training = RUN.train.model_copy(update={"processes": 1})
    events = train(RUN.model_copy(update={"train": training}), tmp_path)
    whole, halves = (
        [step.loss for step in of(those, ev.Step)] for those in (events, read_events(together.run.events))
    )
    assert len(halves) == len(whole)
    assert halves[0] == pytest.approx(whole[0], rel=0.01)
    assert fmean(halves) == pytest.approx(fmean(whole), rel=0.025)


def test_the_saved_network_is_the_one_that_was_evaluated(together: Processes) -> None:
    """Norm statistics are made equal before, and every rank's counts are in."""
    said = of(read_events(together.run.events), ev.Evaluated)[-1]
    scores, _ = shown(evaluate_run(together.run, RUN, "last", "test"))
    assert said.images == scores.images == 18
    assert said.confusion == scores.confusion
    assert said.loss == pytest.approx(scores.loss, rel=1e-5)


def test_there_is_one_run_and_it_is_told_once(together: Processes) -> None:
    assert len(list(together.runs.iterdir())) == 1
    said = together.log.read_text()
    assert said.count("epoch  train loss") == said.count("completed ") == 1
    assert together.run.config().train.processes == 2
    (started,) = of(read_events(together.run.events), ev.RunStarted)
    assert started.device.endswith(", 2 processes")
    speeds = [event.rank_images_per_second for event in of(read_events(together.run.events), ev.System)]
    assert speeds
    assert all(len(each) == 2 and min(each) >= 0 for each in speeds)
    assert min(speeds[-1]) > 0
    assert "the slowest is rank" in said


def test_one_process_goes_on_with_the_run_of_two(together: Processes) -> None:
    run = find(together.runs, "last")
    training = RUN.train.model_copy(update={"processes": 1, "epochs": 3})
    events = train(RUN.model_copy(update={"train": training}), together.runs, resume=run)
    assert outcome(events).outcome == "completed"
    (started,) = of(events, ev.RunStarted)
    assert started.resumed_at == 10
    assert any("one process instead of 2 processes" in warned.message for warned in of(events, ev.Warned))
    assert [step.step for step in of(events, ev.Step)] == [*range(11, 16)]


def test_messages_reach_all_and_a_killed_rank_ends_the_run_with_a_good_checkpoint(
    started: Callable[..., Processes], tmp_path: Path
) -> None:
    """Begun by one process, resumed by two; one is told what to do, and then the other is killed."""
    training = ENDLESS.train.model_copy(update={"processes": 1, "epochs": 1})
    train(ENDLESS.model_copy(update={"train": training}), tmp_path / "runs")
    more = ("--resume", "last", "--set", "train.processes=2", "--epochs", "100000")
    processes = started(TRAIN, ENDLESS, *more)
    processes.wait_for(later_step(5))
    run, step = processes.run, 0
    for message in (Pause(), Resume(), SetLearningRate(lr=0.001), CheckpointNow()):
        post(run.control, message)
        applied = processes.wait_for(lambda event: isinstance(event, ev.ControlApplied))
        assert isinstance(applied, ev.ControlApplied)
        assert applied.id == message.id
        step = applied.step
    slower = processes.wait_for(later_step(step))
    assert isinstance(slower, ev.Step)
    assert slower.lr == pytest.approx(0.001)

    victim = processes.rank(1)
    began = time.monotonic()
    victim.kill()
    assert processes.ended() == 1
    assert time.monotonic() - began < 20, "seconds, not minutes"
    end = outcome(read_events(run.events))
    assert end.outcome == "failed"
    assert end.reason.startswith(f"rank 1 (process {victim.pid}) was ended by signal 9 (SIGKILL)")
    assert f"saved as of step {end.steps}" in end.reason
    tensors, state = load_checkpoint(run.last)
    assert state.step == end.steps
    assert all(tensor.isfinite().all() for tensor in tensors.values())
    assert "Traceback" not in processes.log.read_text()


@pytest.mark.parametrize("waited_for", [False, True], ids=["at-once", "waited-for"])
def test_a_rank_killed_before_the_run_begins_is_the_reason_for_that(
    started: Callable[..., Processes], waited_for: bool, cases: Cases
) -> None:
    if not waited_for and not cases(0, 1):
        pytest.skip("with --thorough")
    processes = started(TRAIN, ENDLESS)
    processes.until(lambda: sum(map(is_rank, processes.process.children())) == 2)
    writer, victim = processes.rank(0), processes.rank(1)
    victim.suspend()
    if waited_for:
        processes.until(lambda: bool(writer.net_connections("inet")))
    victim.kill()
    assert processes.ended() == 1
    said = processes.log.read_text()
    assert said.splitlines()[-1] == f"error: rank 1 (process {victim.pid}) was ended by signal 9 (SIGKILL)", said
    assert not processes.runs.exists()


def test_nobody_else_reaches_the_ranks_and_a_signal_to_the_launcher_ends_all(
    started: Callable[..., Processes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the dashboard starts it, where others listen elsewhere; with status 128 + 15, and everything saved."""
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth0")
    processes = started(HOST, ENDLESS)
    processes.wait_for(later_step(3))
    addresses = listening(processes.process, processes.rank(0), processes.rank(1))
    assert len(addresses) >= 3, "the store's, and one a rank"
    assert set(addresses) == {"127.0.0.1"}
    processes.process.send_signal(signal.SIGTERM)
    assert processes.ended() == 128 + signal.SIGTERM
    end = outcome(read_events(processes.run.events))
    assert (end.outcome, end.reason) == ("stopped", f"stopped at step {end.steps} by signal SIGTERM")
    assert load_checkpoint(processes.run.last)[1].step == end.steps
    said = processes.log.read_text().splitlines()
    assert [line for line in said if '"run_dir"' in line] == said[-1:], "and nothing after it"


def test_more_gpus_than_there_are_is_one_message(tmp_path: Path) -> None:
    if torch.cuda.device_count() > 40:
        pytest.skip("there are")
    result = run_cli("train", "--headless", "--gpus", "41", "--batch-size", "128", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert "error: train.processes = 41 (--gpus): this machine has" in result.stderr
    assert not (tmp_path / "runs").exists()


def test_a_thread_does_not_train_alone_what_several_were_to_train() -> None:
    with pytest.raises(UserError, match=r"train\.processes = 2, and 1 train this run"):
        train(RUN)
