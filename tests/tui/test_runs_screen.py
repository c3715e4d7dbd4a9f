"""The list of runs, driven by keys and mouse."""

import time
from pathlib import Path
from typing import Any

import pytest
from made_run import MadeRun
from runs_support import HOSTILE, Shown, drive, keep, until
from support import tiny, train
from textual.pilot import Pilot
from textual.widgets import Input
from tui_support import dashboard, text_of
from tui_support import drive as drive_dashboard

from engine.run_dir import RunDir
from resnet_tui.messages import OpenRun, ReplayRun, StartRun
from resnet_tui.run.listing import Scan
from resnet_tui.screens.ask_value import AskValue
from resnet_tui.screens.compare import CompareScreen
from resnet_tui.screens.confirm import Confirm
from resnet_tui.screens.runs import Found, RunsScreen
from resnet_tui.widgets.run_table import RunTable, plan, shortened, spark


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A lost run, a stopped, a completed and a damaged one; oldest first, by name and by start."""
    lost, stopped, done = (MadeRun(3, start=start) for start in (1e6, 2e6, 3e6))
    keep(tmp_path, "1-lost", [*lost.begin(), *lost.epoch(1), *lost.end_epoch(1, 0.7)])
    events = [*stopped.begin(), *stopped.epoch(1), *stopped.end_epoch(1, 0.4), stopped.finish("stopped", "a person")]
    keep(tmp_path, "2-stopped", events)
    keep(tmp_path, "3-done", done.whole([0.5, 0.95, 0.9]))
    keep(tmp_path, "4-damaged", []).config_file.write_text("[model")
    return tmp_path


def names(app: Shown) -> list[str]:
    return [path.name for path in app.first.query_one(RunTable).shown]


def test_more_runs_than_fit_are_scrolled_and_no_column_is_lost(tmp_path: Path) -> None:
    for number in range(300):
        keep(tmp_path, f"2026-{number:03}", MadeRun(1, start=1e6 + number).whole([0.5]))

    async def steps(app: Shown, pilot: Pilot[None]) -> None:
        await listed(app, pilot, 300)
        table = app.first.query_one(RunTable)
        assert table.max_scroll_x == 0
        assert "2026-299" in app.seen()
        await pilot.press("end")
        await pilot.pause()
        assert table.current is not None
        assert table.current.name == "2026-000"
        keep(tmp_path, "2026-300", MadeRun(1, start=2e6).whole([0.5]))
        await listed(app, pilot, 301)
        assert table.current.name == "2026-000", "the cursor stays where the person put it"

    drive(RunsScreen(tmp_path), steps, (80, 24))


async def listed(app: Shown, pilot: Pilot[None], count: int) -> None:
    await until(pilot, lambda: len(names(app)) == count)
    await pilot.pause()


async def go_to(app: Shown, pilot: Pilot[None], name: str) -> None:
    table = app.first.query_one(RunTable)
    await pilot.press("home")
    for _ in range(names(app).index(name)):
        await pilot.press("down")
    assert table.current is not None
    assert table.current.name == name


def test_runs_are_listed_newest_first_with_what_they_reached(runs: Path) -> None:
    async def steps(app: Shown, pilot: Pilot[None]) -> None:
        await listed(app, pilot, 4)
        assert names(app) == ["4-damaged", "3-done", "2-stopped", "1-lost"]
        text = app.seen()
        for words in ("✓ completed", "3/3", "95.00 %", "■ stopped", "? lost", "! damaged", "not valid TOML"):
            assert words in text
        await go_to(app, pilot, "1-lost")
        await pilot.pause()
        assert "its process is gone; u resumes it after step 10" in app.seen()

    drive(RunsScreen(runs), steps)


@pytest.mark.parametrize("size", [(80, 24), (20, 5), (40, 12), (200, 60)])
def test_every_size_shows_the_runs(runs: Path, size: tuple[int, int]) -> None:
    async def steps(app: Shown, pilot: Pilot[None]) -> None:
        await listed(app, pilot, 4)
        assert "4-damaged" in app.seen()
        assert app.first.query_one(RunTable).max_scroll_x == 0
        await pilot.resize_terminal(20, 5)
        await pilot.resize_terminal(120, 40)
        await pilot.pause()
        assert "completed" in app.seen()

    drive(RunsScreen(runs), steps, size)


def test_no_runs_says_how_to_begin_and_the_first_appears_by_itself(tmp_path: Path) -> None:
    async def steps(app: Shown, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "resnet-tui train --headless" in app.seen())
        keep(tmp_path / "runs", "first", MadeRun(1).whole([0.5]))
        await listed(app, pilot, 1)
        await pilot.press("enter")
        await until(pilot, lambda: app.asked)
        assert [type(message) for message in app.asked] == [OpenRun]

    drive(RunsScreen(tmp_path / "runs"), steps)


def test_hostile_names_are_only_text(tmp_path: Path) -> None:
    made = MadeRun(1)
    keep(tmp_path, f"a{HOSTILE.replace('/', '')}", [*made.begin(), made.finish("failed", HOSTILE)])
    keep(tmp_path, f"b{HOSTILE.replace('/', '')}", []).config_file.write_text("[model")

    async def steps(app: Shown, pilot: Pilot[None]) -> None:
        await listed(app, pilot, 2)
        for _ in range(2):
            await pilot.press("p", "u", "d")
            await until(pilot, lambda: isinstance(app.screen, Confirm) and "[@click=app.exit]y" in app.seen())
            await pilot.press("escape", "down")
        assert not {"\x1b", "\x07", "\u202e"} & set(app.seen() + app.notes())

    assert drive(RunsScreen(tmp_path), steps).return_code in {None, 0}


def test_filter_narrows_while_it_is_typed_and_escape_clears(runs: Path) -> None:
    async def steps(app: Shown, pilot: Pilot[None]) -> None:
        await listed(app, pilot, 4)
        await pilot.press("slash", *"LOST")
        await listed(app, pilot, 1)
        await pilot.press("space", *"done")
        await pilot.pause()
        assert names(app) == []
        assert "No run has “LOST done”" in app.seen()
        await pilot.press("escape")
        await listed(app, pilot, 4)
        await pilot.press("slash", *"stop", "enter", "enter")
        await until(pilot, lambda: app.asked)
        assert isinstance(app.asked[0], OpenRun)
        assert app.asked[0].run.name == "2-stopped"
        await pilot.press("escape")
        await listed(app, pilot, 4)
        assert app.first.query_one("#filter", Input).value == ""
        assert app.screen is app.first

    drive(RunsScreen(runs), steps)


def test_sorting_keeps_the_cursor_on_its_run(runs: Path) -> None:
    async def steps(app: Shown, pilot: Pilot[None]) -> None:
        await listed(app, pilot, 4)
        await go_to(app, pilot, "1-lost")
        await pilot.press("o")
        await pilot.pause()
        assert names(app) == ["3-done", "1-lost", "2-stopped", "4-damaged"]
        current = app.first.query_one(RunTable).current
        assert current is not None
        assert current.name == "1-lost"
        await pilot.press("o")
        assert names(app) == ["1-lost", "2-stopped", "3-done", "4-damaged"]
        await pilot.press("o")
        assert names(app)[0] == "4-damaged"
        await pilot.click(RunTable, offset=(4, 0))
        await pilot.pause()
        assert names(app)[0] == "1-lost", "a click on a title sorts by it"

    drive(RunsScreen(runs), steps)


def test_open_and_replay_ask_the_app_for_it(runs: Path) -> None:
    async def steps(app: Shown, pilot: Pilot[None]) -> None:
        await listed(app, pilot, 4)
        await pilot.press("enter", "p")
        await pilot.pause()
        assert app.asked == []
        assert "4-damaged is damaged" in app.notes()
        await go_to(app, pilot, "3-done")
        await pilot.press("p")
        await pilot.click(RunTable, offset=(4, 4))  # the row below the cursor's next
        await pilot.click(RunTable, offset=(4, 4))
        await until(pilot, lambda: len(app.asked) >= 2)
        replayed, opened = app.asked[:2]
        assert isinstance(replayed, ReplayRun)
        assert replayed.run.name == "3-done"
        assert isinstance(opened, OpenRun)
        assert opened.run.name == "1-lost"

    drive(RunsScreen(runs), steps)


def test_resume_goes_on_with_what_was_interrupted_and_asks_where_it_was_not(runs: Path) -> None:
    async def steps(app: Shown, pilot: Pilot[None]) -> None:
        await listed(app, pilot, 4)
        await go_to(app, pilot, "1-lost")
        await pilot.press("u")
        await until(pilot, lambda: app.asked)
        await go_to(app, pilot, "3-done")
        await pilot.press("u")
        await until(pilot, lambda: isinstance(app.screen, AskValue))
        await pilot.press("3", "enter")
        assert isinstance(app.screen, AskValue), "3 epochs are done already"
        await pilot.press("backspace", "8", "enter")
        await until(pilot, lambda: len(app.asked) == 2)
        first, second = app.asked
        assert isinstance(first, StartRun)
        assert isinstance(second, StartRun)
        assert (first.resume and first.resume.name, first.config.train.epochs) == ("1-lost", 3)
        assert (second.resume and second.resume.name, second.config.train.epochs) == ("3-done", 8)

    drive(RunsScreen(runs), steps)


def test_removal_asks_first_and_removes_nothing_else(runs: Path) -> None:
    before = {path.name for path in runs.iterdir()}

    async def steps(app: Shown, pilot: Pilot[None]) -> None:
        await listed(app, pilot, 4)
        await go_to(app, pilot, "3-done")
        for keys in (["enter"], ["escape"], ["k"]):
            await pilot.press("d")
            await until(pilot, lambda: isinstance(app.screen, Confirm) and "3 trained epochs" in app.seen())
            await pilot.press(*keys)
            await until(pilot, lambda: app.screen is app.first)
        assert {path.name for path in runs.iterdir()} == before
        await pilot.press("delete")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("r")
        await listed(app, pilot, 3)
        assert "3-done is removed" in app.notes()

    drive(RunsScreen(runs), steps)
    assert {path.name for path in runs.iterdir()} == before - {"3-done"}


def test_a_live_run_and_a_link_are_not_removed(tmp_path: Path) -> None:
    made = MadeRun(2)
    live = keep(tmp_path / "runs", "live", [*made.begin(), *made.epoch(1)])
    elsewhere = keep(tmp_path, "elsewhere", MadeRun(1).whole([0.5]))
    (tmp_path / "runs" / "link").symlink_to(elsewhere.path)
    live.acquire()

    async def steps(app: Shown, pilot: Pilot[None]) -> None:
        await listed(app, pilot, 2)
        for name, words in (("live", "live is running"), ("link", "link is a link")):
            await go_to(app, pilot, name)
            await pilot.press("d")
            await until(pilot, lambda words=words: words in app.notes())  # type: ignore[misc]
        await go_to(app, pilot, "live")
        await pilot.press("u")
        await until(pilot, lambda: "enter watches it" in app.notes())
        assert app.asked == []

    drive(RunsScreen(tmp_path / "runs"), steps)
    assert live.events.exists()
    assert elsewhere.events.exists()
    live.release()


def test_a_run_whose_process_is_gone_is_shown_as_lost_within_5_seconds(tmp_path: Path) -> None:
    made = MadeRun(2)
    live = keep(tmp_path, "live", [*made.begin(), *made.epoch(1)])
    live.acquire()

    async def steps(app: Shown, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "● training" in app.seen())
        assert "1 live" in app.seen()
        gone = time.monotonic()
        live.release()
        await until(pilot, lambda: "? lost" in app.seen(), 5)
        assert time.monotonic() - gone < 5
        assert "● training" not in app.seen()

    drive(RunsScreen(tmp_path), steps)


def test_marked_runs_are_compared_and_too_many_are_refused(runs: Path) -> None:
    for number in range(7):
        keep(runs, f"5-{number}", MadeRun(1, start=4e6 + number).whole([0.5]))

    async def steps(app: Shown, pilot: Pilot[None]) -> None:
        await listed(app, pilot, 11)
        await go_to(app, pilot, "2-stopped")
        await pilot.press("space", "space")  # the cursor went on to the next
        await pilot.pause()
        assert "2 marked" in app.seen()
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        await until(pilot, lambda: "2-stopped" in app.seen() and "1-lost" in app.seen())
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.first)
        await go_to(app, pilot, "5-6")
        await pilot.press(*["space"] * 6, "c")
        await pilot.pause()
        assert app.screen is app.first
        assert "mark 2 to 6 runs to compare; there are 8" in app.notes()

    drive(RunsScreen(runs), steps)


def test_without_marks_a_run_is_compared_with_the_one_before(runs: Path) -> None:
    async def steps(app: Shown, pilot: Pilot[None]) -> None:
        await listed(app, pilot, 4)
        await go_to(app, pilot, "3-done")
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        await until(pilot, lambda: "3-done" in app.seen() and "2-stopped" in app.seen())

    drive(RunsScreen(runs), steps)


def test_one_run_is_too_few_to_compare(tmp_path: Path) -> None:
    keep(tmp_path, "alone", MadeRun(1).whole([0.5]))

    async def steps(app: Shown, pilot: Pilot[None]) -> None:
        await listed(app, pilot, 1)
        await pilot.press("c")
        await until(pilot, lambda: "mark 2 to 6 runs to compare; there is only 1" in app.notes())

    drive(RunsScreen(tmp_path), steps)


def test_a_look_that_finds_nothing_new_draws_nothing(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, show = list[int](), RunTable.show

    def counted(*given: Any) -> None:
        drawn.append(1)
        show(*given)

    monkeypatch.setattr(RunTable, "show", counted)

    async def steps(app: Shown, pilot: Pilot[None]) -> None:
        await listed(app, pilot, 4)
        await until(pilot, lambda: "reading" not in app.seen())
        drawn.clear()
        paths = frozenset(app.first.query_one(RunTable).shown)
        app.first.post_message(Found(Scan((), paths, done=True)))
        await pilot.pause()
        assert drawn == []
        app.first.post_message(Found(Scan((), paths - {runs / "3-done"}, done=True)))
        await until(pilot, lambda: drawn == [1])

    drive(RunsScreen(runs), steps)


@pytest.mark.parametrize("screen", ["setup", "runs", "compare"])
def test_help_and_quit_are_seen_on_80_columns(screen: str, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with dashboard(runs, monkeypatch, size=(80, 24)) as pilot:
            if screen == "runs":
                await pilot.press("f4")
            elif screen == "compare":
                pilot.app.push_screen(CompareScreen([RunDir(runs / "3-done"), RunDir(runs / "2-stopped")]))

            def keys() -> str:
                return text_of(pilot).rpartition("\n")[2]

            await until(pilot, lambda: "? help" in keys() and "q quit" in keys())
            wanted = {"setup": ("F5 start", "^s save"), "runs": ("p replay", "c compare"), "compare": ("x ", "back")}
            assert all(word in keys() for word in wanted[screen]), keys()

    drive_dashboard(test)


def test_a_real_run_is_listed_and_can_go_on(tmp_path: Path) -> None:
    train(tiny(), tmp_path)
    (path,) = tmp_path.iterdir()

    async def steps(app: Shown, pilot: Pilot[None]) -> None:
        await listed(app, pilot, 1)
        assert "✓ completed" in app.seen()
        await pilot.press("u")
        await until(pilot, lambda: isinstance(app.screen, AskValue))
        await pilot.press("enter")
        await until(pilot, lambda: app.asked)

    (message,) = drive(RunsScreen(tmp_path), steps).asked
    assert isinstance(message, StartRun)
    train(message.config, tmp_path, resume=RunDir(path))

    async def again(app: Shown, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "4/4" in app.seen())

    drive(RunsScreen(tmp_path), again)


@pytest.mark.parametrize("width", [10, 20, 40, 60, 80, 100, 120, 140, 160, 200, 300])
def test_columns_fit_their_table(width: int) -> None:
    widths = plan(width)
    assert "name" in widths
    assert width < 20 or 2 + sum(widths.values()) + len(widths) <= width


def test_small_drawings() -> None:
    assert spark([0.0, 0.5, 1.0], 10) == "▁▅█"
    assert spark([0.5, 0.5], 5) == "▁▁"
    assert len(spark(list(range(1000)), 12)) == 12
    assert spark([], 5) == spark([1.0], 0) == ""
    assert shortened("20260101-000000-resnet20-s1", 16) == "20260101-0…20-s1"
    assert len(shortened("x" * 100, 3)) == 3
