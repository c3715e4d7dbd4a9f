"""A full disk, or writes that fail, pause the run with a clear message; good data survives; it goes on by itself."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from saving_support import Background, digests, in_a_process, only_run
from support import of, tiny
from terminal_support import resnet_tui

from engine.checkpoint import load_checkpoint
from engine.config_file import to_toml
from engine.event_log import EventReader
from engine.events import CheckpointSaved, Event, RunFinished, Step, Warned
from engine.run_dir import RunDir
from engine.summary import read_summary

if TYPE_CHECKING:
    from support import Cases

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="tmpfs, and limits of another process")
EVERY = 2
"""Steps between two checkpoints."""
STEPS = 15


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[str, ...], dict[int, float]]:
    """The hashes of the checkpoints and the losses of a run that had room all the time."""
    folder = tmp_path_factory.mktemp("alone")
    assert in_a_process(folder, EVERY) == 0
    return digests(only_run(folder)), losses(only_run(folder))


def losses(run: RunDir) -> dict[int, float]:
    return {event.step: event.loss for event in of(EventReader(run.events).read(), Step)}


def wait_for(wanted: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not wanted():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def assert_paused(run: RunDir, process: Background, reason: str) -> float:
    """Wait until the run says that it waits; return how long that took. What it had must be whole."""
    began = time.monotonic()
    wait_for(lambda: bool(run.trouble()) or not process.is_alive(), "it does not say that it waits")
    seconds = time.monotonic() - began
    assert process.is_alive(), "it ended instead of waiting"
    said = run.trouble()
    assert reason in said, said
    assert "cannot be written" in said
    assert run.is_alive()
    assert_whole(run)
    return seconds


def assert_whole(run: RunDir) -> None:
    """Every checkpoint that the log tells of is good, and no line of the log is damaged."""
    reader = EventReader(run.events)
    saved = of(list[Event](reader.read()), CheckpointSaved)
    assert not reader.damaged
    if saved:
        newest = max(load_checkpoint(path)[1].step for path in (run.last, run.previous) if path.exists())
        assert newest >= saved[-1].step


def assert_the_same(run: RunDir, left_alone: tuple[tuple[str, ...], dict[int, float]]) -> None:
    """The run ended as if nothing had been, and its log says what it waited for."""
    reader = EventReader(run.events)
    events = list(reader.read())
    assert not reader.damaged
    assert of(events, RunFinished)[-1].outcome == "completed"
    assert any("waited" in event.message for event in of(events, Warned))
    assert (digests(run), losses(run)) == left_alone
    assert len(read_summary(run.events).rows) == len(run.metrics.read_text().splitlines()) - 1 == 3
    assert not run.trouble()
    assert [event.seq for event in events] == list(range(len(events)))


# Faulted calls ----------------------------------------------------------------------------------------------------

CALLS = ("open", "write", "write the second half", "flush", "sync", "rename to last.safetensors", "sync the log")


def test_a_call_that_fails_until_there_is_room_pauses_the_run_and_changes_nothing(
    tmp_path: Path,
    left_alone: tuple[tuple[str, ...], dict[int, float]],
    cases: Cases,
    figure: Callable[[str], None],
) -> None:
    # A run that has not begun ends at once, and says why: before the first save, the configuration is synced.
    every = [(call, nth) for nth in (3, 1, 5, 8) for call in CALLS if (call, nth) != ("sync the log", 1)]
    slowest, chosen = 0.0, every[: cases(3, 27)]
    for call, nth in chosen:
        folder = tmp_path / f"{call}-{nth}"
        full = folder / "full"
        with Background(folder, EVERY, refuse=call, nth=nth) as process:
            run = process.run_dir()
            slowest = max(slowest, assert_paused(run, process, "No space left on device"))
            full.unlink()
            assert process.status() == 0
        assert_the_same(run, left_alone)
    figure(f"{len(chosen)} of {len(chosen)} runs waited for a call that failed and ended with the same hashes")


def test_a_stop_ends_the_waiting_and_the_run_can_be_resumed(
    tmp_path: Path, left_alone: tuple[tuple[str, ...], dict[int, float]], figure: Callable[[str], None]
) -> None:
    with Background(tmp_path / "a", EVERY, refuse="sync", nth=4) as process:
        run = process.run_dir()
        assert_paused(run, process, "No space left on device")
        began = time.monotonic()
        process.send(signal.SIGTERM)
        assert process.status() == 1, "nothing could be saved"
        seconds = time.monotonic() - began
    assert_whole(run)
    assert not run.is_alive()
    (tmp_path / "a" / "full").unlink()
    assert in_a_process(tmp_path / "a", EVERY) == 0
    assert (digests(run), losses(run)) == left_alone
    figure(f"a run that waited ended {seconds:.1f} s after SIGTERM and was resumed to the same hashes")


# The real thing ---------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for a little more than the checkpoints of one run."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no right to mount a file system")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_pauses_the_run_until_there_is_room(
    small_disk: Path, left_alone: tuple[tuple[str, ...], dict[int, float]], figure: Callable[[str], None]
) -> None:
    with Background(small_disk, EVERY, hold_at=EVERY + 1) as process:
        run = process.run_dir()
        wait_for(lambda: run.last.exists(), "no checkpoint came")
        ballast = small_disk / "ballast"
        fill(ballast)
        process.go_on()
        seconds = assert_paused(run, process, "No space left on device")
        ballast.unlink()
        assert process.status() == 0
    assert_the_same(run, left_alone)
    figure(f"a full tmpfs was told of after {seconds:.1f} s; with room again the run ended with the same hashes")


def fill(path: Path) -> None:
    """Fill the disk to its last byte."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass


def test_a_file_that_may_not_grow_pauses_the_run_until_it_may(
    tmp_path: Path, left_alone: tuple[tuple[str, ...], dict[int, float]], figure: Callable[[str], None]
) -> None:
    with Background(tmp_path, EVERY, hold_at=EVERY + 1) as process:
        run = process.run_dir()
        wait_for(lambda: run.last.exists(), "no checkpoint came")
        limit = partial(psutil.Process(process.pid).rlimit, psutil.RLIMIT_FSIZE)
        limit((run.last.stat().st_size // 2, resource.RLIM_INFINITY))
        process.go_on()
        seconds = assert_paused(run, process, "File too large")
        limit((resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert process.status() == 0
    assert_the_same(run, left_alone)
    figure(f"a file size limit was told of after {seconds:.1f} s; without it the run ended with the same hashes")


# What only shows the run ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("flag", "to"), [("--json", ">/dev/full"), ("--json", ">&-"), ("--headless", ">/dev/full")])
def test_a_run_ends_well_whatever_becomes_of_what_shows_it(tmp_path: Path, flag: str, to: str) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    preset = tmp_path / "preset.toml"
    preset.write_text(to_toml(tiny()))
    command = resnet_tui("train", flag, "--preset", str(preset), "--runs-dir", str(tmp_path / "runs"))
    shown = subprocess.run(["sh", "-c", f'exec "$@" {to}', "sh", *command], stderr=subprocess.PIPE, text=True)
    assert shown.returncode == 0, shown.stderr
    assert shown.stderr.count("No space left on device") == ("full" in to), shown.stderr
    run = only_run(tmp_path)
    assert_whole(run)
    assert of(EventReader(run.events).read(), RunFinished)[-1].outcome == "completed"
