"""The list of runs from what is kept of an earlier one: the same as if every log had been read."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from made_run import MadeRun
from runs_support import HOSTILE, keep

from engine import run_dir
from engine.run_dir import RunDir
from resnet_tui.run import kept_entries
from resnet_tui.run.kept_entries import entries
from resnet_tui.run.listing import Entry, read


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs that ended in every way there is; each log is worth keeping what was read of it."""
    monkeypatch.setenv("RESNET_TUI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(kept_entries, "_WORTH_KEEPING", 1)
    runs = tmp_path / "runs"
    for outcome in ("completed", "stopped", "failed", "diverged"):
        made = MadeRun(2, val=True)
        keep(runs, outcome, [*made.begin(), *made.epoch(1), *made.end_epoch(1, 0.5), made.finish(outcome, HOSTILE)])
    keep(runs, "lost", [*made.begin(), *made.epoch(1)])
    keep(runs, "undefined", MadeRun(2).whole([0.5, float("nan")]))
    keep(runs, "dam aged", MadeRun(1).whole([0.5])).events.write_bytes(b"\xff\n")
    keep(runs, f"odd{HOSTILE.replace('/', '')}", MadeRun(1).whole([0.5]))
    keep(runs, "empty", [])
    return runs


@pytest.fixture
def logs_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the runs whose logs were read, in order."""
    names: list[str] = []

    def counted(run: RunDir) -> object:
        names.append(run.path.name)
        return read(run)

    monkeypatch.setattr(kept_entries, "read", counted)
    return names


def in_full(folder: Path) -> str:
    return repr([read(run).entry for run in run_dir.iterate(folder)])  # as text: NaN is not equal to itself


def test_the_second_list_is_the_first_and_reads_only_what_cannot_be_kept(folder: Path, logs_read: list[str]) -> None:
    assert repr(entries(folder)) == in_full(folder)
    assert len(logs_read) == 9
    logs_read.clear()
    assert repr(entries(folder)) == in_full(folder)
    assert sorted(name[:3] for name in logs_read) == ["dam", "emp", "odd"]


def test_what_was_read_while_a_run_lived_is_not_kept(folder: Path) -> None:
    run = RunDir(folder / "lost")
    run.acquire()
    assert {entry.name: entry.state for entry in entries(folder)}["lost"] == "running"
    run.release()
    assert repr(entries(folder)) == in_full(folder)
    run.acquire()
    run.heartbeat.unlink()
    assert repr(entries(folder)) == in_full(folder), "also where only its lock tells"
    run.release()


def changed_log(run: RunDir) -> None:
    keep(run.path.parent, "other", MadeRun(2).whole([0.1, 0.2])).events.replace(run.events)


def another_time(run: RunDir) -> None:
    run.events.write_bytes(run.events.read_bytes().replace(b"diverged", b"complete"))
    os.utime(run.events, ns=(1, 1))


def changed_config(run: RunDir) -> None:
    run.config_file.write_text("[model")


def gone(run: RunDir) -> None:
    shutil.rmtree(run.path)


def not_to_be_read(run: RunDir) -> None:
    run.events.unlink()
    run.events.mkdir()


@pytest.mark.parametrize("change", [changed_log, another_time, changed_config, gone, not_to_be_read])
def test_a_run_that_changed_is_read_again(folder: Path, change: Callable[[RunDir], None]) -> None:
    entries(folder)
    change(RunDir(folder / "diverged"))
    assert repr(entries(folder)) == in_full(folder)


def kept_file(folder: Path) -> Path:
    (file,) = (folder.parent / "cache" / "runs").iterdir()
    return file


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"{}", b"[2,{}]", b"[1,{", b'[1,{"lost":[]}]', b"[" * 100_000, b'[1,{"lost":null}]']
)
def test_a_damaged_cache_counts_as_none(folder: Path, content: bytes, logs_read: list[str]) -> None:
    entries(folder)
    kept_file(folder).write_bytes(content)
    logs_read.clear()
    assert repr(entries(folder)) == in_full(folder)
    assert len(logs_read) == 9


def test_a_cache_of_another_version_counts_as_none(
    folder: Path, logs_read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    entries(folder)
    logs_read.clear()
    monkeypatch.setattr(kept_entries, "_FORMAT", 2)
    entries(folder)
    assert len(logs_read) == 9


def test_a_cache_that_cannot_be_written_costs_time_only(folder: Path) -> None:
    (folder.parent / "cache").write_text("")
    assert repr(entries(folder)) == in_full(folder)


def test_text_from_the_cache_cannot_steer_the_terminal(folder: Path) -> None:
    entries(folder)
    file = kept_file(folder)
    version, cache = json.loads(file.read_bytes())
    for _, entry in cache.values():
        entry.update(network=HOSTILE, dataset=HOSTILE, reason=HOSTILE, split=HOSTILE)
    file.write_text(json.dumps([version, cache]))
    found = {entry.name: entry for entry in entries(folder)}
    assert "x" in found["lost"].network, "it was taken from there"
    assert not [entry for entry in found.values() if "\x1b" in repr_of(entry) or "\u202e" in repr_of(entry)]


def repr_of(entry: Entry) -> str:
    return entry.name + entry.network + entry.dataset + entry.reason + entry.split


def test_short_logs_are_read_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESNET_TUI_CACHE", str(tmp_path / "cache"))
    keep(tmp_path / "runs", "a", MadeRun(2).whole([0.5, 0.6]))
    assert [entry.best_epoch for entry in entries(tmp_path / "runs")] == [2]
    assert not (tmp_path / "cache").exists()
