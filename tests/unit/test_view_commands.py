"""``runs``, ``presets`` and ``doctor``: what they print, and that one broken thing hides no other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from made_run import MadeRun
from typer.testing import CliRunner, Result

from engine import presets, run_dir
from engine.errors import ConfigError
from engine.event_log import EventLog
from engine.events import ControlApplied, Event
from engine.run_dir import RunDir
from resnet_tui.cli import app


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def make(runs: Path, events: Iterable[Event], run: MadeRun) -> RunDir:
    made = run_dir.create(runs, run.config)
    log = EventLog(made.events)
    for event in events:
        log.emit(event)
    log.close()
    made.release()
    return made


def listed(runs: Path) -> dict[str, dict[str, Any]]:
    result = invoke("runs", "--runs-dir", str(runs), "--json")
    assert result.exit_code == 0, result.output
    return {entry["name"]: entry for entry in json.loads(result.stdout)}


# runs -----------------------------------------------------------------------------------------------------------


def test_no_runs_is_a_friendly_line(tmp_path: Path) -> None:
    result = invoke("runs", "--runs-dir", str(tmp_path / "none"))
    assert result.exit_code == 0
    assert "no runs in" in result.stdout
    assert "resnet-tui train" in result.stdout
    assert listed(tmp_path / "none") == {}


def test_a_run_is_listed_with_what_it_reached(tmp_path: Path) -> None:
    run = MadeRun(3)
    made = make(tmp_path, run.whole([0.5, 0.9, 0.8]), run)
    entry = listed(tmp_path)[made.name]
    assert (entry["state"], entry["epochs_done"], entry["epochs"]) == ("completed", 3, 3)
    assert (entry["best_accuracy"], entry["best_epoch"], entry["last_accuracy"]) == (0.9, 2, 0.8)
    assert (entry["network"], entry["dataset"], entry["split"]) == ("ResNet-20, shortcut A", "digits", "test")
    assert entry["started"].startswith("1970-01-12T")
    assert entry["seconds"] == pytest.approx(37.5)
    text = invoke("runs", "--runs-dir", str(tmp_path)).stdout
    for words in (made.name, "completed", "3/3", "90.00 %", "80.00 %"):
        assert words in text


@pytest.mark.parametrize("outcome", ["stopped", "failed", "diverged"])
def test_the_state_is_how_it_ended(tmp_path: Path, outcome: str) -> None:
    run = MadeRun(2)
    made = make(tmp_path, [*run.begin(), *run.epoch(1), run.finish(outcome, "for a reason")], run)
    assert listed(tmp_path)[made.name]["state"] == outcome
    assert listed(tmp_path)[made.name]["reason"] == "for a reason"


def test_a_run_without_an_end_is_lost_unless_a_process_holds_it(tmp_path: Path) -> None:
    run = MadeRun(2)
    pause = ControlApplied(step=3, command="pause", value=None, source="viewer", id="1")
    made = make(tmp_path, [*run.begin(), *run.epoch(1, last=3)], run)
    assert listed(tmp_path)[made.name]["state"] == "lost"
    assert f"--resume {tmp_path / made.name}" in invoke("runs", "--runs-dir", str(tmp_path)).stdout
    with FileLock(made.path / "lock", is_singleton=False):
        assert listed(tmp_path)[made.name]["state"] == "running"
        log = EventLog(made.events)
        log.emit(pause)
        log.close()
        assert listed(tmp_path)[made.name]["state"] == "paused"


def test_a_broken_run_says_so_and_hides_no_other(tmp_path: Path) -> None:
    run = MadeRun(1)
    good = make(tmp_path, run.whole([0.5]), run)
    bad_config = make(tmp_path, run.whole([0.5]), run)
    bad_config.config_file.write_text("[model]\ndepth = 'many'\n")
    bad_toml = make(tmp_path, [], run)
    bad_toml.config_file.write_bytes(b"\xff\xfe[[[")
    bad_log = make(tmp_path, [], run)
    bad_log.events.write_bytes(os.urandom(100) + b"\n")
    entries = listed(tmp_path)
    assert entries[good.name]["state"] == "completed"
    for broken, words in ((bad_config, "model.depth"), (bad_toml, "UTF-8"), (bad_log, "not one of its")):
        assert entries[broken.name]["state"] == "damaged"
        assert words in entries[broken.name]["reason"]
    text = invoke("runs", "--runs-dir", str(tmp_path)).stdout
    assert text.count("damaged") >= 3
    assert "50.00 %" in text


def test_a_log_cut_in_the_middle_of_a_line_is_still_listed(tmp_path: Path) -> None:
    run = MadeRun(2)
    made = make(tmp_path, [*run.begin(), *run.epoch(1), *run.end_epoch(1, 0.5)], run)
    made.events.write_bytes(made.events.read_bytes() + b'{"kind": "evalu')
    assert listed(tmp_path)[made.name]["best_accuracy"] == 0.5


def test_names_and_reasons_cannot_steer_the_terminal(tmp_path: Path) -> None:
    run = MadeRun(1)
    made = make(tmp_path, [*run.begin(), run.finish("failed", "x\x1b]52;c;aGk=\x07[bold]")], run)
    made.path.rename(tmp_path / "evil\x1b[31m\u202ename")
    text = invoke("runs", "--runs-dir", str(tmp_path)).stdout
    assert not {"\x1b", "\x07", "\u202e"} & set(text)
    assert "[bold]" in text


def test_listing_imports_no_torch(tmp_path: Path) -> None:
    run = MadeRun(1)
    make(tmp_path, run.whole([0.5]), run)
    program = (
        "import sys\nfrom resnet_tui.commands.runs import runs\nfrom pathlib import Path\n"
        f"runs(Path({str(tmp_path)!r}))\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


# presets --------------------------------------------------------------------------------------------------------


def test_presets_are_listed_with_epochs_and_first_line() -> None:
    listed_presets = json.loads(invoke("presets", "--json").stdout)
    assert list(listed_presets) == presets.names()
    quickstart = listed_presets["quickstart"]
    assert quickstart["dataset"] == "digits"
    text = invoke("presets").stdout
    line = next(line for line in text.splitlines() if line.startswith("quickstart"))
    assert line.split()[1] == str(quickstart["epochs"])
    assert quickstart["description"] in line


def test_a_preset_is_printed_as_it_is() -> None:
    text = invoke("presets", "quickstart").stdout
    assert text == presets.locate("quickstart").read_text(encoding="utf-8")
    assert text.startswith("#")
    assert (
        tomllib.loads(text)["train"]["epochs"]
        == json.loads(invoke("presets", "quickstart", "--json").stdout)["train"]["epochs"]
    )


def test_an_unknown_preset_names_the_nearest() -> None:
    result = invoke("presets", "quickstrat")
    assert isinstance(result.exception, ConfigError)
    assert "'quickstrat'" in str(result.exception)
    assert "did you mean 'quickstart'?" in str(result.exception)


# doctor ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("RESNET_TUI_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_doctor_finds_no_problem_and_says_so(clean: Path) -> None:
    result = invoke("doctor", "--runs-dir", str(clean / "runs"))
    assert result.exit_code == 0, result.stdout
    assert "no problems" in result.stdout
    assert not (clean / "runs").exists(), "looking changes nothing"


def test_doctor_gives_every_check_as_json(clean: Path) -> None:
    checks = json.loads(invoke("doctor", "--runs-dir", str(clean / "runs"), "--json").stdout)
    assert {check["level"] for check in checks} <= {"ok", "note", "problem"}
    what = {check["what"] for check in checks}
    assert {"python", "torch", "torchvision", "device cpu", "memory", "runs folder", "cache folder"} <= what
    assert {"data digits", "data cifar10", "terminal"} <= what
    assert all(check["todo"] for check in checks if check["level"] != "ok")


def test_a_runs_folder_that_cannot_be_written_is_a_problem(clean: Path) -> None:
    (clean / "file").write_text("")
    result = invoke("doctor", "--runs-dir", str(clean / "file" / "runs"), "--json")
    assert result.exit_code == 1
    (problem,) = [check for check in json.loads(result.stdout) if check["level"] == "problem"]
    assert problem["what"] == "runs folder"
    assert "--runs-dir" in problem["todo"]
