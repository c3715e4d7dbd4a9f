"""What is said of a dataset before it is loaded agrees with what loading it gives."""

from pathlib import Path
from typing import Any

import pytest
import torch
from data_support import image_folder, loaded, run_config, small_cifar

from engine.config import DataConfig
from engine.data.facts import facts
from engine.data.pipeline import train_batches
from engine.data.published import SPECS
from engine.errors import UserError
from engine.helper_answers import answer
from engine.helper_messages import Preview, PreviewWanted


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RESNET_TUI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize(
    ("data", "state"),
    [
        ({"dataset": "digits", "val_size": 100}, "embedded"),
        ({"dataset": "iris"}, "embedded"),
        ({"dataset": "synthetic", "synthetic_size": 71, "synthetic_classes": 3, "image_size": 16}, "made"),
        ({"dataset": "imagefolder", "image_size": 16, "val_size": 2}, "complete"),
        ({"dataset": "cifar10", "val_size": 3}, "archive only"),
    ],
)
def test_facts_are_those_of_the_loaded_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: dict[str, Any], state: str
) -> None:
    if data["dataset"] == "imagefolder":
        data = data | {"dir": image_folder(tmp_path / "pictures")}
    if data["dataset"] == "cifar10":
        spec, archive = small_cifar(tmp_path / "cifar")
        monkeypatch.setitem(SPECS, "cifar10", spec)
        data = data | {"dir": archive.parent}
    told = facts(DataConfig(**data))
    assert (told.state, told.problem, told.can_download) == (state, "", False)
    real = loaded(**data)
    assert told.shape == real.shape
    assert told.classes == len(real.classes)
    assert (told.train, told.test) == (len(real.train), len(real.test))
    assert told.val == (len(real.val) if real.val is not None else 0)


def test_an_absent_dataset_can_be_downloaded(tmp_path: Path) -> None:
    told = facts(DataConfig(dataset="cifar10", val_size=5000))
    assert (told.train, told.val, told.test, told.classes) == (45_000, 5000, 10_000, 10)
    assert (told.state, told.can_download, told.problem) == ("absent", True, "")  # a run downloads it itself
    assert told.todo == "resnet-tui data download cifar10"
    elsewhere = facts(DataConfig(dataset="cifar100", dir=tmp_path / "nowhere"))
    assert elsewhere.can_download
    assert elsewhere.problem.startswith("data.dir = ")
    assert "no such folder" in elsewhere.problem


def test_problems_are_told_in_one_line(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "pictures")
    assert "allowed: 0 to 4" in facts(DataConfig(dataset="imagefolder", dir=folder, val_size=5)).problem
    too_many = facts(DataConfig(dataset="digits", val_size=5000))
    assert "data.val_size = 5000" in too_many.problem
    assert too_many.train == 0
    # A name too long for any folder cannot be read, whoever asks.
    unreadable = facts(DataConfig(dataset="cifar10", dir=tmp_path / ("x" * 300)))
    assert unreadable.problem
    assert unreadable.train == 50_000
    lost = facts(DataConfig(dataset="imagefolder", dir=tmp_path / "lost\nand found"))
    assert (lost.state, lost.classes, lost.train, lost.can_download) == ("not usable", None, None, False)
    assert "cannot be read" in lost.problem
    assert "\n" not in lost.problem


@pytest.mark.parametrize("batch_size", [2, 16, 35, 70, 71, 72])
@pytest.mark.parametrize("residence", ["memory", "stream"])
def test_steps_of_an_epoch_are_those_of_the_pipeline(batch_size: int, residence: str) -> None:
    config = run_config(
        batch_size, synthetic_size=71, synthetic_classes=3, image_size=16, residence=residence, workers=0
    )
    told = answer(PreviewWanted(id=1, config=config))
    assert isinstance(told, Preview)
    dataset = loaded(**config.data.model_dump())
    if batch_size > len(dataset.train):
        with pytest.raises(UserError) as caught:
            train_batches(dataset, config, torch.device("cpu"))
        assert (told.steps_per_epoch, told.batch_problem) == (None, str(caught.value))
        return
    batches = train_batches(dataset, config, torch.device("cpu"))
    assert (told.steps_per_epoch, told.batch_problem) == (sum(1 for _ in batches.epoch(1)), "")
    batches.close()
