"""Bad input on the command line: one clear message, the right exit status, no traceback, nothing left behind."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import Cli, run_cli

Refused = Callable[..., str]


@pytest.fixture
def refused(cli: Cli, tmp_path: Path) -> Refused:
    """Run a command that must be refused, and return what it said."""

    def run(*arguments: str, status: int = 2) -> str:
        result = cli(*arguments, cwd=tmp_path)
        assert result.returncode == status, result.stderr
        assert "Traceback" not in result.stderr
        assert result.stdout == ""
        assert not (tmp_path / "runs").exists(), "nothing may be half-written"
        return result.stderr

    return run


# Each line of words must stand in the message: the field, the value, and what is allowed or to be done.
ARGUMENTS: list[tuple[list[str], list[str]]] = [
    (["--preset", "resnet21-cifar10"], ["preset 'resnet21-cifar10'", "did you mean 'resnet20-cifar10'"]),
    (["--arch", "resnext"], ["--arch", "'resnext'", "allowed: resnet"]),
    (["--dataset", "cifar"], ["--dataset", "'cifar'", "did you mean 'cifar10'"]),
    (["--device", "gpu"], ["--device", "'gpu'", "allowed: auto, cpu"]),
    (["--set", "model.depht=20"], ["model.depht", "did you mean 'depth'"]),
    (["--set", "optim.lr"], ["--set 'optim.lr'", "section.key=value"]),
    (["--epochs", "many"], ["--epochs", "'many'", "whole number"]),
    (["--epochs", "0"], ["--epochs", "greater than or equal to 1"]),
    (["--lr", "nan"], ["--lr", "finite number"]),
    (["--lr", "-1"], ["--lr", "greater than 0"]),
    (["--depth", "21"], ["--depth", "depth = 21", "20 and 26"]),
    (["--depth", "21", "--lr", "0", "--dataset", "x"], ["depth = 21", "optim.lr", "data.dataset"]),
    (["--target-accuracy", "95"], ["--target-accuracy", "less than or equal to 1"]),
    (["--batch-size", "5000"], ["train.batch_size = 5000", "at most 1437"]),
    (["--dataset", "imagefolder"], ["data.dir is missing", "--data-dir"]),
    (["--dataset", "imagefolder", "--data-dir", "nowhere"], ["nowhere"]),
    (["--dataset", "iris"], ["model.arch", "4 features", "--dataset digits"]),
    (["--set", "data.val_size=1437"], ["val_size"]),
    (["--depth", "99999999998"], ["--depth", "less than or equal to 10000"]),
    (["--resume", "last"], ["there is no run", "resnet-tui train"]),
    (["--resume", "nothing"], ["'nothing' is no run"]),
    (["--resume", "last", "--lr", "0.1"], ["--lr cannot be given"]),
    (["--device", "cuda:77"], ["train.device = 'cuda:77'", "not on this machine", "cpu"]),
    (["--device", "cpu", "--set", "train.precision=float16"], ["train.precision", "CUDA"]),
]


@pytest.mark.parametrize(("arguments", "words"), ARGUMENTS, ids=lambda value: " ".join(value))
def test_a_bad_argument_is_refused(refused: Refused, arguments: list[str], words: list[str]) -> None:
    said = refused("train", "--headless", *arguments)
    assert all(word in said for word in words), said
    assert all(line.startswith("error: ") for line in said.splitlines()), said


def test_a_broken_preset_names_file_and_line(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[model]\n\ndepth 20\n")
    said = refused("train", "--headless", "--preset", "mine.toml")
    assert "mine.toml" in said
    assert "line 3" in said


def picture(path: Path) -> None:
    """Write a small picture that differs with its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((8, 8, 3), sum(str(path.name).encode()) % 256, np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            for index in range(4):
                picture(folder / split / name / f"{index}.png")
    return folder


def test_a_folder_without_pictures_is_refused(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    said = refused("train", "--headless", "--dataset", "imagefolder", "--data-dir", "pictures")
    assert "pictures" in said
    assert "train" in said


def test_a_class_folder_without_images_is_refused(refused: Refused, pictures: Path) -> None:
    (pictures / "train" / "emu").mkdir()
    said = refused("train", "--headless", "--dataset", "imagefolder", "--data-dir", "pictures")
    assert "emu" in said


def test_a_test_class_that_train_lacks_is_refused(refused: Refused, pictures: Path) -> None:
    picture(pictures / "test" / "emu" / "0.png")
    said = refused("train", "--headless", "--dataset", "imagefolder", "--data-dir", "pictures")
    assert "emu" in said


def test_a_corrupt_image_is_named(refused: Refused, pictures: Path) -> None:
    broken = pictures / "train" / "dog" / "0.png"
    broken.write_bytes(broken.read_bytes()[:40])
    said = refused("train", "--headless", "--dataset", "imagefolder", "--data-dir", "pictures", status=1)
    assert str(Path("train") / "dog" / "0.png") in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_folder_is_refused(refused: Refused, pictures: Path) -> None:
    (pictures / "train").chmod(0)
    said = refused("train", "--headless", "--dataset", "imagefolder", "--data-dir", "pictures")
    assert "train" in said


def test_a_runs_folder_that_cannot_be_written_is_said(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = refused("train", "--headless", "--runs-dir", "file/runs")
    assert "cannot be written" in said
    assert "--runs-dir" in said


def test_a_preset_with_control_characters_reaches_no_terminal(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[model]\n"\\u001b]52;c;x\\u0007[/red]" = 1\n')
    said = refused("train", "--headless", "--preset", "mine.toml")
    assert "\x1b" not in said
    assert "\x07" not in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["eval", "nothing"], ["no weights at 'nothing'", "torchvision:resnet18"]),
        (["eval", "last", "--checkpoint", "worst"], ["--checkpoint 'worst'", "best, last"]),
        (["eval", "last", "--split", "train"], ["--split 'train'", "test, val"]),
        (["presets", "resnet20"], ["'resnet20'", "did you mean 'resnet20-cifar10"]),
        (["data", "download", "digits"], ["'digits'", "cifar10, cifar100"]),
        (["data", "verify", "mnist"], ["mnist"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_other_commands_refuse_as_well(refused: Refused, arguments: list[str], words: list[str]) -> None:
    said = refused(*arguments)
    assert all(word in said for word in words), said


def test_an_unknown_option_is_refused(tmp_path: Path) -> None:
    result = run_cli("train", "--dpeth", "20", cwd=tmp_path)
    assert result.returncode == 2
    assert "--dpeth" in result.stderr
    assert "Traceback" not in result.stderr
