"""``resnet-tui data``."""

import json
from pathlib import Path

import pytest
from data_support import image_folder, small_cifar
from support import run_cli
from typer.testing import CliRunner

from engine.data.published import SPECS
from engine.errors import UserError, WorldError
from resnet_tui.commands.data import app


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RESNET_TUI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "160")
    return tmp_path / "cache"


def data(*arguments: str) -> str:
    """Run the command in this process; what it prints, or the error it raises."""
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def states(*arguments: str) -> dict[str, str]:
    return {entry["name"]: entry["state"] for entry in json.loads(data("--json", *arguments))}


def test_lists_every_dataset(cache: Path) -> None:
    assert states() == {
        "digits": "embedded",
        "iris": "embedded",
        "cifar10": "absent",
        "cifar100": "absent",
        "imagefolder": "absent",
        "synthetic": "made",
    }
    table = data()
    assert "cifar10: resnet-tui data download cifar10\n" in table
    assert "50,000" in table
    assert not cache.exists()


def test_states_of_what_lies_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, archive = small_cifar(tmp_path / "folder")
    monkeypatch.setitem(SPECS, "cifar10", spec)
    folder = ("--data-dir", str(archive.parent))
    assert states(*folder)["cifar10"] == "archive only"
    assert states(*folder)["imagefolder"] == "not usable"
    assert data("download", "cifar10", *folder) == f"{archive.parent / spec.batches}\n"
    assert states(*folder)["cifar10"] == "complete"
    (archive.parent / spec.batches / "test_batch").unlink()
    assert states(*folder)["cifar10"] == "incomplete"
    assert f"cifar10: remove {archive.parent / spec.batches}, then: " in data(*folder)
    image_folder(archive.parent)
    (entry,) = (e for e in json.loads(data("--json", *folder)) if e["name"] == "imagefolder")
    assert (entry["state"], entry["classes"], entry["train"], entry["test"]) == ("complete", 2, 6, 2)


def test_verify_counts_each_class(tmp_path: Path) -> None:
    verdict = json.loads(data("verify", "digits", "--json"))
    assert (sum(verdict["train"]), sum(verdict["test"]), len(verdict["classes"])) == (1437, 360, 10)
    folder = image_folder(tmp_path / "pictures")
    printed = data("verify", "imagefolder", "--data-dir", str(folder))
    assert printed.startswith("imagefolder: in order (8 images: decoded)\n")
    assert ["bee", "3", "1"] in [line.split() for line in printed.splitlines()]


def test_verify_finds_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, archive = small_cifar(tmp_path / "folder")
    monkeypatch.setitem(SPECS, "cifar10", spec)
    folder = ("--data-dir", str(archive.parent))
    assert "archive: published MD5" in data("verify", "cifar10", *folder)
    assert "archive and every batch file: published MD5" in data("verify", "cifar10", *folder)
    batch = archive.parent / spec.batches / "data_batch_1"
    whole = batch.read_bytes()
    batch.write_bytes(whole[:-1] + b"x")
    with pytest.raises(WorldError, match="data_batch_1: damaged"):
        data("verify", "cifar10", *folder)
    batch.write_bytes(whole)
    archive.write_bytes(archive.read_bytes()[:-1])
    with pytest.raises(WorldError, match=r"small.tar.gz: damaged"):
        data("verify", "cifar10", *folder)
    with pytest.raises(WorldError, match=r"cifar10 is not in .*cache; get it with: resnet-tui data download cifar10"):
        data("verify", "cifar10")


def test_verify_decodes_even_what_is_cached(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "pictures")
    data("verify", "imagefolder", "--data-dir", str(folder))
    (folder / "test" / "bee" / "0.png").write_bytes(b"")
    with pytest.raises(WorldError, match=r"test/bee/0.png: not an image"):
        data("verify", "imagefolder", "--data-dir", str(folder))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("download", "digits"), "nothing to download; allowed: cifar10, cifar100"),
        (("download", "cifra10"), "'cifra10'.*did you mean 'cifar10'"),
        (("verify", "cifar"), "'cifar'.*allowed: digits, iris"),
        (("verify", "imagefolder"), "give the one with train/|--data-dir FOLDER"),
    ],
)
def test_wrong_input(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        data(*arguments)
    assert caught.value.exit_status == 2


def test_messages_go_to_stderr_and_data_to_stdout(tmp_path: Path) -> None:
    wrong = run_cli("data", "verify", "imagefolder", "--data-dir", "no-such-folder", cwd=tmp_path)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("error: data.dir: the folder ")
    listed = run_cli("data", "--json", cwd=tmp_path)
    assert (listed.returncode, listed.stderr) == (0, "")
    assert len(json.loads(listed.stdout)) == 6


def test_a_pipe_gets_whole_paths_and_no_blanks_at_the_ends_of_lines(tmp_path: Path) -> None:
    folder = tmp_path / ("long " * 30).strip()
    folder.mkdir()
    lines = data("--data-dir", str(folder)).splitlines()
    assert sum(str(folder) in line for line in lines) >= 3
    assert [line for line in lines if line != line.rstrip()] == []
