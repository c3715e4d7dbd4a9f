"""The pages: generated parts are up to date, what is linked is there, what is to be typed exists."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from docs_support import DOCS, ROOT
from typer.testing import CliRunner

from engine import presets
from engine.events import decode, decode_line
from resnet_tui.cli import app

PAGES = {str(path.relative_to(DOCS)): path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md"))}
COMMANDS = sorted({
    (page, command)
    for page, text in PAGES.items()
    for command in re.findall(r"^(?:\$ )?resnet-tui ([a-z][^#\n]*?)\s*(?:#.*)?$", text, re.MULTILINE)
})  # fmt: skip


def test_generated_parts_are_up_to_date_and_it_would_be_noticed(tmp_path: Path) -> None:
    copy = tmp_path / "docs"
    shutil.copytree(DOCS, copy, ignore=shutil.ignore_patterns("pictures", "reference", "*.py"))
    page = copy / "event-log.md"
    first, *rest = [line for line in page.read_text().splitlines() if line.startswith("| `loss` |")]
    page.write_text(page.read_text().replace(f"{first}\n", "", 1))
    assert rest
    told = subprocess.run(
        [sys.executable, "-m", "docs.reference", "--check", str(copy)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 1, told.stderr
    only_this = r"event-log\.md: out of date: line \d+ would be '\| `loss` .*; write it anew with: make docs\n"
    assert re.fullmatch(only_this, told.stdout), told.stdout


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        path = (DOCS / page).parent / file if file else DOCS / page
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {_anchor(heading) for heading in headings}, target


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_page_is_reached_from_the_first() -> None:
    linked = {str(Path(target)) for target in re.findall(r"\]\(([^)#\s]+\.md)", PAGES["README.md"])}
    assert linked >= PAGES.keys() - {"README.md"}


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_every_command_and_flag_exists(page: str, command: str) -> None:
    words = command.split()
    help_text = _help(words[0])
    if len(words) > 1 and re.search(rf"^  {re.escape(words[1])} ", help_text, re.MULTILINE):
        help_text += _help(*words[:2])
    assert "Usage:" in help_text, (page, command)
    for option in (word.partition("=")[0] for word in words if word.startswith("--")):
        assert re.search(rf"{option}\b", help_text), (page, command)


def _help(*command: str) -> str:
    return CliRunner().invoke(app, [*command, "--help"]).stdout


def test_every_preset_that_is_named_exists() -> None:
    own = {name for text in PAGES.values() for name in re.findall(r"file=presets/([\w-]+)\.toml", text)}
    named = {name for text in PAGES.values() for name in re.findall(r"--preset ([a-z0-9-]+)(?=\s|$)", text)}
    assert len(named) >= 4
    assert named <= set(presets.shipped_names()) | own


def test_lines_of_a_log_that_are_shown_are_events() -> None:
    shown = re.findall(r"^\{.*\}$", PAGES["event-log.md"], re.MULTILINE)
    assert len({decode(line.encode()).kind for line in shown}) >= 3


def test_what_may_come_to_the_format_is_passed_over() -> None:
    line = '{"seq":3,"time":1.0,"message":"it is warm","kind":"warning"}'
    assert decode(line.replace("}", ',"new":[1]}').encode()) == decode(line.encode())
    assert decode_line(line.replace("warning", "weather").encode()) is None
    without = line.replace('"seq":3,', "")
    assert decode(without.encode()).seq == 0
