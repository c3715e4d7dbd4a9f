"""Looking at a recorded run by keys and mouse: axes, zoom, the cursor of all charts, tabs, the seek bar."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from support import of, tiny, train
from textual.pilot import Pilot
from tui_support import dashboard, drive, recorded, run_screen, text_of, until

from engine.control import Control, SetLearningRate
from engine.events import ControlApplied, Event, Step
from engine.run_dir import RunDir, iterate
from resnet_tui.charts.axes import x_words
from resnet_tui.charts.plot import Line
from resnet_tui.run.replay import ReplayFeed
from resnet_tui.run.source import ReplayedRun, WatchedRun
from resnet_tui.screens.run import RunScreen
from resnet_tui.screens.run_tabs import TABS
from resnet_tui.view import AXES, SMOOTHING
from resnet_tui.widgets.chart import Chart
from resnet_tui.widgets.seek_bar import SeekBar
from resnet_tui.widgets.tab_bar import TabBar

EPOCHS, STEPS = 4, 20
"""Of ``finished_run``."""
PROOF = {
    "overview": "gradient norms · smallest|gradients · stem",
    "charts": "charts, page 1 of",
    "gradients": "flagged",
    "shapes": "MACs a sample",
    "classes": "class 0",
    "system": "this dashboard",
    "log": "completed: 4 of 4 epochs trained",
}
"""A pattern of what stands on each tab and on no other."""


Script = Callable[[Pilot[None], RunScreen], Awaitable[None]]
Look = Callable[..., None]


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished_run: RunDir) -> Look:
    """Show a run, the finished one if none is named, and let a script use it once its curves are drawn."""

    def run(script: Script, run: RunDir = finished_run, size: tuple[int, int] = (120, 40)) -> None:
        async def test() -> None:
            async with dashboard(tmp_path, monkeypatch, WatchedRun(run), size=size) as pilot:
                screen = run_screen(pilot)
                await until(pilot, lambda: screen.doing == "completed")
                await until(pilot, lambda: charts(pilot) and "no data yet" not in text_of(pilot))
                await script(pilot, screen)

        drive(test)

    return run


def charts(pilot: Pilot[None]) -> list[Chart]:
    """Return the charts that are seen and have curves."""
    return [chart for chart in pilot.app.screen.query(Chart) if chart.region and chart.plot.lines]


def smoothed_line(pilot: Pilot[None]) -> Line:
    (line,) = [line for line in charts(pilot)[0].plot.lines if line.name == "train"]
    return line


def names(pilot: Pilot[None]) -> set[str]:
    return {chart.plot.title.partition(" (")[0] for chart in charts(pilot)}


def titles(pilot: Pilot[None]) -> list[str]:
    return [chart.render_line(0).text for chart in charts(pilot)]


def test_each_axis_has_its_own_units(look: Look) -> None:
    async def script(pilot: Pilot[None], screen: RunScreen) -> None:
        ends = {}
        for axis in (*AXES[1:], AXES[0]):
            await pilot.press("x")
            await until(pilot, lambda axis=axis: all(c.plot.x_kind == axis for c in charts(pilot)))  # type: ignore[misc]
            ends[axis] = smoothed_line(pilot).xs[-1]
            assert {chart.plot.x_range for chart in charts(pilot)} == {charts(pilot)[0].plot.x_range}
        assert (ends["step"], ends["epoch"]) == (STEPS, EPOCHS)
        assert 0 < ends["time"] <= screen.state.summary.elapsed

    look(script)


def test_scale_and_smoothing_change_the_curves(look: Look) -> None:
    async def script(pilot: Pilot[None], screen: RunScreen) -> None:
        await pilot.press("l")
        await until(pilot, lambda: charts(pilot)[0].plot.log_y)
        await pilot.press("l")
        await until(pilot, lambda: not charts(pilot)[0].plot.log_y)
        await pilot.press(*["left_square_bracket"] * len(SMOOTHING))
        await until(pilot, lambda: screen.view.smoothing == SMOOTHING[0])
        seen: list[Sequence[float]] = []
        for smoothing in SMOOTHING:
            await until(
                pilot,
                lambda smoothing=smoothing: (  # type: ignore[misc]
                    screen.view.smoothing == smoothing and smoothed_line(pilot).lows not in seen
                ),
            )
            seen.append(smoothed_line(pilot).lows)
            await pilot.press("right_square_bracket")
        rough = [sum(abs(b - a) for a, b in pairwise(line)) for line in seen]
        assert rough == sorted(rough, reverse=True)
        assert screen.view.smoothing == SMOOTHING[-1]

    look(script)


def test_zoom_goes_around_the_cursor_pan_stays_in_the_run_and_zero_shows_all(look: Look) -> None:
    async def script(pilot: Pilot[None], screen: RunScreen) -> None:
        async def window(*keys: str) -> tuple[float, float]:
            """Press ``keys`` and return what the charts show then."""
            await pilot.press(*keys)
            await until(pilot, lambda: screen.view.window and windows() == {screen.view.window})
            assert screen.view.window is not None
            return screen.view.window

        def windows() -> set[tuple[float, float] | None]:
            return {chart.plot.x_range for chart in charts(pilot)}

        await pilot.press("right", *["left"] * 12)
        at = screen.view.cursor
        assert at is not None
        assert 0 < at < STEPS
        low, high = await window("plus", "plus")
        assert high - low == pytest.approx(STEPS / 4)
        assert low <= at <= high
        assert (at - low) / (high - low) == pytest.approx(at / STEPS)
        assert await window("comma") == pytest.approx((low - (high - low) / 2, high - (high - low) / 2))
        assert await window(*["full_stop"] * 20) == pytest.approx((STEPS - (high - low), STEPS))
        assert await window(*["comma"] * 20) == pytest.approx((0, high - low))
        assert await window("minus") == pytest.approx((0, (high - low) * 2))
        await pilot.press("plus", "0")
        await until(pilot, lambda: screen.view.window is None)
        assert screen.view.cursor == at
        await pilot.press("minus", "comma", "x")
        await until(pilot, lambda: screen.view.axis == AXES[1])  # the keys before were taken as well
        assert screen.view.window is None  # all is as much as there is

    look(script)


def test_the_cursor_reads_all_charts_at_the_same_place(look: Look) -> None:
    async def script(pilot: Pilot[None], screen: RunScreen) -> None:
        async def drawn_at(cursor: Callable[[float | None], bool]) -> float | None:
            await until(
                pilot,
                lambda: (
                    cursor(screen.view.cursor)
                    and all(chart.plot.cursor == screen.view.cursor for chart in charts(pilot))
                ),
            )
            return screen.view.cursor

        without = titles(pilot)
        await pilot.press("left")
        at = await drawn_at(lambda cursor: cursor == STEPS)
        read = []
        for _ in range(3):
            await pilot.press(*["left"] * 6)
            at = await drawn_at(lambda cursor, before=at: cursor not in {None, before})  # type: ignore[misc]
            assert at is not None
            for title in titles(pilot):
                assert f" {x_words(at, 'step')} " in title
            read.append(titles(pilot))
        assert len({title[0] for title in read}) == 3  # other places, other losses
        await pilot.press("right")
        await until(pilot, lambda: (screen.view.cursor or 0) > (at or 0))
        await pilot.press("escape")
        await until(pilot, lambda: screen.view.cursor is None and titles(pilot) == without)

    look(script)


def test_a_click_reads_a_chart_as_often_as_one_likes(look: Look) -> None:
    async def script(pilot: Pilot[None], screen: RunScreen) -> None:
        chart = pilot.app.screen.query_one("#accuracy", Chart)
        for column in (20, 30, 30):  # also where the mouse was before
            await pilot.click(chart, offset=(column, 5))
            await until(pilot, lambda: screen.view.cursor is not None)
            assert screen.view.cursor == chart.column_to_x(column)
            await until(pilot, lambda: all(one.plot.cursor == screen.view.cursor for one in charts(pilot)))
            await pilot.press("escape")
            await until(pilot, lambda: screen.view.cursor is None)

    look(script)


def shown(pilot: Pilot[None]) -> list[str]:
    """Return the tabs of which something is on the screen."""
    return [tab for tab in PROOF if re.search(PROOF[tab], text_of(pilot))]


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
def test_digits_and_clicks_open_the_tab_that_they_name(look: Look, size: tuple[int, int]) -> None:
    assert tuple(PROOF) == TABS

    async def script(pilot: Pilot[None], screen: RunScreen) -> None:
        for digit, tab in enumerate(PROOF, 1):
            await pilot.press(str(digit))
            await until(pilot, lambda tab=tab: shown(pilot) == [tab])  # type: ignore[misc]
        for tab in PROOF:
            bar = pilot.app.screen.query_one(TabBar)
            await pilot.click(bar, offset=(bar.render().plain.index(f" {tab} ") + 1, 0))
            await until(pilot, lambda tab=tab: shown(pilot) == [tab])  # type: ignore[misc]

    look(script, size=size)


def test_a_click_on_the_seek_bar_goes_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished_run: RunDir
) -> None:
    async def test() -> None:
        async with dashboard(tmp_path, monkeypatch, ReplayedRun(finished_run, speed=0.25)) as pilot:
            feed = run_screen(pilot).feed
            assert isinstance(feed, ReplayFeed)
            feed.pause(True)
            await until(pilot, lambda: feed.length and "paused" in text_of(pilot))
            bar = pilot.app.screen.query_one(SeekBar)
            line = bar.render().plain
            begin = next(column for column, glyph in enumerate(line) if glyph in "━─")
            cells = len(line) - begin
            for share in (0.25, 1.0, 0.5):
                before = feed.position
                await pilot.click(bar, offset=(1 + begin + round((cells - 1) * share), 0))
                await until(pilot, lambda before=before: feed.position != before)  # type: ignore[misc]
                assert feed.position / feed.length == pytest.approx(share, abs=0.0 if share == 1 else 1 / cells)

    drive(test)


def changed_run(runs: Path) -> RunDir:
    """Train a run whose learning rate a person changed at step 6."""
    control = Control()

    def on_event(event: Event) -> None:
        if isinstance(event, Step) and event.step == 6:
            control.send(SetLearningRate(lr=0.0125, source="me"))

    train(tiny(train__epochs=4), runs, control=control, on_event=on_event)
    (run,) = iterate(runs)
    return run


def test_what_a_person_changed_is_marked_on_every_chart(look: Look, tmp_path: Path) -> None:
    run = changed_run(tmp_path / "runs")
    (applied,) = of(recorded(tmp_path / "runs"), ControlApplied)

    async def script(pilot: Pilot[None], screen: RunScreen) -> None:
        for tab in ("1", "2"):
            await pilot.press(tab)
            await until(pilot, lambda tab=tab: screen.tab == TABS[int(tab) - 1])  # type: ignore[misc]
            await until(pilot, lambda: text_of(pilot).count("┊") > 20)
            await until(pilot, lambda: names(pilot) >= {"loss", "accuracy", "learning rate"})  # one a frame
            shown = charts(pilot)
            for chart in shown:
                (mark,) = chart.plot.marks
                loss = chart.plot.title.startswith("loss")
                assert (mark.x, mark.text) == (applied.step, "rate 0.0125" if loss else "")
                drawn = "\n".join(chart.render_line(y).text for y in range(chart.size.height))
                assert "┊" in drawn or "no data yet" in drawn, drawn
        await until(pilot, lambda: "┊rate 0.0125" in text_of(pilot) or "rate 0.0125┊" in text_of(pilot))

    look(script, run, size=(200, 60))
