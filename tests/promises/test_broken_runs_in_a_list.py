"""One broken run never hides others: it is listed with its reason, and the others as if it were not there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from made_run import MadeRun
from runs_support import keep

from engine import run_dir
from engine.run_dir import RunDir
from resnet_tui.run.kept_entries import entries
from resnet_tui.run.listing import RunList, read

if TYPE_CHECKING:
    from support import Cases


def config_damaged(run: RunDir) -> None:
    run.config_file.write_bytes(b"[model\n\xff")


def config_deep(run: RunDir) -> None:
    run.config_file.write_text("x = " + "[" * 100_000)


def config_is_a_loop(run: RunDir) -> None:
    run.config_file.unlink()
    run.config_file.symlink_to(run.config_file)


def config_unknown(run: RunDir) -> None:
    run.config_file.write_text('[model]\narch = "from another version"\n')


def config_endless(run: RunDir) -> None:
    with run.config_file.open("r+b") as file:
        file.truncate(1 << 30)


def log_damaged(run: RunDir) -> None:
    run.events.write_bytes(b"\xff\x00\n" * 1000)


def log_is_a_folder(run: RunDir) -> None:
    run.events.unlink()
    run.events.mkdir()


def log_is_a_loop(run: RunDir) -> None:
    run.events.unlink()
    run.events.symlink_to(run.events)


def lock_is_a_folder(run: RunDir) -> None:
    (run.path / "lock").mkdir()
    log_damaged(run)


def log_absurd(run: RunDir) -> None:
    run.events.write_bytes(run.events.read_bytes().replace(b'"time":1000', b'"time":-1000'))


BROKEN: dict[Callable[[RunDir], None], str] = {
    config_damaged: "config.toml",
    config_deep: "config.toml",
    config_is_a_loop: "config.toml",
    config_unknown: "model.arch",
    config_endless: "config.toml",
    log_damaged: "not one of its 1000 lines is an event",
    log_is_a_folder: "Is a directory",
    log_is_a_loop: "symbolic links",
    lock_is_a_folder: "not one of its 1000 lines is an event",
    log_absurd: "not one of its 9 lines is an event",
}
"""What breaks a run, and what the list says of it."""


def not_a_run(runs: Path) -> None:
    """Put beside the runs what is none."""
    (runs / "empty folder").mkdir()
    (runs / "a file").write_text("config.toml")
    (runs / "dangling").symlink_to(runs / "gone")
    (runs / "loop").symlink_to(runs / "loop")
    os.mkfifo(runs / "fifo")


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes")
def test_a_broken_run_is_listed_with_its_reason_and_hides_no_other(
    tmp_path: Path, figure: Callable[[str], None]
) -> None:
    runs = tmp_path / "runs"
    sound = [keep(runs, f"{place}-sound", MadeRun(2).whole([0.5, 0.6])) for place in ("0", "m", "z")]
    expected = {run.name: "completed" for run in sound}
    for break_it in BROKEN:
        break_it(keep(runs, break_it.__name__, MadeRun(2).whole([0.5, 0.6])))
        expected[break_it.__name__] = "damaged"
    not_a_run(runs)
    shown = {entry.name: entry for entry in entries(runs)}
    on_screen = {listed.entry.name: listed for scan in RunList(runs).scan() for listed in scan.changed}
    assert {name: entry.state for name, entry in shown.items()} == expected
    assert {name: listed.entry for name, listed in on_screen.items()} == shown
    for break_it, reason in BROKEN.items():
        assert reason in shown[break_it.__name__].reason, shown[break_it.__name__]
    figure(f"{len(BROKEN)} kinds of broken runs, each listed with its reason; the runs between them all there")


LIST = """
import os
from pathlib import Path
from resnet_tui.run.listing import RunList
list(RunList(Path()).scan())  # so that all modules are there, which another user may not read
if os.getuid() == 0:
    os.setuid(65534)
listed = [one.entry for scan in RunList(Path()).scan() for one in scan.changed]
print(sorted((entry.name, entry.state, entry.reason) for entry in listed))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="permissions")
def test_a_run_whose_folder_may_not_be_looked_into_hides_no_other(tmp_path: Path) -> None:
    """As another user sees it, where this is an administrator, whom no permission keeps out."""
    runs = tmp_path / "runs"
    keep(runs, "sound", MadeRun(1).whole([0.5]))
    closed = keep(runs, "unreadable", MadeRun(1).whole([0.5]))
    closed.path.chmod(0)
    try:
        listed = subprocess.run([sys.executable, "-c", LIST], cwd=runs, capture_output=True, text=True, check=True)
    finally:
        closed.path.chmod(0o755)
    assert "('sound', 'completed', " in listed.stdout
    assert "('unreadable', 'damaged', " in listed.stdout
    assert "ermission denied" in listed.stdout


def test_runs_that_are_deleted_while_they_are_listed_hide_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cases: Cases, figure: Callable[[str], None]
) -> None:
    """Delete another run, its log or its configuration at each moment between two reads."""
    whole = tmp_path / "whole"
    names = [f"{number}" for number in range(6)]
    for name in names:
        keep(whole, name, MadeRun(1).whole([0.5]))
    listed, iterate = 0, run_dir.iterate
    for number, what in enumerate((lambda run: run.path, lambda run: run.events, lambda run: run.config_file)):
        for moment in range(len(names) + 1):
            runs = tmp_path / f"{number}-{moment}"
            shutil.copytree(whole, runs)
            victim, left = RunDir(runs / "3"), moment

            def delete(run: RunDir, what: Callable[[RunDir], Path] = what, victim: RunDir = victim) -> None:
                nonlocal left
                if not left:
                    path = what(victim)
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
                left -= 1

            def reading(run: RunDir, delete: Callable[[RunDir], None] = delete) -> object:
                delete(run)
                return read(run)

            monkeypatch.setattr("resnet_tui.run.listing.read", reading)
            shown = {one.entry.name: one.entry.state for scan in RunList(runs).scan() for one in scan.changed}
            assert set(names) - {"3"} <= set(shown) <= set(names)
            assert all(state == "completed" for name, state in shown.items() if name != "3")
            listed += 1
    assert iterate is run_dir.iterate
    figure(f"{listed} lists of runs, one of which vanished meanwhile: the others are always there")


def test_a_folder_of_runs_that_vanishes_while_it_is_listed_is_no_error(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    keep(runs, "a", MadeRun(1).whole([0.5]))
    found = run_dir.iterate(runs)
    shutil.rmtree(runs)
    assert list(found) == []
