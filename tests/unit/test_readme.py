"""The README promises nothing that is not there."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine import presets
from resnet_tui.cli import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"^(?:\$ )?resnet-tui ([a-z].+?)\s*(?:#.*)?$", README, re.MULTILINE)))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_flag_exists(command: str) -> None:
    words = command.split()
    options = [word.partition("=")[0] for word in words if word.startswith("--")]
    help_text = CliRunner().invoke(app, [words[0], "--help"]).stdout
    assert "Usage:" in help_text, command
    assert all(re.search(rf"{option}\b", help_text) for option in options), command


def test_every_file_that_is_linked_exists() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_preset_that_is_named_exists() -> None:
    named = set(re.findall(r"--preset ([a-z0-9-]+)(?=\s|$)", README)) | set(
        re.findall(r"`([a-z]+[a-z0-9-]*-cifar[a-z0-9-]+)`", README)
    )
    assert len(named) >= 5
    assert named <= set(presets.names())


def test_python_examples_are_valid() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        imports = "\n".join(line for line in block.splitlines() if line.startswith(("from", "import")))
        exec(imports, {})  # every name that an example imports is there
        compile(block, "README.md", "exec")


def test_every_output_was_filled_in() -> None:
    assert re.findall(r"\b[A-Z]+_(?:OUTPUT|INPUT)\b|BAD_INPUT", README) == []
