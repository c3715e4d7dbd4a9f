"""The charts tab: every chart of the run, filtered and turned by page, at every size."""

from typing import Any

import pytest
from panel_support import state_of
from tab_support import TabApp
from textual.pilot import Pilot
from textual.widgets import Input
from tui_support import drive, text_of, until

from engine.events import Step, System
from resnet_tui.tabs.charts import ChartsTab
from resnet_tui.widgets.chart import Chart


class ChartsApp(TabApp):
    """Keeps what the tab wants to be kept."""

    def __init__(self, filter_text: str = "", depth: int = 20) -> None:
        super().__init__(ChartsTab(filter_text))
        self.state = state_of(depth)
        self.kept: list[str] = []

    def on_charts_tab_filtered(self, message: ChartsTab.Filtered) -> None:
        self.kept.append(message.text)


async def opened(app: ChartsApp, pilot: Pilot[Any], *texts: str) -> None:
    """Draw, and wait for what is to be seen and for the keys."""
    app.draw()
    await until(pilot, lambda: all(text in text_of(pilot) for text in texts) and app.focused is app.tab)


def test_a_filter_is_typed_changed_kept_and_taken_away() -> None:
    async def test() -> None:
        app = ChartsApp()
        async with app.run_test(size=(120, 40)) as pilot:
            await opened(app, pilot, "16 charts, page 1 of 2")
            await pilot.press("slash", *"stage3")
            await until(pilot, lambda: "filter: stage3  3 charts, page 1 of 1" in text_of(pilot))
            await until(pilot, lambda: "gradient stage3.block1" in text_of(pilot))
            await pilot.press("enter")
            await until(pilot, lambda: not app.query_one(Input).display)
            assert app.kept[-1] == "stage3"
            await pilot.press("slash", *"stage2.b")
            await until(pilot, lambda: "filter: stage2.b  3 charts" in text_of(pilot))
            await pilot.press("enter", "escape")
            await until(pilot, lambda: "filter:" not in text_of(pilot) and "16 charts" in text_of(pilot))
            assert app.kept[-1] == ""
            await pilot.press("slash", *"HEAD", "escape")
            await until(pilot, lambda: "filter:" not in text_of(pilot) and "16 charts" in text_of(pilot))
            assert not app.query_one(Input).display
            assert app.kept[-1] == ""
            await pilot.press("pagedown")
            await until(pilot, lambda: "page 2 of 2" in text_of(pilot))

    drive(test)


def test_a_filter_from_last_time_that_fits_nothing_can_be_mended() -> None:
    async def test() -> None:
        app = ChartsApp("no such thing")
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(app, pilot, "filter: no such thing  no such chart")
            await pilot.press("escape")
            await until(pilot, lambda: "16 charts" in text_of(pilot))
            assert app.kept == [""]
            await pilot.press("slash", *"nothing", "enter", "slash", *["backspace"] * 7, *"Loss", "enter")
            await until(pilot, lambda: "filter: Loss  1 chart," in text_of(pilot))

    drive(test)


def test_escape_is_the_screens_where_there_is_no_filter() -> None:
    async def test() -> None:
        app = ChartsApp()
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(app, pilot, "16 charts")
            assert "escape" not in app.screen.active_bindings or (
                app.screen.active_bindings["escape"].node is not app.tab
            )
            await pilot.press("slash")
            await until(pilot, lambda: app.screen.active_bindings["escape"].node is app.tab)

    drive(test)


def test_pages_turn_and_stay_within_what_there_is() -> None:
    async def test() -> None:
        app = ChartsApp()
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(app, pilot, "16 charts, page 1 of 4", "loss", "accuracy", "learning rate")
            await pilot.press("pageup", "pagedown", "pagedown")
            await until(pilot, lambda: "page 3 of 4" in text_of(pilot))
            await pilot.press("tab")  # to a chart that the next page has no more
            await pilot.press(*["pagedown"] * 9)
            await until(pilot, lambda: "page 4 of 4" in text_of(pilot) and "gradient head" in text_of(pilot))
            await pilot.press("pageup")
            await until(pilot, lambda: "page 3 of 4" in text_of(pilot))
            await pilot.resize_terminal(200, 60)
            await until(pilot, lambda: "page 1 of 1" in text_of(pilot) and "gradient head" in text_of(pilot))

    drive(test)


@pytest.mark.parametrize("size", [(20, 5), (40, 12), (80, 24), (120, 40), (200, 60)])
def test_every_size_shows_charts_that_go_on_with_the_run(size: tuple[int, int]) -> None:
    async def test() -> None:
        app = ChartsApp("loss", depth=110)
        async with app.run_test(size=size) as pilot:
            await opened(app, pilot, "loss")
            await pilot.press("escape", "pagedown", "pageup")
            app.feed(
                Step(step=13, epoch=2, steps=1, images=8, loss=77.0, accuracy=0.5, lr=0.1, images_per_second=8.0)
            )
            await until(pilot, lambda: app.query(Chart).first().plot.lines[1].highs[-1:] == (77.0,))
            shown = [chart for chart in app.query(Chart) if chart.display]
            await until(pilot, lambda: all(chart.size.width >= min(size[0], 38) - 1 for chart in shown))

    drive(test)


def test_use_of_the_machine_has_the_names_of_the_system_tab() -> None:
    async def test() -> None:
        app = ChartsApp("run")
        async with app.run_test(size=(120, 40)) as pilot:
            await opened(app, pilot, "no such chart")
            app.feed(System(cpu_percent=150.0, memory_bytes=3 << 30, host_cpu_percent=80.0, host_memory_bytes=4 << 30,
                            host_memory_total=16 << 30))  # fmt: skip
            await until(pilot, lambda: "run processor %" in text_of(pilot) and "run memory GiB" in text_of(pilot))
            await until(pilot, lambda: "now 3" in text_of(pilot))

    drive(test)
