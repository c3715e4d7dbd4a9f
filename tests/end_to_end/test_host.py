"""The process that a run lives in: signals, messages from other processes, exit statuses."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from support import LEGAL_ORDER, Cli, Recorder, letters, of, outcome, tiny

import engine
from engine import events as ev
from engine import order, run_dir
from engine.config import RunConfig
from engine.control import Control, Pause, Resume, StopNow, post
from engine.event_log import EventReader, read_events
from engine.host import run_in_foreground
from engine.run_dir import RunDir

LONG = {"train__epochs": 100_000, "telemetry__every_steps": 1}


class Host:
    """``python -m engine.host`` in a process of its own: what it says, and the run's events as they are written."""

    def __init__(self, config: RunConfig, folder: Path) -> None:
        self.runs = folder / "runs"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "engine.host", str(self.runs)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        assert self.process.stdin is not None
        with self.process.stdin as stdin:
            stdin.write(order.encode(config))
        self.said: list[dict[str, Any]] = []
        self.recorder = Recorder()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(json.loads(line))
        log = EventReader(RunDir(Path(self.said[-1]["path"])).events)
        ended = False
        while not ended:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=0.02)
                ended = True
            for event in log.read():
                self.recorder.emit(event)

    def wait_for_step(self, step: int) -> RunDir:
        self.recorder.wait_for(lambda e: isinstance(e, ev.Step) and e.step >= step)
        return run_dir.find(self.runs, "last")

    def exit_status(self) -> int:
        status = self.process.wait(timeout=60)
        self._reader.join()
        return status


WHOLE = tiny(telemetry__every_steps=1, data__flip=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """A process that has trained ``WHOLE`` to its end."""
    host = Host(WHOLE, tmp_path_factory.mktemp("finished"))
    assert host.exit_status() == 0
    return host


def test_it_tells_of_progress_and_of_its_folder_and_then_only_the_folder_tells(finished: Host) -> None:
    assert finished.process.stderr is not None
    assert finished.process.stderr.read() == b""
    *progress, last = finished.said
    assert progress
    assert {line["kind"] for line in progress} == {"progress"}
    (run,) = run_dir.iterate(finished.runs)
    assert last == {"kind": "run_dir", "path": str(run.path)}
    assert LEGAL_ORDER.fullmatch(letters(finished.recorder.events))
    kinds = [json.loads(line)["kind"] for line in run.events.read_bytes().splitlines()]
    assert (kinds[0], kinds[-1]) == ("run_started", "run_finished"), "the log is one JSON object a line"


def test_thread_and_host_give_the_same_losses(finished: Host) -> None:
    recorder = Recorder()
    engine.start(WHOLE, sinks=[recorder]).result()
    here = [(e.step, e.loss) for e in of(recorder.events, ev.Step)]
    there = [(e.step, e.loss) for e in of(finished.recorder.events, ev.Step)]
    assert len(here) == 10
    assert here == there


@pytest.mark.parametrize(("epochs", "status", "said"), [(2, 2, "is complete (2 epochs)"), (3, 0, "")])
def test_a_run_is_resumed_where_something_is_left_to_do(
    finished: Host, tmp_path: Path, epochs: int, status: int, said: str
) -> None:
    (whole,) = run_dir.iterate(finished.runs)
    run = RunDir(tmp_path / "runs" / "again")
    shutil.copytree(whole.path, run.path)
    more = subprocess.run(
        [sys.executable, "-m", "engine.host", str(tmp_path / "runs")],
        input=order.encode(
            WHOLE.model_copy(update={"train": WHOLE.train.model_copy(update={"epochs": epochs})}), run
        ),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert more.returncode == status
    assert said in more.stderr.decode()
    assert outcome(read_events(run.events)).epochs == epochs


NOISY = """
import os, subprocess, sys, warnings
from engine import host, run_dir
warnings.simplefilter("always")
beat = run_dir.RunDir.beat
def noisy(self):
    beat(self)
    print("a stray print é")
    print("a stray complaint", file=sys.stderr)
    warnings.warn("a stray warning")
    os.write(1, b"a library's print\\n")
    subprocess.run([sys.executable, "-c", "print('from a worker')"])
run_dir.RunDir.beat = noisy
sys.exit(host.main())
"""


def test_what_anything_prints_while_the_run_goes_on_is_in_its_log(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", NOISY, str(tmp_path / "runs")],
        input=order.encode(tiny()),
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert json.loads(result.stdout.splitlines()[-1])["kind"] == "run_dir"
    assert b"stray" not in result.stdout, "what is printed earlier does not mix with what is told"
    (run,) = run_dir.iterate(tmp_path / "runs")
    log = run.log.read_text(encoding="utf-8").splitlines()
    expected = ("a stray print é", "a stray complaint", "a library's print", "from a worker")
    assert [line for line in expected if line not in log] == []
    assert any("a stray warning" in line for line in log)
    assert any("best accuracy" in line for line in log), "and what the run says itself"


@pytest.mark.parametrize(
    ("number", "settings"),
    [
        (signal.SIGINT, {"data__residence": "stream", "data__workers": 2}),
        (signal.SIGTERM, {"data__residence": "stream", "data__workers": 2}),
        (signal.SIGHUP, {}),
    ],
)
def test_a_signal_to_the_whole_group_saves_a_checkpoint_and_ends_the_run(
    tmp_path: Path, number: signal.Signals, settings: dict[str, Any]
) -> None:
    """As a terminal sends it: the workers, who are in the group as well, must not end before the run has."""
    host = Host(tiny(**LONG, **settings), tmp_path)
    run = host.wait_for_step(3)
    assert run.is_alive()
    os.killpg(host.process.pid, number)
    assert host.exit_status() == 128 + number
    logged = list(read_events(run.events))
    end = logged[-1]
    assert isinstance(end, ev.RunFinished)
    assert end.outcome == "stopped", end.reason
    assert number.name in end.reason
    assert of(logged, ev.CheckpointSaved)[-1].step == end.steps
    assert run.last.exists()
    assert not run.is_alive()


def test_a_killed_run_is_seen_as_dead_and_can_be_resumed(tmp_path: Path) -> None:
    config = tiny(train__epochs=100_000)
    host = Host(config, tmp_path)
    run = host.wait_for_step(12)
    host.process.kill()
    host.exit_status()
    assert not run.is_alive()
    assert not of(read_events(run.events), ev.RunFinished)
    from engine.checkpoint import load_checkpoint

    _, state = load_checkpoint(run.last)
    assert state.step >= 10, "two epochs were finished"


def test_messages_from_another_process_are_obeyed_and_recorded(tmp_path: Path) -> None:
    host = Host(tiny(**LONG), tmp_path)
    run = host.wait_for_step(1)

    def applied(command: str) -> None:
        host.recorder.wait_for(lambda e: isinstance(e, ev.ControlApplied) and e.command == command)

    with run.control.open("a") as file:
        file.write('{"command": "set_learning_rate", "lr": -1}\nnot json\n')
    pause = Pause(source="viewer")
    post(run.control, pause)
    applied("pause")
    post(run.control, Resume(source="viewer"))
    applied("resume")
    post(run.control, StopNow(source="viewer"))
    assert host.exit_status() == 0
    recorded = of(read_events(run.events), ev.ControlApplied)
    assert [e.command for e in recorded] == ["pause", "resume", "stop_now"]
    assert recorded[0].id == pause.id
    assert {e.source for e in recorded} == {"viewer"}


def test_a_message_to_a_run_that_is_resumed_counts_while_its_data_is_made_ready(
    finished: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is alive by then, so whoever looks at it can stop it."""
    (whole,) = run_dir.iterate(finished.runs)
    run = RunDir(tmp_path / "runs" / "again")
    shutil.copytree(whole.path, run.path)
    before = run.events.read_bytes()
    passed_on = threading.Event()
    send = Control.send

    def sending(control: Control, message: Any) -> None:
        send(control, message)
        passed_on.set()

    class Stops:
        def emit(self, event: ev.Event) -> None:
            assert isinstance(event, ev.Progress), "it trains"
            if not passed_on.is_set():
                assert run.is_alive()
                post(run.control, StopNow(source="test"))
                assert passed_on.wait(10)

        def close(self) -> None:
            pass

    monkeypatch.setattr(Control, "send", sending)
    more = WHOLE.model_copy(update={"train": WHOLE.train.model_copy(update={"epochs": 3})})
    assert run_in_foreground(more, runs=run.path.parent, resume=run, sinks=[Stops()]) == 0
    assert run.events.read_bytes() == before
    assert not run.is_alive()


def test_a_closed_pipe_does_not_end_the_run(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    read, write = os.pipe()
    process = subprocess.Popen([sys.executable, "-m", "engine.host", str(runs)], stdin=subprocess.PIPE, stdout=write)
    assert process.stdin is not None
    with process.stdin as stdin:
        stdin.write(order.encode(tiny(train__epochs=3)))
    os.close(write)
    os.close(read)
    assert process.wait(timeout=60) == 0
    end = list(read_events(run_dir.find(runs, "last").events))[-1]
    assert isinstance(end, ev.RunFinished)
    assert end.outcome == "completed"


def test_nothing_that_others_do_ends_a_run(cli: Cli, tmp_path: Path) -> None:
    """A signal that was ignored at the start, as under ``nohup``; a second writer; a spoilt control file."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        host = Host(tiny(**LONG), tmp_path)
    finally:
        signal.signal(signal.SIGHUP, before)
    run = host.wait_for_step(6)  # the first epoch has been saved
    host.process.send_signal(signal.SIGHUP)
    result = cli("train", "--headless", "--resume", str(run.path))
    assert result.returncode == 2
    assert "is being trained by another process" in result.stderr
    run.control.mkdir()
    seen = max(e.step for e in of(host.recorder.events, ev.Step))
    host.wait_for_step(seen + 20)
    host.process.send_signal(signal.SIGTERM)
    assert host.exit_status() == 128 + signal.SIGTERM
