"""A person's own presets: saved, found, listed, and never in the way of the shipped ones."""

import json
from pathlib import Path

import pytest
from support import tiny
from typer.testing import CliRunner

from engine import presets
from engine.config_file import build_config
from engine.errors import ConfigError, WorldError
from engine.folders import config_folder
from resnet_tui.cli import app


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RESNET_TUI_CONFIG", str(tmp_path / "settings"))
    assert config_folder() == tmp_path / "settings"
    return tmp_path / "settings" / "presets"


def test_what_was_saved_is_found_and_gives_the_same_run_under_its_name(folder: Path) -> None:
    path = presets.save("mine", tiny(), "A small one.\nFor tests.")
    assert path == folder / "mine.toml"
    assert "mine" in presets.names()
    assert presets.user_names() == ["mine"]
    assert "mine" not in presets.shipped_names()
    tree, source = presets.load("mine")
    assert source == "preset mine"
    assert build_config(tree, {}, source) == tiny().model_copy(update={"name": "mine"})
    assert presets.description(path) == "A small one.\nFor tests."


def test_an_own_preset_is_written_over_only_when_that_is_wanted() -> None:
    presets.save("mine", tiny())
    with pytest.raises(ConfigError, match="is there already"):
        presets.save("mine", tiny(train__epochs=9))
    presets.save("mine", tiny(train__epochs=9), replace=True)
    assert presets.load("mine")[0]["train"]["epochs"] == 9


@pytest.mark.parametrize("name", ["", "../up", "a b", ".hidden", "x" * 65, "a/b", "né", "\x1b[2J"])
def test_a_name_that_is_none_is_refused(name: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match="allowed: up to 64 letters"):
        presets.save(name, tiny())
    assert not folder.exists()


@pytest.mark.parametrize("name", ["quickstart", "QuickStart"])
def test_a_shipped_preset_stays_what_it_is(name: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match="ships with the project"):
        presets.save(name, tiny(), replace=True)
    folder.mkdir(parents=True)
    (folder / f"{name}.toml").write_text("[train]\nepochs = 1\n")
    assert presets.user_names() == []
    assert presets.locate("quickstart").parent == presets.folder()


def test_a_comment_cannot_become_a_setting() -> None:
    path = presets.save("mine", tiny(), "one\r[train]\x1b[0m\nepochs = 1")
    tree, _ = presets.load("mine")
    assert tree["train"]["epochs"] == 2
    assert "\x1b" not in path.read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_made_is_named(folder: Path) -> None:
    folder.parent.write_text("a file in the way")
    with pytest.raises(WorldError, match="RESNET_TUI_CONFIG"):
        presets.save("mine", tiny())
    assert presets.user_names() == []


def test_the_list_marks_own_presets_and_a_broken_one_hides_no_other(folder: Path) -> None:
    presets.save("mine", tiny(), "A small one.")
    (folder / "broken.toml").write_text("[train]\nepochs = -1\n")
    runner = CliRunner()
    listed = runner.invoke(app, ["presets"])
    assert listed.exit_code == 0
    (line,) = (line for line in listed.stdout.splitlines() if line.startswith("mine"))
    assert "(yours) A small one." in line
    assert "preset broken: train.epochs = -1" in listed.stderr
    entries = json.loads(runner.invoke(app, ["presets", "--json"]).stdout)
    assert entries["mine"]["own"]
    assert not entries["quickstart"]["own"]


def test_a_file_that_is_no_text_is_refused_and_one_that_is_cannot_speak_to_the_terminal(tmp_path: Path) -> None:
    from resnet_tui.cli import app

    (tmp_path / "no.toml").write_bytes(b'name = "\xff\xfe"\n')
    refused = CliRunner().invoke(app, ["presets", str(tmp_path / "no.toml")])
    assert isinstance(refused.exception, ConfigError)
    assert "not UTF-8 text, at byte 8" in str(refused.exception)
    (tmp_path / "yes.toml").write_bytes("# a\ttab, an \x1b]52;c;aGk=\x07 escape and 日本語\nseed = 1\n".encode())
    printed = CliRunner().invoke(app, ["presets", str(tmp_path / "yes.toml")])
    assert printed.stdout == "# a\ttab, an \ufffd]52;c;aGk=\ufffd escape and 日本語\nseed = 1\n"
