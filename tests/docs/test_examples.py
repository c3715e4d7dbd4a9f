"""The examples of the pages: what they add to the project works, and they show what one then sees."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from docs_support import ROOT, blocks, project, shown
from support import outcome, tiny, train

from engine.event_log import read_events
from engine.events import Event, Step
from engine.run_dir import iterate

NETWORK, DATASET, SINK, PANEL = (f"adding/{name}.md" for name in ("network", "dataset", "sink", "panel"))
STATUS_LINE = "engine.sinks.status_line"
_IN_SET_UP = """
from resnet_tui.setup.choices import Choices
from resnet_tui.setup.draft import Draft
from resnet_tui.setup.fields import FIELDS

for key in ("model.arch", "data.dataset"):
    for option in Choices(None).options(Draft.from_preset("quickstart"), FIELDS[key]):
        print(option.label, option.note)
"""
_SPLIT = """
import numpy as np
from engine.config import DataConfig
from engine.data.facts import facts
from engine.data.sources import load

config = DataConfig(dataset="patches")
try:
    next(load(config, 1))
except StopIteration as end:
    data = end.value
assert facts(config).shape == data.shape, data.shape
assert (facts(config).train, facts(config).test) == (len(data.train), len(data.test))
assert np.bincount(data.test.y).tolist() == [52, 52]
seen = {image.tobytes() for image in data.train.x}
assert not any(image.tobytes() in seen for image in data.test.x)
"""
_OPEN = """
import asyncio
from pathlib import Path
from tui_support import text_of, until
from engine.run_dir import find
from resnet_tui.app import Dashboard
from resnet_tui.run.source import WatchedRun

async def main():
    app = Dashboard(Path("runs"), WatchedRun(find(Path("runs"), "last")))
    async with app.run_test(size=(100, 14)) as pilot:
        await until(pilot, lambda: "8 gap" in text_of(pilot) and "completed" in text_of(pilot))
        await pilot.press("8")
        await until(pilot, lambda: "train acc" in text_of(pilot))
        print(text_of(pilot))

asyncio.run(main())
"""


def test_commands_print_what_the_pages_show(tmp_path: Path) -> None:
    made = project(tmp_path, NETWORK, DATASET, SINK)
    wanted = [one for page in (NETWORK, DATASET, SINK) for one in shown(page) if one.command.startswith("resnet-tui")]
    wanted += [one for one in shown("tutorial.md") if one.command.startswith("resnet-tui shapes")]
    assert len(wanted) == 10
    for one, said in zip(wanted, made.commands([one.command for one in wanted]), strict=True):
        assert one.is_like(said), f"$ {one.command}\n{said}"
    (status,) = (one for one in shown(SINK) if one.command.startswith("cat"))
    (written,) = tmp_path.glob(status.command.removeprefix("cat "))
    assert status.is_like(written.read_text())
    in_set_up = made.python(_IN_SET_UP)
    assert "separable a 3×3 kernel for each channel" in in_set_up
    assert "patches pieces of two photographs" in in_set_up
    made.python(_SPLIT)


def test_the_code_of_the_pages_is_as_clean_as_the_projects(tmp_path: Path) -> None:
    files = project(tmp_path, NETWORK, DATASET, SINK, PANEL).new_modules()
    assert len(files) == 4
    checked = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--config", str(ROOT / "pyproject.toml"), *map(str, files)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not checked.returncode, checked.stdout


def test_a_panel_shows_in_the_dashboard_what_its_page_shows(tmp_path: Path) -> None:
    made = project(tmp_path, PANEL)
    train(tiny(train__epochs=4), tmp_path / "runs")
    lines = [line.strip() for line in made.python(_OPEN).splitlines()]
    (picture,) = (block.text for block in blocks(PANEL) if block.info == "seen")
    header, *epochs = picture.splitlines()
    at = lines.index(header.strip())
    found = lines[at + 1 : at + 5]
    assert [line.split()[0] for line in found] == ["4", "3", "2", "1"]
    pattern = re.compile(r"\d+ +\d+\.\d\d % +\d+\.\d\d % +-?\d+\.\d\d %( +█*)?")
    assert all(pattern.fullmatch(line.strip()) for line in (*found, *epochs))


@pytest.fixture
def status_line(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the sink's module, which others can import."""
    made = ModuleType(STATUS_LINE)
    monkeypatch.setitem(sys.modules, STATUS_LINE, made)
    exec(compile(_file("engine/sinks/status_line.py"), SINK, "exec"), vars(made))
    return made


def _file(name: str) -> str:
    (text,) = (block.text for block in blocks(SINK) if block.file == name)
    return text


@pytest.mark.usefixtures("status_line")
def test_a_sink_of_ones_own_program_writes_what_its_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(_file("train_with_status.py"), SINK, "exec"), {})
    (one,) = (one for one in shown(SINK) if one.command.startswith("python"))
    assert one.is_like(capsys.readouterr().out)


def test_a_sink_gets_every_event_of_the_log(status_line: ModuleType, tmp_path: Path) -> None:
    seen: list[Event] = []

    class Counted(status_line.StatusLineSink):  # type: ignore[misc, name-defined]  # of the page
        def emit(self, event: Event) -> None:
            seen.append(event)
            super().emit(event)

    train(tiny(), tmp_path / "runs", sinks=[Counted(tmp_path / "status.txt")])
    (run,) = iterate(tmp_path / "runs")
    kept = [event for event in seen if event.kind != "progress"]
    assert kept == [event for event in read_events(run.events) if event.kind != "progress"]
    assert (tmp_path / "status.txt").read_text().startswith("completed: epoch 2 of 2, best ")


def test_a_sink_that_cannot_write_does_not_end_the_run(status_line: ModuleType, tmp_path: Path) -> None:
    events = train(tiny(), sinks=[status_line.StatusLineSink(tmp_path / "no such folder" / "status.txt")])
    assert outcome(events).outcome == "completed"


def test_what_leaves_a_sink_ends_the_run_and_says_why() -> None:
    class Full:
        def emit(self, event: Event) -> None:
            if isinstance(event, Step):
                raise OSError("no room left")

        def close(self) -> None: ...

    finished = outcome(train(tiny(), sinks=[Full()]))
    assert finished.outcome == "failed"
    assert "no room left" in finished.reason
