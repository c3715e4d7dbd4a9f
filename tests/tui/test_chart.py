import asyncio
import re
from dataclasses import replace
from typing import Any

import pytest
from textual.app import App, ComposeResult

from resnet_tui.charts.plot import Drawing, Line, Plot, draw
from resnet_tui.widgets.chart import Chart

XS = [float(x) for x in range(1001)]
PLOT = Plot("Loss", (Line("train", XS, [x / 1000 for x in XS], [x / 1000 for x in XS], "cyan"),))


class ChartApp(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.moves: list[float] = []

    def compose(self) -> ComposeResult:
        yield Chart(PLOT, id="first")
        yield Chart()

    def on_chart_cursor_moved(self, message: Chart.CursorMoved) -> None:
        self.moves.append(message.x)


def row(chart: Chart, y: int) -> str:
    return chart.render_line(y).text


def test_the_mouse_reads_values_and_only_a_click_moves_the_cursor() -> None:
    async def scenario() -> None:
        app = ChartApp()
        async with app.run_test(size=(80, 24)) as pilot:
            chart, other = app.query(Chart)
            left = max(row(chart, 1).find(edge) for edge in "│┤") + 1
            width = chart.content_size.width - left
            chart.plot = other.plot = replace(PLOT, cursor=500.0)
            await pilot.pause()
            before = row(other, 0)
            guide = row(chart, 2).index("│", left)
            await pilot.hover(chart, offset=(left + width // 4, 6))
            await pilot.pause()
            assert re.search(r"step 2[45]\d  ━ train 0.2[45]", row(chart, 0))
            assert row(chart, 2).index("│", left) == guide, "the cursor stays"
            assert row(other, 0) == before, "so does what others read"
            assert chart.column_to_x(0) is None, "beside the curves"
            await pilot.hover(other, offset=(30, 5))
            await pilot.pause()
            assert "step 500" in row(chart, 0), "without the mouse the cursor's values are read again"
            assert app.moves == []
            await pilot.click(chart, offset=(left + width // 4, 5))
            await pilot.pause()
            assert app.moves == [pytest.approx(250, abs=1000 / width)]
            assert abs(chart.x_step() - 1000 / width) < 1e-9

    asyncio.run(scenario())


def test_it_draws_only_when_what_it_shows_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[int, int]] = []

    def counted(plot: Plot, width: int, height: int, **how: Any) -> Drawing:
        drawn.append((width, height))
        return draw(plot, width, height, **how)

    monkeypatch.setattr("resnet_tui.widgets.chart.draw", counted)

    async def scenario() -> None:
        app = ChartApp()
        async with app.run_test(size=(80, 24)) as pilot:
            chart = app.query_one("#first", Chart)
            await pilot.pause()
            drawn.clear()
            chart.plot = Plot("Loss", (Line("train", XS, PLOT.lines[0].lows, PLOT.lines[0].highs, "cyan"),))
            chart.refresh()
            await pilot.pause()
            assert drawn == []
            chart.plot = Plot("Error", PLOT.lines)
            await pilot.pause()
            assert len(drawn) == 1
            assert row(chart, 0).startswith("Error")
            drawn.clear()
            await pilot.resize_terminal(60, 20)
            await pilot.pause()
            assert set(drawn) == {(59, 10)}
            assert len(row(chart, 3)) == 59

    asyncio.run(scenario())


def test_focus_shows_in_the_title_without_colour() -> None:
    async def scenario() -> None:
        app = ChartApp()
        async with app.run_test(size=(80, 24)) as pilot:
            chart = app.query_one("#first", Chart)
            for focused in (True, False):
                app.set_focus(chart if focused else None)
                await pilot.pause()
                style = next(iter(chart.render_line(0))).style
                assert style is not None
                assert bool(style.reverse) is focused

    asyncio.run(scenario())


def test_an_ascii_only_app_gets_ascii_and_no_size_raises() -> None:
    class Plain(ChartApp):
        ascii_only = True

    async def scenario() -> None:
        app = Plain()
        async with app.run_test(size=(80, 24)) as pilot:
            for size in [(80, 24), (20, 5), (3, 2), (1, 1), (200, 60)]:
                await pilot.resize_terminal(*size)
                await pilot.pause()
                chart = app.query_one("#first", Chart)
                assert "".join(row(chart, y) for y in range(chart.content_size.height)).isascii()
                assert chart.x_step() >= 0

    asyncio.run(scenario())
