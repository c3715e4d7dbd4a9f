"""The run screen: a run's state in tabs, drawn as often as the budget allows, and the keys that look at it."""

import contextlib
import math
import platform
import time
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Static

from engine.events import Event, Progress
from engine.run_dir import RunDir
from engine.text import one_line
from resnet_tui.budget import ALONE, SHARING, TICKS, Budget
from resnet_tui.messages import post
from resnet_tui.run.control import SLOW_SECONDS, RunControl
from resnet_tui.run.doing import LIVE, Doing, doing
from resnet_tui.run.feed import Feed, LogFeed
from resnet_tui.run.process import EngineProcess, Reserve
from resnet_tui.run.replay import ReplayFeed
from resnet_tui.run.source import NewRun, ReplayedRun, RunSource, WatchedRun
from resnet_tui.run.state import RunState, Topic
from resnet_tui.screens.run_actions import RunActions
from resnet_tui.screens.run_looking import RunLooking
from resnet_tui.screens.run_replaying import RunReplaying
from resnet_tui.screens.run_tabs import FILES, TABS, RunTabs, made
from resnet_tui.tabs.charts import ChartsTab
from resnet_tui.view import View
from resnet_tui.widgets.keys import Keys
from resnet_tui.widgets.run_header import RunHeader
from resnet_tui.widgets.seek_bar import SeekBar
from resnet_tui.widgets.tab_bar import TabBar

_APPLY_SECONDS = 0.01
"""How long events may be applied before keys get their turn."""
_HEADER_SECONDS = 1.0
_SAID_SECONDS = 10.0
"""How long what was said stays on the screen."""


class RunScreen(RunActions, RunLooking, RunReplaying):
    """One run, live or recorded."""

    AUTO_FOCUS = ""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(i), f"tab('{tab}')", tab, id=f"run.{tab}", show=False) for i, tab in enumerate(TABS, 1)),
        Binding("tab", "app.focus_next", "next panel", id="run.focus", show=False),
    ]
    DEFAULT_CSS = """
    RunScreen RunTabs { height: 1fr; }
    RunScreen #said { height: 1; padding: 0 1; color: $text-muted; }
    RunScreen.tiny Keys, RunScreen.tiny #said, RunScreen.tiny TabBar { display: none; }
    """

    class FeedReady(Message):
        """A batch of events is there."""

    class Prepared(Message):
        """How far the engine has come that has no run yet."""

        def __init__(self, event: Progress) -> None:
            self.event = event
            super().__init__()

    class Began(Message):
        """The run has a folder."""

        def __init__(self, run: RunDir) -> None:
            self.run = run
            super().__init__()

    class NotBegun(Message):
        """The engine ended before the run had a folder."""

        def __init__(self, reason: str, status: int) -> None:
            self.reason, self.status = reason, status
            super().__init__()

    def __init__(
        self, source: RunSource, reserve: Reserve, *, view: View | None = None, tab: str = TABS[0], charts: str = ""
    ) -> None:
        """Show ``source``.

        Args:
            source: the run.
            reserve: where the process of a new one comes from.
            view: how to look at it at first.
            tab: which tab to begin with where there is something to see already.
            charts: the filter of the charts.
        """
        super().__init__()
        self.source = source
        self._reserve = reserve
        self.state = RunState()
        self.view = view or View()
        self.run_dir: RunDir | None = None if isinstance(source, NewRun) else source.run
        self.budget = Budget()
        self.engine: EngineProcess | None = None
        self.feed: Feed | None = None
        self.tabs = RunTabs(
            tab if tab in TABS and not isinstance(source, NewRun) else TABS[0],
            lambda tab: made(tab, self.run_dir, self.budget, self.charts_filter),
        )
        self.charts_filter = charts
        self._alive, self._trouble = True, ""
        self._behind = True
        self._failed = ""
        self._woken = False
        self._said_at = math.inf
        self._caught_up = False
        """Whether the log was read to its end once: what was before is no news, what comes is live however much."""
        self._header_at = 0.0

    # The parts -------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Yield header, tabs, the open tab's place, what was said last, and the keys."""
        yield RunHeader()
        yield TabBar(TABS)
        yield self.tabs
        if isinstance(self.source, ReplayedRun):
            yield SeekBar()
        yield Static("", id="said", markup=False)
        yield Keys()

    async def on_mount(self) -> None:
        """Begin to read, or to train."""
        self._ticks = self.set_interval(TICKS[self.budget.share], self._tick)
        match self.source:
            case NewRun():
                self._start(self.source)
            case WatchedRun():
                self._watch_run(self.source.run)
            case ReplayedRun():
                self._follow(ReplayFeed(self.source.run, self.source.speed))
        await self._open_tab(self.tab)

    def on_unmount(self) -> None:
        """Let go of the run, which goes on by itself."""
        if self.feed is not None:
            self.feed.stop()
        if self.engine is not None:
            self.engine.detach()

    def on_resize(self) -> None:
        """Give the little room there may be to the charts."""
        self.set_class(self.size.height < 12 or self.size.width < 30, "tiny")
        self.call_after_refresh(self.draw_all)

    @property
    def tab(self) -> str:
        """The open tab."""
        return self.tabs.tab

    async def _open_tab(self, tab: str) -> None:
        """Show a tab; each is made when it is first opened."""
        self.query_one(TabBar).active = tab
        await self.tabs.open(tab)
        self.call_after_refresh(self._show_opened)

    def _show_opened(self) -> None:
        """Draw the open tab, then give it the keys: what can have them is known once it is drawn."""
        self.draw_all()
        if self.tabs.panel is not None:  # another may be being made already
            self.tabs.panel.take_keys()
        self.refresh_bindings()

    # The run ---------------------------------------------------------------------------------------------------

    def _start(self, source: NewRun) -> None:
        self.engine = EngineProcess(
            source.config,
            self._reserve,
            resume=source.resume,
            on_progress=lambda event: post(self, self.Prepared(event)),
            on_run_dir=lambda run: post(self, self.Began(run)),
            on_failed=lambda reason, status: post(self, self.NotBegun(reason, status)),
        )
        self.engine.start()

    @on(Prepared)
    def _on_prepared(self, message: Prepared) -> None:
        if self.run_dir is None:
            self.state.apply(message.event)

    @on(Began)
    async def _on_began(self, message: Began) -> None:
        self._watch_run(message.run)
        await self.tabs.make_anew(FILES)
        if self.tab in FILES:
            self.call_after_refresh(self._show_opened)

    @on(NotBegun)
    def _on_not_begun(self, message: NotBegun) -> None:
        self._alive, self._failed = False, message.reason or f"the engine ended with status {message.status}"
        self.say(f"✗ it did not begin: {self._failed}")
        self.notify(self._failed, title="The run did not begin", severity="error", timeout=30, markup=False)
        self.refresh_bindings()
        self.draw_header()

    def _watch_run(self, run: RunDir) -> None:
        """Follow a run's log, and take control where that is allowed."""
        self.run_dir = run
        self.state = RunState()
        if not (isinstance(self.source, WatchedRun) and self.source.readonly):
            self.control = RunControl(run)
        self._follow(LogFeed(run))
        self.refresh_bindings()

    def _follow(self, feed: Feed) -> None:
        self.feed = feed
        self._behind = True
        feed.begin(self._wake)

    @property
    def would_be_left(self) -> bool:
        """Whether a live run, which one could stop from here, would go on without this dashboard."""
        starting = self.run_dir is None and self.engine is not None
        return not self._failed and (starting or self.can_act)

    def end(self, how: str) -> bool:
        """Let the run end as ``how`` says, one that has not begun not begin; return whether it could be told."""
        if self.run_dir is None and self.engine is not None:
            self.engine.cancel()
            return True
        return self.stop(how)

    def _wake(self) -> None:
        """Called by the feed's thread; one message on the way is enough."""
        if not self._woken:
            self._woken = True
            post(self, self.FeedReady())

    @on(FeedReady)
    def _take(self) -> None:
        """Apply what is there, a moment's worth at a time."""
        self._woken = False
        if self.feed is None:
            return
        began = time.monotonic()
        before = self.doing
        while batch := self.feed.take():
            if batch.restart:
                self.state, self._caught_up = RunState(), False
            for event in batch.events:
                self._apply(event)
            self._alive, self._behind, self._trouble = batch.alive, batch.behind, batch.trouble
            if not self._caught_up and not batch.behind:
                self._caught_up = True
                if self.control is not None:
                    self.control.forget(self.state.applied)
            if time.monotonic() - began > _APPLY_SECONDS:
                self._wake()
                break
        if self.doing != before:
            self._state_changed()

    def _apply(self, event: Event) -> None:
        """Apply an event; one whose numbers no arithmetic can take is damage, and costs only itself."""
        with contextlib.suppress(ArithmeticError, ValueError):
            self.state.apply(event)

    def _state_changed(self) -> None:
        self.refresh_bindings()
        if self._can_draw():
            self.draw_header()
        if self.control is not None and self.doing not in LIVE:
            self.control.give_up()

    @property
    def doing(self) -> Doing:
        """What the run is doing."""
        if self._failed:
            return "failed"
        if self.feed is not None and self.feed.problem:
            return "damaged"
        if self.run_dir is None:
            return "starting"
        if self._behind and not self._caught_up and self.state.summary.outcome is None:
            return "reading"
        return doing(self.state, alive=self._alive, waits=bool(self._trouble))

    # Drawing ---------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Draw what changed, where the budget allows it now."""
        if not self.is_current or not self._can_draw():
            return
        self._hear()
        if not self.budget.due():
            return
        changed: set[Topic] = set()
        if not self._behind:  # else what changed is kept until all is there, and only the header says how far it is
            changed, self.state.changed = self.state.changed, changed
        panel = self.tabs.panel
        if draws := panel is not None and bool(panel.topics & changed):
            panel.show(self.state, self.view)
        if "run" in changed or time.monotonic() - self._header_at >= _HEADER_SECONDS:
            self.draw_header()
        elif not draws:
            return
        self._keep_to(SHARING if self._shares_processor() else ALONE)
        self.call_after_refresh(self.budget.drawn)

    def _keep_to(self, share: float) -> None:
        """Spend no more than ``share`` of a core."""
        if share != self.budget.share:
            self.budget.share = share
            self._ticks.stop()
            self._ticks = self.set_interval(TICKS[share], self._tick)

    def _shares_processor(self) -> bool:
        """Whether training needs the processor that drawing takes."""
        started = self.state.started
        if isinstance(self.source, ReplayedRun) or self.doing not in LIVE:
            return False
        return started is None or (started.device.startswith("cpu") and started.host == platform.node())

    def draw_all(self) -> None:
        """Draw at once, since a person asked to see it."""
        if not self._can_draw():
            return
        self.draw_header()
        if self.tabs.panel is not None:
            self.tabs.panel.show(self.state, self.view)

    def _can_draw(self) -> bool:
        """Whether there is something to draw on: not while the screen or its tab is made or taken down."""
        panel = self.tabs.panel
        whole = self.is_running and self.is_attached and self.is_mounted
        return whole and (panel is None or (panel.is_attached and panel.is_mounted))

    def draw_header(self) -> None:
        """Draw the header, and where a replay is."""
        self._header_at = time.monotonic()
        name = self.run_dir.name if self.run_dir is not None else self.source.name
        problem = self._failed or (self.feed.problem if self.feed is not None else "") or self._trouble
        self.query_one(RunHeader).show(name, self.state, self.doing, self.source.badge, self._played_at(), problem)
        if isinstance(self.feed, ReplayFeed):
            feed = self.feed
            self.query_one(SeekBar).show(feed.position, feed.length, feed.speed, paused=feed.paused)

    def _played_at(self) -> float | None:
        """The recorded time where it is played, else the clock's."""
        step = self.state.summary.last_step
        return step.time if isinstance(self.source, ReplayedRun) and step is not None else None

    def say(self, text: str) -> None:
        """Show one line below the tab, for a while."""
        self._said_at = time.monotonic() if text else math.inf
        self.query_one("#said", Static).update(Text(one_line(text)), layout=False)

    def _hear(self) -> None:
        """Tell what the engine took, and what it has not taken for long; take away what was told long ago."""
        if time.monotonic() - self._said_at > _SAID_SECONDS:
            self.say("")
        if self.control is None:
            return
        for told in self.control.hear(self.state.applied, self.state.saved):
            self.say(told)
        waiting = self.control.waiting()
        if waiting is not None and time.monotonic() - waiting.at > SLOW_SECONDS:
            self.say(f"{waiting.words}: asked {time.monotonic() - waiting.at:.0f} s ago, not yet taken by the engine")

    # Looking ---------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 (of the base)
        """Offer only what works here and now."""
        if action in {"pause", "resume"}:  # the same key
            return self.can_act and (action == "resume") == (self.doing == "paused")
        if action in self.ACTING:
            return self.can_act
        if action in self.PLAYING:
            return isinstance(self.feed, ReplayFeed)
        return True

    async def action_tab(self, tab: str) -> None:
        """Open a tab."""
        await self._open_tab(tab)
        self.looks(self.view)

    @on(TabBar.Chosen)
    async def _tab_chosen(self, message: TabBar.Chosen) -> None:
        await self.action_tab(message.tab)

    @on(ChartsTab.Filtered)
    def _charts_filtered(self, message: ChartsTab.Filtered) -> None:
        self.charts_filter = message.text
        self.keep_looks()
