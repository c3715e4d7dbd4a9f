"""Looking at a recorded run by keys and mouse: axes, zoom, the cursor of all charts, tabs, the seek bar."""

from __future__ import annotations

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
from resnet_tui.screens.run_tabs import TABS
from resnet_tui.view import AXES, SMOOTHING
from resnet_tui.widgets.chart import Chart
from resnet_tui.widgets.seek_bar import SeekBar
from resnet_tui.widgets.tab_bar import TabBar

EPOCHS, STEPS = 4, 20
"""Of ``finished_run``."""
PROOF = {
    "overview": "gradient norms · smallest",
    "charts": "charts, page 1 of",
    "gradients": "flagged",
    "shapes": "MACs a sample",
    "classes": "class 0",
    "system": "this dashboard",
    "log": "completed: 4 of 4 epochs trained",
}
"""What stands on each tab and on no other."""


async def loaded(pilot: Pilot[None]) -> None:
    screen = run_screen(pilot)
    await until(pilot, lambda: screen.doing == "completed")
    await until(pilot, lambda: charts(pilot) and "no data yet" not in text_of(pilot))


def charts(pilot: Pilot[None]) -> list[Chart]:
    """Return the charts that are seen and have curves."""
    return [chart for chart in pilot.app.screen.query(Chart) if chart.region and chart.plot.lines]


def smoothed_line(pilot: Pilot[None]) -> Line:
    (line,) = [line for line in charts(pilot)[0].plot.lines if line.name == "train"]
    return line


def titles(pilot: Pilot[None]) -> list[str]:
    return [chart.render_line(0).text for chart in charts(pilot)]


def test_each_axis_has_its_own_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished_run: RunDir) -> None:
    async def test() -> None:
        async with dashboard(tmp_path, monkeypatch, WatchedRun(finished_run)) as pilot:
            await loaded(pilot)
            ends = {}
            for axis in (*AXES[1:], AXES[0]):
                await pilot.press("x")
                await until(pilot, lambda axis=axis: all(c.plot.x_kind == axis for c in charts(pilot)))  # type: ignore[misc]
                ends[axis] = smoothed_line(pilot).xs[-1]
                assert {chart.plot.x_range for chart in charts(pilot)} == {charts(pilot)[0].plot.x_range}
            assert (ends["step"], ends["epoch"]) == (STEPS, EPOCHS)
            assert 0 < ends["time"] <= run_screen(pilot).state.summary.elapsed

    drive(test)


def test_scale_and_smoothing_change_the_curves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished_run: RunDir
) -> None:
    async def test() -> None:
        async with dashboard(tmp_path, monkeypatch, WatchedRun(finished_run)) as pilot:
            await loaded(pilot)
            await pilot.press("l")
            assert charts(pilot)[0].plot.log_y
            await pilot.press("l")
            assert not charts(pilot)[0].plot.log_y
            seen = []
            for _ in SMOOTHING:
                await pilot.press("left_square_bracket")
            assert run_screen(pilot).view.smoothing == SMOOTHING[0]
            for _ in SMOOTHING:
                seen.append(smoothed_line(pilot).lows)
                await pilot.press("right_square_bracket")
            assert len(set(seen)) == len(SMOOTHING)
            rough = [sum(abs(b - a) for a, b in pairwise(line)) for line in seen]
            assert rough == sorted(rough, reverse=True)
            assert run_screen(pilot).view.smoothing == SMOOTHING[-1]

    drive(test)


def test_zoom_goes_around_the_cursor_pan_stays_in_the_run_and_zero_shows_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished_run: RunDir
) -> None:
    async def test() -> None:
        async with dashboard(tmp_path, monkeypatch, WatchedRun(finished_run)) as pilot:
            await loaded(pilot)
            screen = run_screen(pilot)
            await pilot.press("right", *["left"] * 12)
            at = screen.view.cursor
            assert at is not None
            assert 0 < at < STEPS
            await pilot.press("plus", "plus")
            assert screen.view.window is not None
            low, high = screen.view.window
            assert high - low == pytest.approx(STEPS / 4)
            assert low <= at <= high
            assert (at - low) / (high - low) == pytest.approx(at / STEPS)
            assert all(chart.plot.x_range == (low, high) for chart in charts(pilot))
            await pilot.press("comma")
            assert screen.view.window == pytest.approx((low - (high - low) / 2, high - (high - low) / 2))
            await pilot.press(*["full_stop"] * 20)
            assert screen.view.window == pytest.approx((STEPS - (high - low), STEPS))
            await pilot.press(*["comma"] * 20)
            assert screen.view.window == pytest.approx((0, high - low))
            await pilot.press("minus")
            assert screen.view.window == pytest.approx((0, (high - low) * 2))
            await pilot.press("plus", "0")
            assert screen.view.window is None
            assert screen.view.cursor == at
            await pilot.press("minus", "comma")
            assert screen.view.window is None  # all is as much as there is

    drive(test)


def test_the_cursor_reads_all_charts_at_the_same_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished_run: RunDir
) -> None:
    async def test() -> None:
        async with dashboard(tmp_path, monkeypatch, WatchedRun(finished_run)) as pilot:
            await loaded(pilot)
            screen = run_screen(pilot)
            without = titles(pilot)
            await pilot.press("left")
            assert screen.view.cursor == STEPS
            read = []
            for _ in range(3):
                await pilot.press(*["left"] * 6)
                at = screen.view.cursor
                assert at is not None
                assert all(chart.plot.cursor == at for chart in charts(pilot))
                for title in titles(pilot):
                    assert f" {x_words(at, 'step')} " in title
                read.append(titles(pilot))
            assert len({title[0] for title in read}) == 3  # other places, other losses
            await pilot.press("right")
            assert screen.view.cursor > at
            await pilot.press("escape")
            assert screen.view.cursor is None
            assert titles(pilot) == without

    drive(test)


def test_a_click_reads_a_chart_as_often_as_one_likes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished_run: RunDir
) -> None:
    async def test() -> None:
        async with dashboard(tmp_path, monkeypatch, WatchedRun(finished_run)) as pilot:
            await loaded(pilot)
            screen = run_screen(pilot)
            chart = pilot.app.screen.query_one("#accuracy", Chart)
            for column in (20, 30):
                await pilot.click(chart, offset=(column, 5))
                assert screen.view.cursor == chart.column_to_x(column)
                assert all(one.plot.cursor == screen.view.cursor for one in charts(pilot))
                await pilot.press("escape")
                assert screen.view.cursor is None
            await pilot.click(chart, offset=(30, 5))  # where the mouse was before
            assert screen.view.cursor == chart.column_to_x(30)

    drive(test)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
def test_digits_and_clicks_open_the_tab_that_they_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished_run: RunDir, size: tuple[int, int]
) -> None:
    assert tuple(PROOF) == TABS

    async def test() -> None:
        async with dashboard(tmp_path, monkeypatch, WatchedRun(finished_run), size=size) as pilot:
            await loaded(pilot)
            for digit, (tab, proof) in enumerate(PROOF.items(), 1):
                await pilot.press(str(digit))
                await until(pilot, lambda proof=proof: proof in text_of(pilot))  # type: ignore[misc]
                assert not [other for other in PROOF if other != tab and PROOF[other] in text_of(pilot)]
            for tab, proof in PROOF.items():
                bar = pilot.app.screen.query_one(TabBar)
                await pilot.click(bar, offset=(bar.render().plain.index(f" {tab} ") + 1, 0))
                await until(pilot, lambda proof=proof: proof in text_of(pilot))  # type: ignore[misc]

    drive(test)


@pytest.mark.parametrize(
    "share",
    [0.25, 0.5, 1.0],
)
def test_a_click_on_the_seek_bar_goes_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished_run: RunDir, share: float
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
            before = feed.position
            await pilot.click(bar, offset=(1 + begin + round((cells - 1) * share), 0))
            await until(pilot, lambda: feed.position != before)
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


def test_what_a_person_changed_is_marked_on_every_chart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = changed_run(tmp_path / "runs")
    (applied,) = of(recorded(tmp_path / "runs"), ControlApplied)

    async def test() -> None:
        async with dashboard(tmp_path, monkeypatch, WatchedRun(run), size=(200, 60)) as pilot:
            await loaded(pilot)
            for tab in ("1", "2"):
                await pilot.press(tab)
                await until(pilot, lambda tab=tab: run_screen(pilot).tab == TABS[int(tab) - 1])  # type: ignore[misc]
                await until(pilot, lambda: text_of(pilot).count("┊") > 20)
                shown = charts(pilot)
                assert {chart.plot.title.partition(" (")[0] for chart in shown} >= {
                    "loss",
                    "accuracy",
                    "learning rate",
                }
                for chart in shown:
                    (mark,) = chart.plot.marks
                    assert (mark.x, mark.text) == (applied.step, "set learning rate 0.0125")
                    drawn = "\n".join(chart.render_line(y).text for y in range(chart.size.height))
                    assert "┊" in drawn or "no data yet" in drawn, drawn
            assert "set learning rate 0.0125" in text_of(pilot)

    drive(test)
