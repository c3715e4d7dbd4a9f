"""Checkpoints: what is saved comes back, and what was damaged is refused."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engine import run_dir
from engine.checkpoint import TrainState, load_checkpoint, resumable, save_checkpoint
from engine.config import RunConfig
from engine.errors import UserError, WorldError
from engine.run_dir import RunDir
from engine.schedule import RateState

STATE = TrainState(
    config=RunConfig(),
    classes=("a", "b"),
    epoch=2,
    step_in_epoch=3,
    step=13,
    epochs=10,
    steps_per_epoch=10,
    rate=RateState(total_steps=100, scale=0.5),
    best=None,
    epochs_since_best=1,
    scaler={"scale": 1024.0, "growth_interval": 2000},
)
TENSORS = {
    "model.weight": torch.arange(12, dtype=torch.float32).reshape(3, 4),
    "model.count": torch.tensor(7),
    "optim.0.momentum_buffer": torch.full((3, 4), -0.5, dtype=torch.bfloat16),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, TENSORS, STATE)
    return path


def test_what_is_saved_comes_back(file: Path) -> None:
    tensors, state = load_checkpoint(file)
    assert state == STATE
    assert isinstance(state.scaler["growth_interval"], int), "the loss scaler takes no float for it"
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
    assert [path.name for path in file.parent.iterdir()] == ["last.safetensors"], "nothing is left beside it"


def test_a_foreign_file_and_a_pickle_are_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.safetensors"
    save_file({"x": torch.zeros(1)}, foreign)
    with pytest.raises(WorldError, match="not a checkpoint of resnet-tui"):
        load_checkpoint(foreign)
    pickled = tmp_path / "pickled.safetensors"
    torch.save({"x": torch.zeros(1)}, pickled)
    with pytest.raises(WorldError, match="damaged, or no checkpoint"):
        load_checkpoint(pickled)


def test_a_failed_save_leaves_the_old_checkpoint(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(file, TENSORS, STATE)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["last.safetensors"]


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return run_dir.create(tmp_path / "runs", RunConfig())


def test_a_damaged_last_falls_back_to_best_and_says_so(run: RunDir) -> None:
    save_checkpoint(run.best, TENSORS, STATE)
    run.last.write_bytes(b"cut")
    _, state, (note,) = resumable(run)
    assert state == STATE
    assert "last.safetensors: damaged" in note
    assert "going on from best.safetensors" in note


def test_a_run_without_a_checkpoint_cannot_be_resumed(run: RunDir) -> None:
    with pytest.raises(UserError, match="ended before its first checkpoint"):
        resumable(run)


def test_damage_everywhere_is_said_of_each(run: RunDir) -> None:
    run.last.write_bytes(b"cut")
    run.best.write_bytes(json.dumps({}).encode())
    with pytest.raises(WorldError, match=r"last\.safetensors: damaged.*best\.safetensors: damaged"):
        resumable(run)
