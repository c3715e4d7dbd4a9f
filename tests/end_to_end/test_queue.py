"""The queue, seeds of a preset and sweeps as a user types them, with runs that are trained."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support import Cli, tiny

from engine.config_file import to_toml
from engine.queue.locks import lock, worker_lock
from engine.run_dir import iterate

ONE = ["--epochs", "1"]


@pytest.fixture
def preset(tmp_path: Path) -> str:
    """Return a preset that trains in an instant."""
    (tmp_path / "tiny.toml").write_text(to_toml(tiny(train__epochs=8)))
    return "tiny.toml"


def shown(cli: Cli) -> list[dict[str, Any]]:
    result = cli("queue", "--json")
    assert result.returncode == 0, result.stderr
    entries: list[dict[str, Any]] = json.loads(result.stdout)
    return entries


def begun(*arguments: str, cwd: Path) -> "subprocess.Popen[str]":
    """Start a command and return once the first epoch of its first run is over."""
    process = subprocess.Popen(
        [sys.executable, "-m", "resnet_tui", *arguments],
        cwd=cwd,
        env=os.environ | {"RESNET_TUI_CACHE": str(cwd / "cache")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not any(run.last.exists() for run in iterate(cwd / "runs")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


def test_seeds_are_stopped_gone_on_with_and_judged(cli: Cli, tmp_path: Path, preset: str) -> None:
    command = ["reproduce", preset, "--seeds", "2", "--set", "data.val_size=12", "--set", "optim.lr=1e-6"]
    process = begun(*command, cwd=tmp_path)
    process.send_signal(signal.SIGINT)
    said = "".join(process.communicate(timeout=120))
    assert process.returncode == 130, said
    assert f"go on with: resnet-tui {' '.join(command)}" in said
    assert "--resume" not in said, "there is one way to go on"
    assert [entry["group"] for entry in shown(cli)] == ["reproduce tiny"] * 2

    result = cli(*command, "--target", "1.0", "--json")
    assert result.returncode == 4, result.stderr
    found = json.loads(result.stdout)
    assert [seed["seed"] for seed in found["seeds"]] == [1, 2]
    assert {seed["state"] for seed in found["seeds"]} == {"done"}
    assert found["verdict"]["finding"] == "missed"
    assert found["best_chosen_by"] == "validation"
    assert [run.path.name for run in iterate(tmp_path / "runs")] == [seed["run"] for seed in found["seeds"]]

    again = cli(*command, "--target", "0.01")
    assert again.returncode == 0, again.stderr
    assert "mean ± standard deviation" in again.stdout
    assert len(list(iterate(tmp_path / "runs"))) == 2, "finished seeds are not run again"
    assert "no target" in cli(*command).stdout


def test_one_that_diverges_ends_no_sweep(cli: Cli, tmp_path: Path, preset: str) -> None:
    command = ["sweep", preset, *ONE, "--grid", "optim.lr=100,0.05", "--set", "train.precision=float32"]
    result = cli(*command)
    lines = result.stdout.splitlines()
    assert "run 2 of 2: optim.lr=0.05, seed 1" in lines
    assert any(line.startswith("optim.lr=100, seed 1: diverged: ") for line in lines)
    states = [(entry["case"], entry["state"]) for entry in shown(cli)]
    assert states == [("optim.lr=100", "diverged"), ("optim.lr=0.05", "done")], result.stderr
    assert "optim.lr=0.05" in cli("queue").stdout
    assert result.returncode == 3
    table = next(place for place, line in enumerate(lines) if line.startswith("optim.lr"))
    assert [line.split()[0] for line in lines[table + 1 : table + 3]] == ["0.05", "100"], "the best comes first"
    assert "the order looked at the test set" in result.stdout
    assert cli(*command).returncode == 3
    assert len(list(iterate(tmp_path / "runs"))) == 2, "neither is run again"


def test_the_queue_is_worked_off_and_shown(cli: Cli, tmp_path: Path, preset: str) -> None:
    assert cli("queue", "add", preset, *ONE).returncode == 0
    assert cli("queue", "add", preset, *ONE, "--set", "data.synthetic_classes=9", "--seed", "2").returncode == 0
    assert cli("queue", "move", "2", "1").returncode == 0
    assert [entry["number"] for entry in shown(cli)] == [2, 1]
    assert cli("queue", "remove", "2").returncode == 0
    assert cli("queue", "run", "--device", "cpu").returncode == 0
    (entry,) = shown(cli)
    assert (entry["state"], entry["epochs_done"]) == ("done", 1)
    nothing = cli("queue", "run", "--device", "cpu")
    assert (nothing.returncode, nothing.stdout.startswith("nothing waits")) == (0, True)
    assert cli("queue", "clear").stdout == "1 removed, 0 left\n"


def test_a_group_waits_as_one_with_the_same_flags(cli: Cli) -> None:
    result = cli("queue", "add", "degradation", "--epochs", "2", "--set", "data.val_size=0")
    assert result.returncode == 0, result.stderr
    entries = shown(cli)
    assert [entry["preset"] for entry in entries] == [
        f"{kind}{depth}-cifar10" for kind in ("plain", "resnet") for depth in (20, 56)
    ]
    assert {(entry["group"], entry["epochs"]) for entry in entries} == {("degradation", 2)}
    assert "group degradation: plain20-cifar10" in cli("presets").stdout
    assert "resnet56-cifar10" in cli("presets", "degradation").stdout


def test_what_was_typed_is_shown_and_hints_name_the_folder(cli: Cli, tmp_path: Path) -> None:
    added = cli("queue", "add", "quickstart", "--dataset", "synthetic", "--depth", "14", "--runs-dir", "q")
    assert added.returncode == 0, added.stderr
    assert added.stdout.startswith("1: quickstart (resnet14-synthetic), ")
    assert "resnet-tui queue run --runs-dir q" in added.stdout
    (entry,) = json.loads(cli("queue", "--runs-dir", "q", "--json").stdout)
    assert (entry["preset"], entry["name"]) == ("quickstart", "resnet14-synthetic")
    assert cli("queue", "list", "--runs-dir", "q").stdout == cli("queue", "--runs-dir", "q").stdout
    with lock(worker_lock(tmp_path / "q", "cpu"), seconds=0):
        taken = json.loads((tmp_path / "q" / "queue.json").read_text())
        taken["entries"][0]["device"] = "cpu"
        (tmp_path / "q" / "queue.json").write_text(json.dumps(taken))
        for command in (["move", "1", "1"], ["remove", "1"]):
            refused = cli("queue", *command, "--runs-dir", "q")
            assert refused.returncode == 2
            assert "number 1 is being trained" in refused.stderr


def test_no_folder_is_made_where_nothing_is_added(cli: Cli, tmp_path: Path) -> None:
    for command in (["remove", "7"], ["clear"], ["run"]):
        cli("queue", *command, "--runs-dir", "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_two_never_work_on_one_device(cli: Cli, tmp_path: Path, preset: str) -> None:
    cli("queue", "add", preset)
    with lock(worker_lock(tmp_path / "runs", "cpu"), seconds=0):
        result = cli("queue", "run", "--device", "cpu")
    assert result.returncode == 2
    assert "error: device cpu: another process works off the queue" in result.stderr
    assert [entry["state"] for entry in shown(cli)] == ["waiting"]


def test_a_run_that_cannot_begin_says_why_and_ends_no_queue(cli: Cli, tmp_path: Path, preset: str) -> None:
    pictures = tmp_path / "pictures"
    for split in ("train", "test"):
        for label in ("a", "b"):
            (pictures / split / label).mkdir(parents=True)
            Image.new("RGB", (16, 16)).save(pictures / split / label / "1.png")
    added = cli("queue", "add", preset, *ONE, "--dataset", "imagefolder", "--data-dir", str(pictures))
    assert added.returncode == 0, added.stderr
    pictures.rename(tmp_path / "elsewhere")
    assert cli("queue", "run", "--device", "cpu").returncode == 1
    (entry,) = shown(cli)
    assert entry["state"] == "failed"
    assert "pictures" in entry["reason"]
    (tmp_path / "elsewhere").rename(pictures)
    assert cli("queue", "run", "--device", "cpu").stdout.startswith("nothing waits"), "only where it is named"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["reproduce", "nonesuch"], "no such preset"),
        (["reproduce", "tiny.toml", "--seeds", "0"], "--seeds 0: allowed: 1 to 100"),
        (["reproduce", "tiny.toml", "--target", "92"], "0.92 for 92 %"),
        (["reproduce", "tiny.toml", "--set", "train.seed=3"], "seeds are counted from 1"),
        (["reproduce", "tiny.toml", "--device", "gpu"], "train.device"),
        (["sweep", "tiny.toml"], "nothing to try"),
        (["sweep", "tiny.toml", "--grid", "optim.lr="], "a value is missing"),
        (["sweep", "tiny.toml", "--grid", "optim.rl=0.1,0.2"], "unknown key 'optim.rl'"),
        (["sweep", "tiny.toml", "--grid", "optim.lr=0.1,-1"], "--grid optim.lr=-1: optim.lr = -1"),
        (["sweep", "tiny.toml", "--grid", "optim.lr=0.1", "--set", "optim.lr=0.2"], "the sweep itself varies"),
        (["sweep", "tiny.toml", "--grid", "optim.lr=0.1", "--case", "optim.lr=0.2"], "beside --case"),
        (["sweep", "tiny.toml", "--case", "optim.lr=0.05", "--case", "optim.lr=0.050"], "are the same run"),
        (["sweep", "quickstart", "--grid", "optim.lr=0.1,0.2", "--dataset", "iris"], "takes images"),
        (["reproduce", "iris", "--dataset", "digits"], "takes rows of features"),
        (["sweep", "tiny.toml", "--grid", "train.processes=1,2"], "train.processes = 2: use resnet-tui train"),
        (["queue", "add", "tiny.toml", "--set", "train.processes=2"], "train.processes = 2: use resnet-tui train"),
        (["queue", "--json", "add", "tiny.toml"], "--json before add does nothing"),
        (["queue", "add", "degradaton"], "did you mean 'degradation'? (resnet-tui presets lists all"),
        (["queue", "add", "tiny.toml", "--epochs", "x"], "train.epochs"),
        (["queue", "remove", "7"], "number 7 is not in the queue: it is empty"),
        (["queue", "move", "7", "1"], "number 7 is not in the queue"),
        (["queue", "run", "7"], "number 7 is not in the queue"),
    ],
)
def test_bad_input_is_one_message_and_nothing_starts(
    cli: Cli, tmp_path: Path, preset: str, command: list[str], said: str
) -> None:
    result = cli(*command)
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert list(iterate(tmp_path / "runs")) == []
    assert shown(cli) == []


def test_a_queue_file_cut_short_is_named_by_every_command(cli: Cli, tmp_path: Path, preset: str) -> None:
    cli("queue", "add", preset)
    file = tmp_path / "runs" / "queue.json"
    file.write_bytes(file.read_bytes()[:500])
    for command in (["queue"], ["queue", "run", "--device", "cpu"], ["queue", "clear"], ["reproduce", preset]):
        result = cli(*command)
        assert result.returncode == 1
        assert "queue.json: damaged: not JSON to its end" in result.stderr
        assert "resnet-tui runs lists them. Put it aside" in result.stderr
    assert len(file.read_bytes()) == 500
