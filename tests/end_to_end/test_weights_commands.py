"""``train --weights``, ``eval FILE`` and ``export`` as a user types them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from support import Cli, run_cli
from weights_support import Net, load, network, randomised

from engine.export import export_safetensors

TINY = ["--dataset", "synthetic", "--depth", "8", "--epochs", "1", "--batch-size", "16", "--device", "cpu"]
TINY += ["--set", "data.synthetic_size=64", "--set", "data.image_size=16", "--set", "data.normalise=imagenet"]
Command = Callable[..., str]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run on the digits, of averaged weights, and with other people's files."""
    folder = tmp_path_factory.mktemp("home")
    torch.save(randomised(Net((1, 1, 1), "linear", "shortcut", "A")).state_dict(), folder / "aka.pt")
    torch.save(randomised(Net((1, 1, 1), "fc_out", "shortcut", width=8)).state_dict(), folder / "unsaid.pt")
    torch.save(randomised(Net((1, 1, 1), "linear", "shortcut", "A", classes=7)).state_dict(), folder / "seven.pt")
    partial = randomised(Net((1, 1, 1), "linear", "shortcut", "A")).state_dict()
    partial["fc.extra"] = partial.pop("bn1.bias")
    torch.save(partial, folder / "partial.pt")
    settings = ["--depth", "8", "--width", "0.25", "--epochs", "2", "--set", "train.ema_decay=0.9"]
    normalised = ["--set", "data.normalise=half"]
    trained = run_cli(
        "train", "--headless", "--dataset", "digits", "--device", "cpu", *settings, *normalised, cwd=folder
    )
    assert trained.returncode == 0, trained.stderr
    return folder


@pytest.fixture
def ran(home: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command where one is, at first in ``home``; return its output, or what it refused with."""
    monkeypatch.chdir(home)

    def run(*arguments: str, status: int = 0) -> str:
        result = cli(*arguments, cwd=Path.cwd(), COLUMNS=300, RESNET_TUI_CACHE=home / "cache")
        assert result.returncode == status, result.stderr
        if not status:
            return result.stdout
        *progress, line = result.stderr.splitlines()
        assert all(text.startswith("making synthetic images") for text in progress), result.stderr
        assert line.startswith("error: ")
        return line

    return run


def scores(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.fixture
def ours(home: Path, ran: Command) -> str:
    """The run, exported."""
    ran("export", "last", "-o", "ours.safetensors", "--force")
    return "ours.safetensors"


def test_an_exported_run_scores_exactly_as_the_run(ran: Command, ours: str) -> None:
    # A file says not in what precision it was trained, and is evaluated in float32.
    run = scores(ran("eval", "last", "--set", "train.precision=float32", "--json"))
    file = scores(ran("eval", ours, "--dataset", "digits", "--json"))
    assert run["precision"] == file["precision"] == "float32"
    compared = ("split", "images", "loss", "accuracy", "top5", "per_class", "confusion")
    assert {key: file[key] for key in compared} == {key: run[key] for key in compared}
    assert file["images"] == 360
    assert file["accuracy"] > 0.2, "one that has learnt nothing proves nothing"
    assert (file["layout"], file["normalise"], file["network"]) == (
        "resnet-tui",
        "half",
        "ResNet-8, shortcut A, width ×0.25",
    )
    other = scores(ran("eval", ours, "--dataset", "digits", "--normalise", "unit", "--json"))
    assert (other["normalise"], other["loss"] == file["loss"]) == ("unit", False)


def test_the_checkpoint_that_is_exported_is_chosen(ran: Command, home: Path) -> None:
    ran("export", "last", "--checkpoint", "last", "-o", "last.safetensors", "--force")
    assert (
        scores(ran("eval", "last.safetensors", "--dataset", "digits", "--json"))["accuracy"]
        == (scores(ran("eval", "last", "--checkpoint", "last", "--json"))["accuracy"])
    )


def test_eval_of_a_foreign_file_tells_its_facts(ran: Command) -> None:
    text = ran("eval", "aka.pt", "--dataset", "digits")
    facts = {" ".join(line.split()) for line in text.splitlines()}
    assert "network ResNet-8, shortcut A, 10 classes" in facts
    assert "layout akamaster/pytorch_resnet_cifar10" in facts
    assert "normalised imagenet" in facts
    assert any(fact.startswith("loaded 44 tensors; sha256 ") for fact in facts)
    assert "missing" not in text


def test_eval_of_a_foreign_file_as_json(ran: Command) -> None:
    found = scores(ran("eval", "unsaid.pt", "--dataset", "digits", "--normalise", "cifar10", "--json"))
    assert (found["source"], found["layout"], found["normalise"]) == ("unsaid.pt", "the ResNet20 document", "cifar10")
    assert (found["network"], found["model"]["shortcut"]) == ("ResNet-8, shortcut B, width ×0.5", "B")
    assert (found["missing"], found["left_out"], len(found["sha256"])) == ([], [], 64)
    assert sum(map(sum, found["confusion"])) == found["images"] == 360
    assert len(found["per_class"]) == 10


def test_eval_of_a_partial_file(ran: Command) -> None:
    said = ran("eval", "partial.pt", "--dataset", "digits", status=2)
    assert "missing or of another shape: stem.norm.bias (absent)" in said
    assert "without a place in this network: fc.extra: not a part of the network" in said
    assert "--allow-partial" in said
    assert "--arch" not in said, "eval has no such flag"
    found = scores(ran("eval", "partial.pt", "--dataset", "digits", "--allow-partial", "--json"))
    assert found["missing"] == ["stem.norm.bias (absent)"]
    assert found["left_out"] == ["fc.extra: not a part of the network"]
    text = ran("eval", "partial.pt", "--dataset", "digits", "--allow-partial")
    assert "random instead: stem.norm.bias (absent)" in text
    assert "fc.extra: not a part of the network" in text


REFUSED: list[tuple[list[str], list[str]]] = [
    (["eval", "unsaid.pt", "--dataset", "digits"], ["unsaid.pt (the ResNet20 document)", "--normalise cifar10"]),
    (["eval", "aka.pt", "--normalise", "cifar"], ["--normalise", "'cifar'", "did you mean 'cifar10'"]),
    (["eval", "aka.pt", "--dataset", "iris"], ["aka.pt tells 10 classes apart and iris has 3", "--dataset"]),
    (["eval", "seven.pt"], ["seven.pt tells 7 classes apart", "--dataset imagefolder --data-dir"]),
    (["eval", "seven.pt", "--dataset", "digits"], ["seven.pt tells 7 classes apart and digits has 10"]),
    (["eval", "ours.safetensors", "--dataset", "synthetic"], ["other names", "synthetic", "give the data"]),
    (["eval", "aka.pt", "--dataset", "digits", "--split", "val"], ["--split val", "--split test"]),
    (["export", "aka.pt", "--format", "onxx"], ["--format 'onxx'", "safetensors, onnx", "did you mean 'onnx'"]),
    (["export", "aka.pt", "-o", "aka.pt"], ["--output aka.pt", "there is such a file", "--force"]),
    (["export", "aka.pt", "-o", "nowhere/x"], ["--output nowhere/x", "no folder nowhere", "make it first"]),
    (["export", "aka.pt", "-o", "aka.pt/x"], ["--output aka.pt/x", "no folder aka.pt"]),
    (["export", "aka.pt", "-o", ".", "--force"], ["--output .", "a folder", "name of a file"]),
    (["export", "aka.pt", "-o", "/dev/null", "--force"], ["--output /dev/null", "device", "name of a file"]),
    (["export", "aka.pt", "-o", "x.onnx"], ["--output x.onnx", "safetensors", "--format"]),
    (["eval", "aka.pt", "--checkpoint", "last"], ["--checkpoint last", "only a run"]),
    (["eval", "last", "--allow-partial"], ["--allow-partial", "complete"]),
    (["eval", "last", "--set", "model.depth=56"], ["--set model.depth=56", "data.*"]),
    (["export", "aka.pt", "-o", "x" * 5000], ["--output xxx", "give another name"]),
    (["export", "aka.pt", "--input", "3x32x32"], ["--input '3x32x32'", "--format onnx"]),
    (["export", "aka.pt", "--format", "onnx", "--input", "1x32x32"], ["--input 1×32×32", "ResNet-8", "3x32x32"]),
    (["export", "aka.pt", "--format", "onnx", "--input", "4"], ["--input 4", "ResNet-8", "3x32x32"]),
    (["export", "aka.pt", "--format", "onnx", "--input", "big"], ["--input 'big'", "3x224x224"]),
    (["export", "aka.pt", "--checkpoint", "worst"], ["--checkpoint 'worst'", "best, last"]),
    (["export", "partial.pt"], ["partial.pt is no complete ResNet-8", "stem.norm.bias", "fc.extra"]),
    (["export", "nothing"], ["no weights at 'nothing'", "torchvision:resnet18"]),
    (["train", "--headless", *TINY, "--weights", ""], ["--weights is empty", "a run, a file"]),
    (["train", "--headless", *TINY, "--set", "weights.source="], ["--set weights.source= is empty"]),
    (["train", "--headless", *TINY, "--weights", "nothing"], ["no weights at 'nothing'"]),
    (["train", "--headless", *TINY, "--allow-partial"], ["--allow-partial", "without weights", "--weights SOURCE"]),
    (["train", "--headless", *TINY, "--set", "weights.stem=adept"], ["weights.stem", "'adept'", "'adapt'"]),
]


@pytest.mark.parametrize(("arguments", "words"), REFUSED, ids=lambda value: " ".join(value)[:60])
def test_what_is_refused(ran: Command, ours: str, home: Path, arguments: list[str], words: list[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in home.iterdir()}
    said = ran(*arguments, status=2)
    assert all(word in said for word in words), said
    assert {path: path.stat().st_mtime_ns for path in home.iterdir()} == before, "something was written"


def test_a_damaged_file_is_the_worlds_fault(ran: Command, home: Path) -> None:
    (home / "cut.pt").write_bytes((home / "aka.pt").read_bytes()[:5000])
    assert "cut.pt: damaged" in ran("eval", "cut.pt", "--dataset", "digits", status=1)


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="needs a folder that even root cannot write")
def test_a_folder_that_cannot_be_written_is_the_worlds_fault(home: Path) -> None:
    result = run_cli("export", "aka.pt", "-o", "/proc/x.safetensors", cwd=home)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert "/proc/" in line


def test_export_says_what_it_wrote_and_writes_over_a_file_only_if_told(ran: Command, home: Path) -> None:
    said = ran("export", "aka.pt")
    assert said == (
        "resnet8.safetensors: 44 tensors of ResNet-8, shortcut A, 10 classes, images normalised as imagenet\n"
    )
    assert "resnet8.safetensors: there is such a file" in ran("export", "aka.pt", status=2)
    first = (home / "resnet8.safetensors").read_bytes()
    assert ran("export", "aka.pt", "--force") == said
    assert (home / "resnet8.safetensors").read_bytes() == first, "the same weights, the same file"
    theirs, again = load(home / "aka.pt"), load(home / "resnet8.safetensors")
    assert (again.model, again.normalise) == (theirs.model, theirs.normalise)
    assert all(torch.equal(again.tensors[name], tensor) for name, tensor in theirs.tensors.items())


@pytest.mark.parametrize(("source", "path"), [("last", "resnet8x0.25.onnx"), ("aka.pt", "theirs.onnx")])
def test_onnx_runs_elsewhere_and_gives_the_same_logits(ran: Command, home: Path, source: str, path: str) -> None:
    output = () if source == "last" else ("--output", path)
    said = ran("export", source, "--format", "onnx", *output)
    assert said.startswith(f"{path}: ResNet-8, shortcut A")
    assert "run beside PyTorch: logits differ by at most" in said
    session = onnxruntime.InferenceSession(home / path, providers=["CPUExecutionProvider"])
    assert ([given.name for given in session.get_inputs()], [out.name for out in session.get_outputs()]) == (
        ["images"],
        ["logits"],
    )
    described = json.loads(session.get_modelmeta().custom_metadata_map["resnet-tui"])
    assert described["model"]["depth"] == 8
    assert described["normalise"] == ("half" if source == "last" else "imagenet")
    weights = load(source if source == "last" else home / source, home / "runs")
    x = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected = network(weights)(x)
    assert expected.std() > 1e-3
    (found,) = session.run(None, {"images": x.numpy()})
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-4, atol=1e-4)


def test_a_file_that_cannot_be_written_in_full_leaves_the_old_one(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"old")

    def full(_descriptor: int) -> None:
        assert path.read_bytes() == b"old"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        export_safetensors(load(home / "aka.pt"), path)
    assert caught.value.filename == str(path)
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [(path.name, b"old")]


def begun(runs: Path, before: set[Path]) -> tuple[Path, str]:
    """Return the run that is new in ``runs``, and what its configuration says it began with."""
    (run,) = set(runs.iterdir()) - before
    source: str = tomllib.loads((run / "config.toml").read_text())["weights"]["source"]
    return run, source


def test_training_begins_with_a_file_and_then_with_that_run(
    ran: Command, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative file and a run's name, as a flag or in a preset: config.toml has it in a way that holds anywhere."""
    runs = tmp_path / "runs"
    train = ["train", "--headless", *TINY, "--runs-dir", str(runs)]
    assert "akamaster" in ran(*train, "--weights", "aka.pt")
    first, source = begun(runs, set())
    assert source == str(home / "aka.pt")
    (tmp_path / "preset.toml").write_text(f'[weights]\nsource = "{first.name}"\n')
    monkeypatch.chdir(tmp_path)
    for named in (["--weights", first.name], ["--preset", "preset.toml"]):
        before = set(runs.iterdir())
        ran(*train, *named)
        assert begun(runs, before)[1] == str(first)


def test_a_run_that_names_no_network_has_that_of_its_weights(ran: Command, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    (source,) = (path for path in Path("runs").iterdir() if path.name.endswith("-s1"))
    train = ["train", "--headless", "--epochs", "1", "--device", "cpu", "--runs-dir", str(runs)]
    said = ran(*train, "--weights", str(source))
    assert "network   ResNet-8, shortcut A, width ×0.25" in said
    new, _ = begun(runs, set())
    assert new.name.endswith("resnet8x0.25-digits-s1")
    refused = ran(*train, "--weights", str(source), "--depth", "14", status=2)
    assert "choose the same network (--arch resnet --depth 8 --width 0.25)" in refused


def test_training_with_a_part_of_a_network(ran: Command, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    train = ["train", "--headless", *TINY, "--runs-dir", str(runs), "--weights", "partial.pt"]
    assert "stem.norm.bias (absent)" in ran(*train, status=2)
    assert not runs.exists()
    ran(*train, "--allow-partial")
    run, _ = begun(runs, set())
    events = (json.loads(line) for line in (run / "events.jsonl").read_text().splitlines())
    (loaded,) = (event for event in events if event["kind"] == "weights_loaded")
    assert loaded["loaded"] == 43
    assert loaded["missing"] == ["stem.norm.bias (absent)"]
    assert loaded["left_out"] == ["fc.extra: not a part of the network"]
