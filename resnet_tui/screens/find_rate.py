"""Tries rising learning rates on the run that is set up, and shows where its loss falls and explodes."""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Protocol

from rich.table import Table
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Static

from engine import words
from engine.config import RunConfig
from engine.events import Progress
from engine.helper_messages import RangeTestWanted, Tried
from engine.lr_range import RangeTest, Reading, Suggestion, suggest
from engine.text import one_line
from resnet_tui.charts.colours import themed
from resnet_tui.messages import post
from resnet_tui.printing.lr_curve import ended, plot, suggested, why
from resnet_tui.setup.helper import RangeTesting
from resnet_tui.setup.preview_text import download_line
from resnet_tui.widgets.chart import Chart
from resnet_tui.widgets.keys import Keys

_NOTHING = (
    "The loss did not fall, so there is nothing to suggest. In a shell, resnet-tui lr-find tries other rates "
    "with --from and --to, and more batches with --steps."
)


class Tests(Protocol):
    """What this screen wants of a `RangeTesting`."""

    def start(self) -> None:
        """Begin."""

    def cancel(self) -> None:
        """End."""


Begin = Callable[[RangeTestWanted, Callable[[Progress | Tried], None], Callable[[str], None]], Tests]
"""Makes a test of what is wanted, which tells its news, and its end, from any thread."""


class FindRate(Screen[float | None]):
    """Returns the learning rate that a person takes; None where none is taken."""

    DEFAULT_CSS = """
    FindRate {
        & #title { height: 1; padding: 0 1; background: $panel; text-style: bold; }
        & #state { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
        & Chart { height: 1fr; margin: 1 0 0 0; }
        & #found { height: auto; padding: 0 1; display: none; }
        &.-over #found { display: block; }
        &.-low Chart { margin: 0; }
    }
    """
    VERTICAL_BREAKPOINTS = [(0, "-low"), (20, "-high")]  # noqa: RUF012 (an instance variable in the base class's eyes)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", "take it", id="find_rate.take", tooltip="take the suggestion into the form"),
        Binding("escape", "dismiss(None)", "back", id="find_rate.back", tooltip="end the test; back to the form"),
    ]

    class _News(Message):
        def __init__(self, news: Progress | Tried) -> None:
            super().__init__()
            self.news = news

    class _Ended(Message):
        def __init__(self, problem: str) -> None:
            super().__init__()
            self.problem = problem

    def __init__(self, config: RunConfig, runs: Path, begin: Begin = RangeTesting) -> None:
        """Test ``config``; ``runs`` is where weights to begin with are looked for by a run's name."""
        super().__init__()
        self._config, self._runs = config, runs
        self._begin = begin
        self._test = RangeTest()
        self._testing: Tests | None = None
        self._progress: Progress | None = None
        self._readings: list[Reading] = []
        self._over = False
        self._problem = ""

    def compose(self) -> ComposeResult:
        """Lay out what happens, the curve, and below it what was found."""
        config = self._config
        about = f"Learning rate for {config.model.title} on {config.data.dataset}, {config.optim.name}, "
        yield Static(Content(f"{about}batches of {config.train.batch_size:,}"), id="title")
        yield Static(id="state")
        chart = Chart()
        chart.can_focus = False
        yield chart
        yield Static(id="found")
        yield Keys()

    def on_mount(self) -> None:
        """Begin."""
        wanted = RangeTestWanted(config=self._config, test=self._test, runs=self._runs)
        try:
            self._testing = self._begin(
                wanted, lambda news: post(self, self._News(news)), lambda problem: post(self, self._Ended(problem))
            )
        except ValueError as error:
            post(self, self._Ended(one_line(str(error))))
        else:
            self._testing.start()
        self._show()

    def on_unmount(self) -> None:
        """Leave no process behind."""
        if self._testing is not None:
            self._testing.cancel()

    def on_resize(self) -> None:
        """Draw the bar for another width."""
        self._show()

    @property
    def found(self) -> Suggestion | None:
        """What the test suggests; None before its end, and where it suggests nothing."""
        return suggest(self._readings, self._test) if self._over and not self._problem else None

    @on(_News)
    def _take_news(self, message: _News) -> None:
        news = message.news
        if isinstance(news, Tried):
            self._readings.append(Reading(news.lr, news.loss))
            self._progress = Progress(
                activity=f"trying {words.learning_rate(news.lr)}",
                done=len(self._readings),
                total=self._test.steps,
                unit="batches",
            )
        else:
            self._progress = news
        self._show()

    @on(_Ended)
    def _end(self, message: _Ended) -> None:
        self._over, self._problem = True, message.problem
        self.set_class(not self._problem, "-over")
        self.refresh_bindings()
        self._show()

    def _show(self) -> None:
        found = self.found
        self.query_one("#state", Static).update(self._state())
        self.query_one(Chart).plot = plot(self._readings, self._test, found)
        if self._over:
            self.query_one("#found", Static).update(self._told(found))

    def _state(self) -> Content:
        if self._problem:
            return Content.styled(f"✗ {one_line(self._problem)}", "$text-error")
        if self._over:
            return Content(f"{len(self._readings)} batches {ended(self._test, self._readings, interrupted=False)}")
        if self._progress is None:
            return Content("starting…")
        return Content(download_line(self._progress, self.size.width - 2))

    def _told(self, found: Suggestion | None) -> Table | Text:
        if found is None:
            return Text(_NOTHING)
        rate, now = (words.learning_rate(rate) for rate in (found.lr(self._config.schedule), self._config.optim.lr))
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True, style="dim")
        grid.add_column(overflow="fold")
        for label, text in suggested(found):
            grid.add_row(Text(label), Text(text))
        style = themed(self.app, "success", bold=True)
        advice = Text.assemble((f"{rate}: {why(self._config, found)}", style), f"; the form has {now} now")
        grid.add_row(Text("suggestion", "not dim bold"), advice)
        return grid

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 (of the base)
        """Offer to take a suggestion once there is one."""
        return action != "take" or self.found is not None

    def action_take(self) -> None:
        """Return the suggestion, as it is written here."""
        if (found := self.found) is not None:
            self.dismiss(float(words.learning_rate(found.lr(self._config.schedule))))
