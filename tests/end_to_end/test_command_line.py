"""The commands as a user types them."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import Cli, run_cli

from engine.events import RunFinished, decode

SMALL = ["--dataset", "synthetic", "--depth", "8", "--epochs", "2", "--batch-size", "16", "--device", "cpu"]
SMALL += ["--set", "data.synthetic_size=64", "--set", "data.image_size=16"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which a small run was trained, its output in ``stdout``."""
    folder = tmp_path_factory.mktemp("trained")
    result = run_cli("train", "--headless", *SMALL, cwd=folder)
    assert result.returncode == 0, result.stderr
    (folder / "stdout").write_text(result.stdout)
    return folder


def test_training_prints_a_line_an_epoch_and_a_summary(trained: Path) -> None:
    text = (trained / "stdout").read_text()
    assert "\x1b" not in text, "no terminal, no escape sequences"
    lines = text.splitlines()
    header = next(line for line in lines if line.split()[:1] == ["epoch"])
    assert all(column in header for column in ("train loss", "test loss", "lr", "images/s"))
    assert [line.split()[0] for line in lines[lines.index(header) + 1 :][:2]] == ["1", "2"]
    for word in ("last accuracy", "best accuracy", "average error", "parameters", "75,290", "runs/"):
        assert word in text


def test_the_run_directory_holds_what_is_promised(trained: Path) -> None:
    (run,) = (trained / "runs").iterdir()
    names = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    assert {"config.toml", "events.jsonl", "metrics.csv", "log.txt"} <= names
    assert {"checkpoints/last.safetensors", "checkpoints/best.safetensors"} <= names
    assert not [name for name in names if name.endswith(".tmp")]
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert all(0 <= float(row["test_accuracy"]) <= 1 for row in rows)
    assert run.name.endswith("-resnet8-synthetic-s1")


def test_its_own_configuration_gives_the_same_run_again(cli: Cli, trained: Path, tmp_path: Path) -> None:
    (run,) = (trained / "runs").iterdir()
    result = cli("train", "--headless", "--preset", str(run / "config.toml"), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    (again,) = (tmp_path / "runs").iterdir()
    columns = ("train_loss", "train_accuracy", "test_loss", "test_accuracy", "lr")

    def figures(folder: Path) -> list[list[str]]:
        return [[row[c] for c in columns] for row in csv.DictReader((folder / "metrics.csv").open())]

    assert figures(run) == figures(again)


def test_json_gives_the_events_and_nothing_else(cli: Cli, tmp_path: Path) -> None:
    result = cli("train", "--headless", "--json", *SMALL, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    events = [decode(line.encode()) for line in result.stdout.splitlines()]
    assert isinstance(events[-1], RunFinished)
    assert events[-1].outcome == "completed"


def test_runs_and_eval_tell_what_was_trained(cli: Cli, trained: Path) -> None:
    (entry,) = json.loads(cli("runs", "--json", cwd=trained).stdout)
    assert (entry["state"], entry["epochs_done"], entry["epochs"]) == ("completed", 2, 2)
    for which in ("last", "best"):
        result = cli("eval", "last", "--checkpoint", which, "--json", cwd=trained)
        assert result.returncode == 0, result.stderr
        scores = json.loads(result.stdout)
        assert scores["accuracy"] == entry[f"{which}_accuracy"]
        assert sum(map(sum, scores["confusion"])) == scores["images"] == 16
        assert scores["epoch"] == (2 if which == "last" else entry["best_epoch"])
    text = cli("eval", "last", cwd=trained).stdout
    assert "accuracy a class" in text
    assert "confusion" in text
    assert re.search(r"^precision +b?float\d\d$", text, re.MULTILINE)


def test_a_complete_run_is_trained_further_with_more_epochs(cli: Cli, trained: Path) -> None:
    refused = cli("train", "--headless", "--resume", "last", cwd=trained)
    assert refused.returncode == 2
    assert "is complete (2 epochs)" in refused.stderr
    result = cli("train", "--headless", "--resume", "last", "--epochs", "3", cwd=trained)
    assert result.returncode == 0, result.stderr
    (run,) = (trained / "runs").iterdir()
    assert [row["epoch"] for row in csv.DictReader((run / "metrics.csv").open())] == ["1", "2", "3"]
    assert "epochs = 3" in (run / "config.toml").read_text()


def test_a_missed_target_exits_with_4(cli: Cli, tmp_path: Path) -> None:
    result = cli(
        "train", "--headless", *SMALL, "--epochs", "1", "--lr", "1e-6", "--target-accuracy", "1", cwd=tmp_path
    )
    assert result.returncode == 4


def test_divergence_exits_with_3_and_says_what_to_do(cli: Cli, tmp_path: Path) -> None:
    blow_up = ["--lr", "100", "--epochs", "60", "--set", "optim.weight_decay=10", "--set", "model.shortcut=C"]
    result = cli("train", "--headless", *SMALL, *blow_up, cwd=tmp_path)
    assert result.returncode == 3, result.stdout
    assert "diverged" in result.stdout
    assert "Start again with a lower --lr" in result.stdout


def test_help_names_every_command(tmp_path: Path) -> None:
    text = run_cli("--help", cwd=tmp_path).stdout
    assert all(command in text for command in ("train", "eval", "presets", "data", "runs", "doctor"))


def test_what_the_encoding_of_the_output_lacks_is_replaced(tmp_path: Path) -> None:
    shown = run_cli("shapes", "--depth", "8", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert shown.returncode == 0, shown.stderr
    assert "3?3, 3?3 + identity" in shown.stdout


def test_presets_prints_the_file_itself(cli: Cli, tmp_path: Path) -> None:
    text = cli("presets", "resnet20-cifar10", cwd=tmp_path).stdout
    assert text.startswith("# ResNet-20 on CIFAR-10 after He et al. 2015")
    listed = json.loads(cli("presets", "--json", cwd=tmp_path).stdout)
    assert "quickstart" in listed


def test_doctor_finds_nothing_wrong_here(cli: Cli, tmp_path: Path) -> None:
    result = cli("doctor", "--json", cwd=tmp_path)
    checks = json.loads(result.stdout)
    assert result.returncode == 0, [check for check in checks if check["level"] == "problem"]
    assert {"python", "torch", "device cpu", "memory", "runs folder", "data digits"} <= {c["what"] for c in checks}


def test_a_shell_that_closes_standard_output_gets_no_traceback(tmp_path: Path) -> None:
    for command in ("data", "doctor", "presets", "runs"):
        ended = subprocess.run(
            ["sh", "-c", f'"$0" -m resnet_tui {command} >&-', sys.executable],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
        assert (ended.returncode, ended.stderr) == (0, "")
