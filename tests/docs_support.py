"""Takes the code blocks of pages of the documentation, applies them to a copy of the project, runs their commands.

A block with ``file=`` is a file, or, in ``diff``, changes to one: lines that must be there once, with what becomes of
them. A ``console`` block has commands after ``$`` and what they print; with ``similar``, numbers may differ. ``…``
stands for anything.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
_BLOCK = re.compile(r"^```(?P<language>\w+)(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_SHARED = ("engine", "resnet_tui", "presets")
_NUMBER = re.compile(r"\d[\d,.:]*(?:e[-+]\d+)?")
_COMMANDS = """
import contextlib, io, json, shlex, sys
from resnet_tui.start import main

for command in json.load(sys.stdin):
    sys.argv = shlex.split(command)
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), contextlib.suppress(SystemExit):
        main()
    print(json.dumps(said.getvalue()))
"""


@dataclass(frozen=True)
class Block:
    """A code block of a page."""

    language: str
    info: str
    """What stands after the language."""
    text: str

    @property
    def file(self) -> str:
        """The file of the project that it is or changes; empty: none."""
        return self.info.removeprefix("file=") if self.info.startswith("file=") else ""


def blocks(page: str) -> list[Block]:
    """Return the code blocks of ``docs/<page>`` in order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return [Block(found["language"], found["info"].strip(), found["text"]) for found in _BLOCK.finditer(text)]


@dataclass(frozen=True)
class Project:
    """A copy of the project with changes."""

    folder: Path

    def python(self, code: str, given: object = None) -> str:
        """Run ``code`` in the copy, ``given`` as JSON on its standard input, and return what it prints."""
        variables = {
            "PYTHONPATH": f"{self.folder}{os.pathsep}{ROOT / 'tests'}",
            "COLUMNS": "80",
            "RESNET_TUI_CONFIG": str(self.folder / "config"),
            "RESNET_TUI_CACHE": str(self.folder / "cache"),
        }
        ran = subprocess.run(
            [sys.executable, "-c", code],
            cwd=self.folder,
            env=os.environ | variables,
            input=json.dumps(given),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert not ran.returncode, ran.stderr
        return ran.stdout

    def commands(self, commands: Sequence[str]) -> list[str]:
        """Run commands of ``resnet-tui``, all in one process, and return what each prints."""
        return [json.loads(line) for line in self.python(_COMMANDS, commands).splitlines()]

    def new_modules(self) -> list[Path]:
        """Return the modules that the pages add."""
        here = (path.relative_to(self.folder) for name in _SHARED for path in (self.folder / name).rglob("*.py"))
        return [self.folder / path for path in here if not (ROOT / path).exists()]


def project(folder: Path, *pages: str) -> Project:
    """Copy the project to ``folder`` and apply the blocks of ``pages`` that have files."""
    for name in _SHARED:
        # With what is compiled, so that nothing is compiled again, but not what is being written just now.
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.pyc.*"))
    for block in (block for page in pages for block in blocks(page) if block.file):
        path = folder / block.file
        path.write_text(changed(path.read_text(), block.text) if block.language == "diff" else block.text)
    return Project(folder)


def changed(text: str, diff: str) -> str:
    """Return ``text`` with the hunks of ``diff``, which are told apart by ``@@`` and found by their lines."""
    for hunk in re.split(r"^@@\n", diff, flags=re.MULTILINE):
        lines = hunk.splitlines()
        before = "\n".join(line[1:] for line in lines if not line.startswith("+"))
        after = "\n".join(line[1:] for line in lines if not line.startswith("-"))
        assert text.count(f"{before}\n") == 1, f"not there, or more than once:\n{before}"
        text = text.replace(f"{before}\n", f"{after}\n")
    return text


@dataclass(frozen=True)
class Shown:
    """A command of a page, and what it prints there."""

    command: str
    printed: str
    similar: bool

    def is_like(self, said: str) -> bool:
        """Whether what was ``said`` is what the page shows."""
        tidied = _rough if self.similar else _tidied
        pattern = ".*".join(map(re.escape, tidied(self.printed).split("…")))
        return re.fullmatch(pattern, tidied(said), re.DOTALL) is not None


def shown(page: str) -> Iterator[Shown]:
    """Yield the commands of a page."""
    for block in blocks(page):
        for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:] if block.language == "console" else ():
            command, _, printed = part.partition("\n")
            yield Shown(command, printed, block.info == "similar")


def _tidied(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines())


def _rough(text: str) -> str:
    """Return ``text`` without what another machine, or another hour, has otherwise."""
    lines = (_NUMBER.sub("0", line.removesuffix(" best")) for line in _tidied(text).splitlines())
    return "\n".join(re.sub(r" +", " ", line).replace("0 s", "0") for line in lines)
