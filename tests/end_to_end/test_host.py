"""The process that a run lives in: signals, messages from other processes, exit statuses."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from support import LEGAL_ORDER, Recorder, letters, of, outcome, tiny

import engine
from engine import events as ev
from engine import run_dir
from engine.config import RunConfig
from engine.config_file import to_toml
from engine.control import Pause, Resume, StopNow, post
from engine.event_log import EventReader, read_events
from engine.run_dir import RunDir

LONG = {"train__epochs": 100_000, "telemetry__every_steps": 1}


class Host:
    """``python -m engine.host`` in a process of its own: what it says, and the run's events as they are written."""

    def __init__(self, config: RunConfig, folder: Path) -> None:
        file = folder / "config.toml"
        file.write_text(to_toml(config))
        self.runs = folder / "runs"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "engine.host", str(file), "--runs-dir", str(self.runs)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
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


def test_it_tells_of_progress_and_of_its_folder_and_then_only_the_folder_tells(tmp_path: Path) -> None:
    host = Host(tiny(), tmp_path)
    assert host.exit_status() == 0
    assert host.process.stderr is not None
    assert host.process.stderr.read() == b""
    *progress, last = host.said
    assert progress
    assert {line["kind"] for line in progress} == {"progress"}
    (run,) = run_dir.iterate(host.runs)
    assert last == {"kind": "run_dir", "path": str(run.path)}
    assert LEGAL_ORDER.fullmatch(letters(host.recorder.events))


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
    file = tmp_path / "config.toml"
    file.write_text(to_toml(tiny()))
    result = subprocess.run(
        [sys.executable, "-c", NOISY, str(file), "--runs-dir", str(tmp_path / "runs")],
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


@pytest.mark.parametrize(("epochs", "status", "said"), [(2, 2, "is complete (2 epochs)"), (3, 0, "")])
def test_a_run_is_resumed_where_something_is_left_to_do(tmp_path: Path, epochs: int, status: int, said: str) -> None:
    host = Host(tiny(), tmp_path)
    host.exit_status()
    (run,) = run_dir.iterate(host.runs)
    more = subprocess.run(
        [sys.executable, "-m", "engine.host", "-", "--runs-dir", str(host.runs), "--resume", str(run.path)],
        input=to_toml(tiny(train__epochs=epochs)).encode(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert more.returncode == status
    assert said in more.stderr.decode()
    assert outcome(read_events(run.events)).epochs == epochs


def test_thread_and_host_give_the_same_losses(tmp_path: Path) -> None:
    config = tiny(telemetry__every_steps=1, data__flip=True)
    host = Host(config, tmp_path)
    recorder = Recorder()
    engine.start(config, sinks=[recorder]).result()
    assert host.exit_status() == 0
    here = [(e.step, e.loss) for e in of(recorder.events, ev.Step)]
    there = [(e.step, e.loss) for e in of(host.recorder.events, ev.Step)]
    assert len(here) == 10
    assert here == there


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves_a_checkpoint_and_ends_the_run(tmp_path: Path, number: signal.Signals) -> None:
    host = Host(tiny(**LONG), tmp_path)
    run = host.wait_for_step(3)
    assert run.is_alive()
    host.process.send_signal(number)
    assert host.exit_status() == 128 + number
    logged = list(read_events(run.events))
    end = logged[-1]
    assert isinstance(end, ev.RunFinished)
    assert end.outcome == "stopped"
    assert number.name in end.reason
    assert of(logged, ev.CheckpointSaved)[-1].step == end.steps
    assert run.last.exists()
    assert not run.is_alive()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_spares_the_workers(tmp_path: Path, number: signal.Signals) -> None:
    host = Host(tiny(**LONG, data__residence="stream", data__workers=2), tmp_path)
    run = host.wait_for_step(3)
    os.killpg(host.process.pid, number)
    assert host.exit_status() == 128 + number
    end = list(read_events(run.events))[-1]
    assert isinstance(end, ev.RunFinished)
    assert end.outcome == "stopped", end.reason
    assert run.last.exists()


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


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    host = Host(tiny(**LONG), tmp_path)
    run = host.wait_for_step(6)
    result = subprocess.run(
        [sys.executable, "-m", "resnet_tui", "train", "--headless", "--resume", str(run.path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 2
    assert "is being trained by another process" in result.stderr
    host.process.send_signal(signal.SIGTERM)
    assert host.exit_status() == 128 + signal.SIGTERM


def test_a_closed_pipe_does_not_end_the_run(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(to_toml(tiny(train__epochs=3)))
    runs = tmp_path / "runs"
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "engine.host", str(file), "--runs-dir", str(runs)], stdout=write
    )
    os.close(write)
    os.close(read)
    assert process.wait(timeout=60) == 0
    end = list(read_events(run_dir.find(runs, "last").events))[-1]
    assert isinstance(end, ev.RunFinished)
    assert end.outcome == "completed"


def test_the_log_is_one_json_object_a_line(tmp_path: Path) -> None:
    host = Host(tiny(), tmp_path)
    assert host.exit_status() == 0
    run = run_dir.find(host.runs, "last")
    kinds = [json.loads(line)["kind"] for line in run.events.read_bytes().splitlines()]
    assert (kinds[0], kinds[-1]) == ("run_started", "run_finished")


def test_a_signal_that_was_ignored_at_the_start_stays_ignored(tmp_path: Path) -> None:
    """As under ``nohup``."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        host = Host(tiny(**LONG), tmp_path)
    finally:
        signal.signal(signal.SIGHUP, before)
    host.wait_for_step(2)
    host.process.send_signal(signal.SIGHUP)
    seen = max(e.step for e in of(host.recorder.events, ev.Step))
    host.wait_for_step(seen + 20)
    host.process.send_signal(signal.SIGTERM)
    assert host.exit_status() == 128 + signal.SIGTERM


def test_an_unreadable_control_file_does_not_end_the_run(tmp_path: Path) -> None:
    host = Host(tiny(**LONG), tmp_path)
    run = host.wait_for_step(2)
    run.control.mkdir()
    seen = max(e.step for e in of(host.recorder.events, ev.Step))
    host.wait_for_step(seen + 20)
    host.process.send_signal(signal.SIGTERM)
    assert host.exit_status() == 128 + signal.SIGTERM
