"""The learning-rate finder of set-up: the real engine in its own process, its curve, and the rate that is taken."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import psutil
import pytest
from processes_support import command_line
from support import tiny
from textual.app import App
from textual.pilot import Pilot
from tui_support import text_of, until

from engine.config import RunConfig
from engine.events import Progress
from engine.helper_messages import RangeTestWanted, Reply, Tried
from engine.lr_range import RangeTest, Reading, suggest
from resnet_tui.messages import StartRun
from resnet_tui.screens.find_rate import FindRate
from resnet_tui.screens.setup import SetupScreen
from resnet_tui.setup.form import Form
from resnet_tui.widgets.chart import Chart


class Silent:
    """A helper that never answers."""

    def __init__(self, _on_reply: Callable[[Reply], None]) -> None:
        pass

    def start(self) -> None:
        pass

    def close(self) -> None:
        pass

    def preview(self, _config: RunConfig) -> int:
        return 1

    def machine(self) -> int:
        return 2


class Host(App[None]):
    def __init__(self, draft: RunConfig) -> None:
        super().__init__()
        self.setup = SetupScreen(Path("runs"), draft, Silent)
        self.started: list[RunConfig] = []

    def on_mount(self) -> None:
        self.push_screen(self.setup)

    def on_start_run(self, message: StartRun) -> None:
        self.started.append(message.config)

    def told(self) -> str:
        return " ".join(note.message for note in self._notifications)


Scene = Callable[["Alone", Pilot[float | None], "Told"], Coroutine[Any, Any, None]]
Body = Callable[[Host, "Pilot[None]"], Coroutine[Any, Any, None]]


def drive(draft: RunConfig, body: Body, size: tuple[int, int] = (80, 24)) -> None:
    async def main() -> None:
        app = Host(draft)
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: app.screen is app.setup and app.focused is app.setup.query_one(Form))
            await body(app, pilot)

    asyncio.run(main())


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESNET_TUI_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("RESNET_TUI_CACHE", str(tmp_path / "cache"))


def trials() -> list[psutil.Process]:
    """Return the processes that do range tests for this one."""
    return [one for one in psutil.Process().children() if "--lr-find" in command_line(one)]


def rate(app: Host) -> str:
    return app.setup.draft.text("optim.lr")


def test_a_rate_is_found_by_the_engine_and_taken_into_the_form() -> None:
    async def body(app: Host, pilot: Pilot[None]) -> None:
        before = rate(app)
        await pilot.press("f")
        await until(pilot, lambda: isinstance(app.screen, FindRate))
        screen = app.screen
        assert isinstance(screen, FindRate)
        await until(pilot, lambda: "ResNet-8, shortcut A on synthetic" in text_of(app))
        await until(pilot, lambda: screen.found is not None)
        found = screen.found
        assert found is not None
        chart = screen.query_one(Chart).plot
        assert [mark.text for mark in chart.marks] == ["steepest", "lowest"]
        assert chart.x_kind == "learning rate"
        assert len(chart.lines[1].xs) > 10
        await until(pilot, lambda: "suggestion" in text_of(app))
        assert f"the form has {before} now" in " ".join(text_of(app).split())
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is app.setup)
        wanted = found.lr(tiny().schedule)
        assert float(rate(app)) == pytest.approx(wanted, rel=0.05)
        assert rate(app) != before
        assert app.setup.query_one(Form).field is not None
        assert app.setup.query_one(Form).field.key == "optim.lr"  # type: ignore[union-attr]
        await until(pilot, lambda: not trials())
        await pilot.press("f5")
        await until(pilot, lambda: app.started)
        assert app.started[0].optim.lr == float(rate(app))

    drive(tiny(train__seed=3, data__synthetic_size=320), body)


def test_escape_ends_the_test_and_takes_nothing() -> None:
    async def body(app: Host, pilot: Pilot[None]) -> None:
        before = rate(app)
        await pilot.press("f")
        await until(pilot, lambda: "trying" in text_of(app) and trials())
        await pilot.press("up", "1")  # the interface is not held up, and the form does not get the keys
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.setup)
        assert rate(app) == before
        await until(pilot, lambda: not trials())
        assert app.told() == ""

    drive(tiny(train__batch_size=72, model__depth=32), body)


def test_what_cannot_be_tried_is_said() -> None:
    async def missing(app: Host, pilot: Pilot[None]) -> None:
        await pilot.press("f")
        await until(pilot, lambda: "not in this folder yet" in app.told())
        assert app.screen is app.setup
        assert trials() == []

    drive(tiny(data__dataset="cifar10", data__dir="nowhere"), missing)


# Without the process --------------------------------------------------------------------------------------------


class Told:
    """A test whose news the test makes up."""

    def __init__(
        self, _wanted: RangeTestWanted, news: Callable[[Progress | Tried], None], end: Callable[[str], None]
    ) -> None:
        self.news, self.end = news, end
        self.begun = self.cancelled = False

    def start(self) -> None:
        self.begun = True

    def cancel(self) -> None:
        self.cancelled = True


class Alone(App[float | None]):
    def __init__(self) -> None:
        super().__init__()
        self.tests: list[Told] = []
        self.answer: float | None = -1.0

    def on_mount(self) -> None:
        self.push_screen(FindRate(tiny(), Path("runs"), self.begin), self.take)

    def begin(self, *arguments: Any) -> Told:
        self.tests.append(Told(*arguments))
        return self.tests[-1]

    def take(self, answer: float | None) -> None:
        self.answer = answer


def alone(
    body: Callable[[Alone, Pilot[float | None], Told], Coroutine[Any, Any, None]], size: tuple[int, int]
) -> None:
    async def main() -> None:
        app = Alone()
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: app.tests and app.tests[0].begun)
            await body(app, pilot, app.tests[0])
        assert app.tests[0].cancelled

    asyncio.run(main())


def losses() -> list[Reading]:
    test = RangeTest()
    return [Reading(test.rate(i), 2.3 - 1.5 * i / 80 if i <= 80 else math.inf) for i in range(82)]


@pytest.mark.parametrize("size", [(20, 6), (40, 10), (80, 24), (120, 40), (200, 60)])
def test_it_draws_at_any_size_what_goes_on_and_what_was_found(size: tuple[int, int]) -> None:
    async def body(app: Alone, pilot: Pilot[float | None], test: Told) -> None:
        test.news(Progress(activity="decoding", done=3, total=10, unit="images"))
        await until(pilot, lambda: "deco" in text_of(app))
        for reading in losses():
            test.news(Tried(lr=reading.lr, loss=reading.loss))
        await until(pilot, lambda: "trying" in text_of(app))
        await pilot.press("enter")  # not over yet
        assert app.answer == -1.0
        test.end("")
        screen = app.screen
        assert isinstance(screen, FindRate)
        await until(pilot, lambda: screen.found is not None)
        await until(pilot, lambda: "82 batches" in text_of(app))
        await pilot.press("enter", "enter")
        await until(pilot, lambda: app.answer != -1.0)
        found = suggest(losses(), RangeTest())
        assert found is not None
        assert app.answer == pytest.approx(found.lr(tiny().schedule), rel=0.05)

    alone(body, size)


@pytest.mark.parametrize(
    ("tried", "problem", "said"),
    [
        ([2.3] * 100, "", "did not fall, so there is nothing to suggest"),
        ([], "the loss is not finite (nan) from the first batch on", "✗ the loss is not finite (nan) from the first"),
        ([], "bad \x1b[31mname", "✗ bad"),
    ],
)
def test_where_there_is_nothing_to_take_it_says_why(tried: list[float], problem: str, said: str) -> None:
    async def body(app: Alone, pilot: Pilot[float | None], test: Told) -> None:
        for step, loss in enumerate(tried):
            test.news(Tried(lr=RangeTest().rate(step), loss=loss))
        test.end(problem)
        await until(pilot, lambda: said in " ".join(text_of(app).split()))
        assert "\x1b" not in text_of(app)
        await pilot.press("enter")
        assert isinstance(app.screen, FindRate)
        await pilot.press("escape")
        await until(pilot, lambda: app.answer is None)

    alone(body, (80, 24))
