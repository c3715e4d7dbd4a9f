"""A dashboard that is killed, closed or quit harms no run; a run that is killed takes no dashboard with it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil
from slow_disk import SlowDisk
from support import Cases, tiny, train
from terminal_support import Terminal, resnet_tui

from engine.config import RunConfig
from engine.config_file import to_toml
from engine.run_difference import difference, digest
from engine.run_dir import RunDir, iterate

LOST_WITHIN = 5.0
"""Seconds until a dashboard says that its run is lost."""

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["engine.loop", "engine.host", "torch._dynamo"])  # torch, once for all


def slow_run(folder: Path, epochs: int, seconds: float) -> tuple[RunConfig, Path, SlowDisk]:
    """Return a run of many short epochs, as a preset, too, and the disk on which each takes ``seconds``."""
    config = tiny(train__epochs=epochs, telemetry__every_steps=1)
    preset = folder / "many-steps.toml"
    preset.write_text(to_toml(config))
    return config, preset, SlowDisk(folder / "disk", seconds)


def left_alone(config: RunConfig, folder: Path) -> RunDir:
    """Train the same run with nobody looking on."""
    train(config, folder / "alone")
    (run,) = iterate(folder / "alone")
    return run


def wait_until(wanted: Callable[[], object], timeout: float = 120) -> None:
    deadline = time.monotonic() + timeout
    while not wanted():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def kill(terminal: Terminal) -> None:
    os.kill(terminal.dashboard(), signal.SIGKILL)
    assert terminal.wait_end() == 128 + signal.SIGKILL


def crash(terminal: Terminal) -> None:
    os.kill(terminal.dashboard(), signal.SIGSEGV)
    assert terminal.wait_end() == 128 + signal.SIGSEGV


def close_terminal(terminal: Terminal) -> None:
    """Close the window; nothing of the dashboard may stay."""
    dashboard = psutil.Process(terminal.dashboard())
    terminal.hang_up()
    terminal.status = os.waitstatus_to_exitcode(os.waitpid(terminal.pid, 0)[1])
    with contextlib.suppress(psutil.NoSuchProcess):
        dashboard.wait(timeout=10)


def quit_by_key(terminal: Terminal) -> None:
    terminal.press("q")
    terminal.wait_for(b"Leave it running")
    terminal.press("l")
    assert terminal.wait_end() == 0


def test_training_never_notices_what_becomes_of_dashboards(
    tmp_path: Path, cases: Cases, figure: Callable[[str], None]
) -> None:
    rounds = cases(4, 50)
    chance = random.Random(6)
    config, preset, disk = slow_run(tmp_path, epochs=8 * rounds, seconds=1.0)
    commands = [["train", "--preset", str(preset)], *[["watch", "last"]] * rounds]  # the last of them sees the end
    for number, command in enumerate(commands):
        way = (kill, crash, close_terminal, quit_by_key)[number % 4]
        with Terminal(
            resnet_tui(*command), cwd=tmp_path, settings=tmp_path / "config", environment=disk.environment
        ) as terminal:
            terminal.wait_for(b"training", timeout=60)
            (run,) = iterate(tmp_path / "runs")
            if number == rounds:
                disk.take(0)
                terminal.wait_for(b"completed", timeout=600)
                break
            terminal.read(chance.uniform(0, 0.3))
            way(terminal)
        assert run.is_alive(), way
    wait_until(lambda: not run.is_alive())
    alone = left_alone(config, tmp_path)
    assert difference(alone, run) == ""
    figure(f"{rounds} of {rounds} dashboards ended, weights {digest(run)[:12]} as of a run left alone")


def resume(disk: SlowDisk, *arguments: str) -> None:
    """Be ``resnet-tui`` with ``arguments``, on a slow disk, in a process that has torch in memory already."""
    disk.here()
    sys.argv = ["resnet-tui", *arguments]
    from resnet_tui.start import main

    main()


def begin(disk: SlowDisk, folder: Path, *arguments: str) -> BaseProcess:
    """Train headless in a process of its own."""
    options = ("--headless", "--runs-dir", str(folder / "runs"))
    process = _processes.Process(target=resume, args=(disk, "train", *arguments, *options), daemon=True)
    process.start()
    return process


def test_a_dashboard_outlives_what_becomes_of_its_run(
    tmp_path: Path, cases: Cases, figure: Callable[[str], None]
) -> None:
    rounds = cases(4, 50)
    chance = random.Random(6)
    config, preset, disk = slow_run(tmp_path, epochs=12 * rounds, seconds=1.0)
    engine = begin(disk, tmp_path, "--preset", str(preset))
    wait_until(lambda: any(run.last.exists() for run in iterate(tmp_path / "runs")))
    (run,) = iterate(tmp_path / "runs")
    slowest, since = 0.0, 0
    with Terminal(resnet_tui("watch", str(run.path)), cwd=tmp_path, settings=tmp_path / "config") as terminal:
        for number in range(rounds):
            terminal.wait_for(b"training", timeout=60, since=since)
            saved = run.last.stat().st_mtime_ns
            wait_until(lambda saved=saved: run.last.stat().st_mtime_ns > saved)  # type: ignore[misc]
            terminal.read(chance.uniform(0, 0.3))
            assert engine.pid is not None
            since = len(terminal.output)
            os.kill(engine.pid, (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT)[number % 3])
            killed = time.monotonic()
            terminal.wait_for(b"lost", timeout=LOST_WITHIN, since=since)
            slowest = max(slowest, time.monotonic() - killed)
            engine.join()
            assert run.last.exists()
            since = len(terminal.output)
            engine = begin(disk, tmp_path, "--resume", str(run.path))
        terminal.wait_for(b"training", timeout=60, since=since)
        disk.take(0)
        terminal.wait_for(b"completed", timeout=600, since=since)
        terminal.press("q")
        assert terminal.wait_end() == 0
    engine.join()
    assert engine.exitcode == 0
    alone = left_alone(config, tmp_path)
    assert difference(alone, run) == ""
    told = f"{rounds} of {rounds} engines killed, told of within {slowest:.1f} s"
    figure(f"{told}, weights {digest(run)[:12]} as of a run left alone")
