"""Leaving the dashboard: what it asks where a run is live, what each answer does, and where it asks nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from made_run import MadeRun
from runs_support import keep
from support import of, tiny
from textual.pilot import Pilot
from tui_support import dashboard, drive, only_run, recorded, run_screen, text_of, until

from engine.control import StopNow, post
from engine.events import Evaluated, RunFinished, encode
from engine.run_dir import RunDir, iterate
from resnet_tui.run.source import NewRun, ReplayedRun, WatchedRun
from resnet_tui.screens.quit import Quit


def wait_until(wanted: Callable[[], object], timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not wanted():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def dialog(pilot: Pilot[None]) -> str:
    """Return what the dialog says, without its frame."""
    box = pilot.app.screen.query_one("#dialog").region
    lines = text_of(pilot).splitlines()[box.y : box.bottom]
    return " ".join(" ".join(line[box.x + 1 : box.right - 1] for line in lines).split())


async def asked(pilot: Pilot[None], *keys: str) -> str:
    """Press ``keys`` and return what the dialog that they bring says."""
    await pilot.press(*keys)
    await until(pilot, lambda: isinstance(pilot.app.screen, Quit) and "Do not quit" in text_of(pilot))
    return dialog(pilot)


async def back(pilot: Pilot[None]) -> None:
    await pilot.press("escape")
    await until(pilot, lambda: not isinstance(pilot.app.screen, Quit))
    assert pilot.app.is_running


async def gone(pilot: Pilot[None]) -> None:
    await until(pilot, lambda: not pilot.app.is_running)


def letter(said: str, label: str) -> str:
    """Return the letter that stands before a choice."""
    found = re.search(rf"\b(\w) {label}", said)
    assert found, said
    return found[1]


def live_run(runs: Path) -> RunDir:
    """A run in its second epoch, held by this process."""
    made = MadeRun(3)
    run = keep(runs, "live", [*made.begin(), *made.epoch(1), *made.end_epoch(1, 0.5), *made.epoch(2, last=3)])
    run.acquire()
    return run


def endless() -> NewRun:
    return NewRun(tiny(train__epochs=5000))


def test_every_way_to_quit_asks_on_every_screen_and_the_epoch_is_finished_where_that_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"

    async def test() -> None:
        async with dashboard(tmp_path, monkeypatch, endless()) as pilot:
            await until(pilot, lambda: run_screen(pilot).doing == "training")
            for key in ("ctrl+c", "ctrl+q", "q"):
                await asked(pilot, key)
                await pilot.press("ctrl+c", "ctrl+q")  # asked already
                await back(pilot)
            await pilot.press("f4")
            await until(pilot, lambda: "1 live" in text_of(pilot))
            said = await asked(pilot, "q")
            assert only_run(runs).name in said
            assert re.search(r"epoch \d+ of 5000", said)
            await pilot.press(letter(said, "Stop after this epoch"))
            await gone(pilot)

    drive(test)
    wait_until(lambda: not only_run(runs).is_alive())
    events = recorded(runs)
    (finished,) = of(events, RunFinished)
    assert finished.outcome == "stopped"
    assert of(events, Evaluated)[-1].epoch == finished.epochs
    assert of(events, Evaluated)[-1].step == finished.steps == finished.epochs * 5


def test_a_run_that_shall_not_begin_leaves_neither_folder_nor_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"

    async def test() -> None:
        async with dashboard(tmp_path, monkeypatch, endless()) as pilot:
            engine = run_screen(pilot).engine
            assert engine is not None
            said = await asked(pilot, "ctrl+c")
            assert "no folder yet" in said
            await pilot.press(letter(said, "Stop it before it begins"))
            await gone(pilot)
            wait_until(lambda: not engine.running)

    drive(test)
    assert list(iterate(runs)) == []


def test_a_run_that_is_left_while_it_starts_begins_and_trains_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"

    async def test() -> None:
        async with dashboard(tmp_path, monkeypatch, endless()) as pilot:
            said = await asked(pilot, "q")
            await pilot.press(letter(said, "Leave it starting"))
            await gone(pilot)

    drive(test)
    wait_until(lambda: any(of(recorded(runs), Evaluated) for _ in iterate(runs)))
    run = only_run(runs)
    assert run.is_alive()
    post(run.control, StopNow())
    wait_until(lambda: not run.is_alive())
    assert of(recorded(runs), RunFinished)[0].outcome == "stopped"


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
def test_the_dialog_says_what_each_choice_does_to_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    run = live_run(tmp_path / "runs")

    async def test() -> None:
        async with dashboard(tmp_path, monkeypatch, WatchedRun(run), size=size) as pilot:
            await until(pilot, lambda: run_screen(pilot).doing == "training")
            said = await asked(pilot, "q")
            for words in (
                "live training: epoch 2 of 3, step 13",
                "Leave it running It trains on without the dashboard. Come back with: resnet-tui watch live",
                "Stop after this epoch It is trained to its end, evaluated and saved.",
                "Stop now A checkpoint is saved first; the run can be resumed from it",
                "Do not quit Back to the dashboard.",
            ):
                assert words in said
            letters = [letter(said, label) for label in ("Leave it", "Stop after", "Stop now", "Do not quit")]
            assert len(set(letters)) == len(letters)
            await pilot.press(letter(said, "Do not quit"))
            await until(pilot, lambda: not isinstance(pilot.app.screen, Quit))
            await asked(pilot, "q")
            await pilot.press("enter")  # the first choice
            await gone(pilot)
            assert pilot.app.left is run  # type: ignore[attr-defined]  # of the dashboard

    drive(test)
    assert not run.control.exists()
    run.release()


def test_a_run_that_ends_while_one_thinks_about_it_is_asked_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = live_run(tmp_path / "runs")

    async def test() -> None:
        async with dashboard(tmp_path, monkeypatch, WatchedRun(run)) as pilot:
            screen = run_screen(pilot)
            await until(pilot, lambda: screen.doing == "training")
            said = await asked(pilot, "q")
            with run.events.open("ab") as file:
                file.write(encode(MadeRun().finish()))
            run.release()
            await until(pilot, lambda: screen.doing == "completed")
            await pilot.press(letter(said, "Stop now"))
            await gone(pilot)

    drive(test)
    assert not run.control.exists()


@pytest.mark.parametrize(
    ("how", "key"), [("finished", "q"), ("read-only", "ctrl+c"), ("replayed", "ctrl+q"), ("lost", "ctrl+c")]
)
def test_where_nothing_can_be_lost_nothing_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, key: str
) -> None:
    run = live_run(tmp_path / "runs")
    if how == "finished":
        with run.events.open("ab") as file:
            file.write(encode(MadeRun().finish()))
    if how != "read-only":
        run.release()
    source = ReplayedRun(run) if how == "replayed" else WatchedRun(run, readonly=how == "read-only")

    async def test() -> None:
        async with dashboard(tmp_path, monkeypatch, source) as pilot:
            await until(pilot, lambda: run_screen(pilot).state.started)
            if how in {"finished", "lost"}:
                await until(pilot, lambda: run_screen(pilot).doing in {"completed", "lost"})
            await pilot.press(key)
            await gone(pilot)
            assert pilot.app.return_code in {None, 0}

    drive(test)
    run.release()
