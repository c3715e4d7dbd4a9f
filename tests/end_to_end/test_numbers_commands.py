"""``export --format tensorboard|csv|json``, ``train --tensorboard`` and ``lr-find`` as a user types them."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from support import Cli, run_cli
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from engine.event_file import NAME
from engine.learner import Learner
from engine.run_dir import RunDir, iterate

TINY = ["--dataset", "synthetic", "--depth", "8", "--batch-size", "16", "--device", "cpu", "--seed", "3"]
TINY += ["--set", "data.synthetic_size=80", "--set", "data.image_size=16"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that was written for TensorBoard, too."""
    folder = tmp_path_factory.mktemp("home")
    trained = run_cli("train", "--headless", *TINY, "--epochs", "2", "--tensorboard", cwd=folder)
    assert trained.returncode == 0, trained.stderr
    return folder


@pytest.fixture
def run(home: Path) -> RunDir:
    (found,) = iterate(home / "runs")
    return found


def losses(folder: Path) -> list[float]:
    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    reader.Reload()
    return [event.value for event in reader.Scalars("train/loss")]


def refusal(ended: subprocess.CompletedProcess[str], status: int = 2) -> str:
    assert ended.returncode == status, ended.stderr
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("\n") == 1
    return ended.stderr.removeprefix("error: ").strip()


def test_exports_are_named_by_the_run_and_not_written_over(cli: Cli, home: Path, run: RunDir) -> None:
    for file_format, path in {
        "csv": home / f"{run.path.name}.csv",
        "json": home / f"{run.path.name}.json",
        "tensorboard": home / "tensorboard" / run.path.name / f"{NAME}{run.path.name}",
    }.items():
        said = cli("export", "last", "--format", file_format, cwd=home, COLUMNS=300)
        assert said.returncode == 0, said.stderr
        assert said.stdout.startswith(f"{path.relative_to(home)}: ")
        again = cli("export", "last", "--format", file_format, cwd=home)
        assert "there is such a file; give a name with --output, or --force" in refusal(again)
        path.write_bytes(b"")
        assert cli("export", "last", "--format", file_format, "--force", cwd=home).returncode == 0
        assert path.stat().st_size > 1000
    with (home / f"{run.path.name}.csv").open(newline="", encoding="utf-8") as file:
        found = [float(row["value"]) for row in csv.DictReader(file) if row["name"] == "train/loss"]
    whole = json.loads((home / f"{run.path.name}.json").read_text(encoding="utf-8"))
    assert whole["scalars"]["train/loss"]["value"] == found
    assert losses(home / "tensorboard" / run.path.name) == losses(run.tensorboard) == pytest.approx(found)


def test_an_output_of_ones_own_and_a_folder_with_another_runs_events(cli: Cli, home: Path) -> None:
    assert cli("export", "last", "--format", "csv", "-o", "mine.csv", cwd=home).returncode == 0
    said = cli("export", "last", "--format", "tensorboard", "-o", "a/b", cwd=home, COLUMNS=300)
    assert said.stdout.endswith("look at them with: tensorboard --logdir a/b\n")
    (written,) = (home / "a" / "b").iterdir()
    written.with_name(f".{written.name}.99.tmp").touch()
    said = cli("export", "last", "--format", "tensorboard", "-o", "a/b", "--force", cwd=home)
    assert [path.name for path in written.parent.iterdir()] == [written.name], said.stderr
    written.rename(written.with_name(f"{NAME}another"))
    assert "holds another event file" in refusal(
        cli("export", "last", "--format", "tensorboard", "-o", "a/b", cwd=home)
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--format", "tsv"], "--format 'tsv': allowed: safetensors, onnx, tensorboard, csv, json"),
        (["--format", "csv", "--checkpoint", "last"], "--checkpoint last: only weights have one"),
        (["--format", "json", "--input", "3x32x32"], "only --format onnx has an input"),
        (["--format", "csv", "-o", "x.json"], "the format is csv; let the name end in .csv, or give --format"),
        (["--format", "csv", "-o", "none/x.csv"], "there is no folder none; make it first"),
        (["--format", "tensorboard", "-o", "file"], "--output file: a file; TensorBoard reads folders"),
    ],
)
def test_an_export_that_makes_no_sense_is_refused(cli: Cli, home: Path, arguments: list[str], said: str) -> None:
    (home / "file").touch()
    assert said in refusal(cli("export", "last", *arguments, cwd=home))


def test_a_run_without_numbers_and_what_is_no_run(cli: Cli, home: Path, run: RunDir, tmp_path: Path) -> None:
    empty = tmp_path / "runs" / "empty"
    empty.mkdir(parents=True)
    (empty / "config.toml").write_bytes(run.config_file.read_bytes())
    assert "run empty has logged no numbers" in refusal(cli("export", "empty", "--format", "csv"))
    assert "'akamaster:resnet20' is no run" in refusal(cli("export", "akamaster:resnet20", "--format", "csv"))
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_a_run_begun_without_tensorboard_goes_on_with_it(cli: Cli, tmp_path: Path) -> None:
    assert cli("train", "--headless", *TINY, "--epochs", "1").returncode == 0
    (run,) = iterate(tmp_path / "runs")
    assert not run.tensorboard.exists()
    assert cli("train", "--headless", "--resume", "last", "--epochs", "2", "--tensorboard").returncode == 0
    assert run.config().telemetry.tensorboard
    assert cli("export", "last", "--format", "tensorboard").returncode == 0
    assert losses(run.tensorboard) == losses(tmp_path / "tensorboard" / run.path.name)
    assert len(losses(run.tensorboard)) == 2


# lr-find -------------------------------------------------------------------------------------------------------


def found(ended: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(ended.stdout)
    assert ended.returncode == (1 if values["suggestion"] is None else 0), ended.stderr
    return values


def test_lr_find_gives_the_same_for_the_same_seed_and_makes_no_run(cli: Cli, tmp_path: Path) -> None:
    first = found(cli("lr-find", *TINY, "--steps", "60", "--json"))
    assert found(cli("lr-find", *TINY, "--steps", "60", "--json")) == first
    other = found(cli("lr-find", *TINY, "--seed", "4", "--steps", "60", "--json"))
    assert other["loss"] != first["loss"]
    assert first["lr"][0] == 1e-6
    assert first["lr"] == sorted(first["lr"])
    assert len(first["lr"]) == len(first["loss"]) == len(first["smoothed"]) <= 60
    assert first["exploded"] == (len(first["lr"]) < 60)
    suggestion = first["suggestion"]
    assert 1e-6 < suggestion["steepest"] <= suggestion["lowest"] < 10
    assert suggestion["lr"] in {suggestion["steepest"], suggestion["lowest"]}
    assert not (tmp_path / "runs").exists()


def test_lr_find_trains_with_the_rates_it_tells(cli: Cli) -> None:
    """At rates of nothing the loss stays as random weights have it; the first batch is that of a run."""
    still = found(cli("lr-find", *TINY, "--steps", "30", "--to", "2e-6", "--json"))
    assert not still["exploded"]
    assert still["suggestion"] is None
    trained = cli("train", "--json", *TINY, "--epochs", "1", "--set", "telemetry.every_steps=1")
    steps = [event for event in map(json.loads, trained.stdout.splitlines()) if event["kind"] == "step"]
    assert still["loss"][0] == steps[0]["loss"]


def test_lr_find_without_a_terminal_prints_a_table(cli: Cli) -> None:
    said = cli("lr-find", *TINY, "--steps", "60")
    assert said.returncode == 0, said.stderr
    lines = [line.split() for line in said.stdout.splitlines()]
    assert ["rate", "loss", "smoothed"] in lines
    assert lines[-1][:2] == ["suggestion", "--lr"]
    assert "\x1b" not in said.stdout
    rates = [float(line[0]) for line in lines[lines.index(["rate", "loss", "smoothed"]) + 1 : -1]]
    assert rates == sorted(rates)
    assert len(rates) >= 10


def test_lr_find_says_that_there_is_nothing_to_suggest_after_the_table(cli: Cli) -> None:
    said = cli("lr-find", *TINY, "--steps", "10", "--to", "2e-6")
    assert "the loss did not fall, so there is nothing to suggest" in refusal(said, status=1)
    assert "smoothed" in said.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "1", "--to", "0.1"], "--from 1 must be below --to 0.1"),
        (["--steps", "9"], "--steps 9: allowed: 10 to 10,000"),
        (["--depth", "21"], "--depth: [model] depth = 21"),
        (["--preset", "quikstart"], "did you mean 'quickstart'"),
        (["--dataset", "imagefolder", "--data-dir", "nowhere"], "nowhere"),
        (["--weights", "nowhere.pt"], "nowhere.pt"),
    ],
)
def test_lr_find_refuses_as_train_does(cli: Cli, arguments: list[str], said: str) -> None:
    assert said in refusal(cli("lr-find", *arguments))


def test_lr_find_begins_with_weights(cli: Cli, home: Path) -> None:
    fresh = found(cli("lr-find", *TINY, "--steps", "10", "--json", cwd=home))
    trained = found(cli("lr-find", *TINY, "--steps", "10", "--json", "--weights", "last", cwd=home))
    assert trained["loss"][0] != fresh["loss"][0]
    assert len(list(iterate(home / "runs"))) == 1


def test_ctrl_c_ends_lr_find_with_what_is_known(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    updates, update = count(1), Learner.update

    def interrupted(learner: Learner, lr: float) -> None:
        update(learner, lr)
        if next(updates) == 20:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Learner, "update", interrupted)
    ended = cli("lr-find", *TINY, "--json")
    assert (ended.returncode, ended.stderr) == (130, "")
    values = json.loads(ended.stdout)
    assert len(values["lr"]) == len(values["loss"]) == 20
    assert values["interrupted"]
    assert not values["exploded"]
