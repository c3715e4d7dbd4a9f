"""A session in which one may only look: nothing starts, changes, stops or deletes a run, and nothing is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from made_run import MadeRun
from runs_support import keep
from support import tiny
from textual.command import CommandPalette
from textual.pilot import Pilot
from textual.widgets import OptionList
from tui_support import dashboard, drive, run_screen, text_of, until

from engine.run_dir import RunDir
from resnet_tui.messages import StartRun
from resnet_tui.run.source import WatchedRun
from resnet_tui.screens.run import RunScreen
from resnet_tui.screens.runs import RunsScreen
from resnet_tui.widgets.run_table import RunTable

CHANGING = {
    *("app.set_up", "app.suspend", "runs.resume", "runs.remove"),
    *("run.pause", "run.resume", "run.stop", "run.checkpoint", "run.evaluate", "run.rate", "run.extend"),
}
LIST_KEYS = ("f2", "f3", "f5", "u", "d", "delete", "ctrl+s", "ctrl+g", "ctrl+z")
RUN_KEYS = ("f2", "p", "s", "c", "e", "r", "a", "ctrl+z", "ctrl+s")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Make a run that is over and one that trains, as far as can be seen."""
    keep(tmp_path / "runs", "a-ended", MadeRun(3).whole([0.5, 0.75, 0.9]), MadeRun(3))
    return tmp_path / "runs"


@pytest.fixture
def live(runs: Path) -> Any:
    made = MadeRun(3)
    run = keep(runs, "b-live", made.begin(), made)
    run.acquire()
    yield run
    run.release()


def offered(pilot: Pilot[None]) -> set[str]:
    """Return the names of what can be done now."""
    return {active.binding.id or "" for active in pilot.app.screen.active_bindings.values() if active.enabled}


def offers(choices: OptionList) -> str:
    return " ".join(str(choices.get_option_at_index(i).prompt) for i in range(choices.option_count))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "heartbeat"}


async def listed(pilot: Pilot[None]) -> None:
    await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen) and "a-ended" in text_of(pilot))
    table = pilot.app.screen.query_one(RunTable)
    await until(pilot, lambda: table.current is not None and table.has_focus)


def test_the_list_is_all_there_is_and_changes_nothing(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(runs)

    async def test() -> None:
        async with dashboard(tmp_path, monkeypatch, readonly=True) as pilot:
            await listed(pilot)
            assert offered(pilot) & CHANGING == set()
            await until(pilot, lambda: "read-only" in text_of(pilot))
            assert "resumes it" not in text_of(pilot)
            await pilot.press(*LIST_KEYS)
            pilot.app.screen.post_message(StartRun(tiny()))
            await pilot.pause()
            assert type(pilot.app.screen) is RunsScreen
            await pilot.press("ctrl+p")
            await until(pilot, lambda: isinstance(pilot.app.screen, CommandPalette))
            choices = pilot.app.screen.query_one(OptionList)
            await until(pilot, lambda: "Theme" in offers(choices))  # which comes last
            said = offers(choices)
            for word in ("Set up", "Remove", "Resume", "shell"):
                assert word not in said
            await pilot.press("escape")
            pilot.app.theme = "textual-light"
            await pilot.press("q")
            await until(pilot, lambda: not pilot.app.is_running)

    drive(test)
    assert contents(runs) == before
    assert not (tmp_path / "config").exists()


def test_the_same_keys_would_change_something_otherwise(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        async with dashboard(tmp_path, monkeypatch, WatchedRun(RunDir(runs / "a-ended"))) as pilot:
            await pilot.press("f4")
            await listed(pilot)
            assert {"app.set_up", "runs.resume", "runs.remove"} <= offered(pilot)
            await until(pilot, lambda: "u trains it for more epochs" in " ".join(text_of(pilot).split()))

    drive(test)
    assert (tmp_path / "config" / "dashboard.toml").exists()


@pytest.mark.parametrize("began", ["in the list", "with the run"])
def test_a_live_run_is_only_looked_at(
    live: RunDir, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, began: str
) -> None:
    before = contents(runs)
    source = WatchedRun(live, readonly=True) if began == "with the run" else None

    async def test() -> None:
        async with dashboard(tmp_path, monkeypatch, source, readonly=source is None) as pilot:
            if source is None:
                await listed(pilot)
                while pilot.app.screen.query_one(RunTable).current != live.path:
                    await pilot.press("down")
                await pilot.press("enter")
                await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen))
            await until(pilot, lambda: run_screen(pilot).state.started)
            await until(pilot, lambda: "read-only" in text_of(pilot))
            assert offered(pilot) & CHANGING == set()
            await pilot.press(*RUN_KEYS)
            await pilot.pause()
            assert type(pilot.app.screen) is RunScreen
            await pilot.press("3", "f4")  # looking works
            await listed(pilot)
            assert offered(pilot) & CHANGING == set()
            await pilot.press("q")  # nothing to ask: it cannot be stopped from here
            await until(pilot, lambda: not pilot.app.is_running)

    drive(test)
    assert contents(runs) == before
    assert not (tmp_path / "config").exists()
