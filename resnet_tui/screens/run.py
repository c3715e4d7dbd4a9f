"""The run screen: a run's state in tabs, drawn as often as the budget allows, and the keys that look at it."""

import platform
import time
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import ContentSwitcher, Footer, Static

from engine.events import Progress
from engine.run_dir import RunDir
from engine.text import one_line
from resnet_tui.budget import ALONE, SHARING, Budget
from resnet_tui.panel import Panel
from resnet_tui.run.control import SLOW_SECONDS, RunControl
from resnet_tui.run.feed import Feed, LogFeed
from resnet_tui.run.process import EngineProcess
from resnet_tui.run.replay import ReplayFeed
from resnet_tui.run.source import NewRun, ReplayedRun, RunSource, WatchedRun
from resnet_tui.run.state import RunState
from resnet_tui.screens.run_actions import RunActions
from resnet_tui.screens.run_looking import RunLooking
from resnet_tui.screens.run_replaying import RunReplaying
from resnet_tui.tabs.charts import ChartsTab
from resnet_tui.view import View
from resnet_tui.widgets.run_header import LIVE, RunHeader, Shown, shown_state
from resnet_tui.widgets.seek_bar import SeekBar
from resnet_tui.widgets.tab_bar import TabBar

TABS = ("overview", "charts", "gradients", "shapes", "classes", "system", "log")
_APPLY_SECONDS = 0.03
"""How long events may be applied before keys get their turn."""
_TICK_SECONDS = 0.1


class RunScreen(RunActions, RunLooking, RunReplaying):
    """One run, live or recorded."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(i), f"tab('{tab}')", tab, id=f"run.{tab}", show=False) for i, tab in enumerate(TABS, 1)),
        Binding("tab", "app.focus_next", "next panel", id="run.focus", show=False),
    ]
    DEFAULT_CSS = """
    RunScreen ContentSwitcher { height: 1fr; }
    RunScreen #said { height: 1; padding: 0 1; color: $text-muted; }
    RunScreen.tiny Footer, RunScreen.tiny #said, RunScreen.tiny TabBar { display: none; }
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

    def __init__(self, source: RunSource, *, view: View | None = None, tab: str = TABS[0], charts: str = "") -> None:
        """Show ``source``.

        Args:
            source: the run.
            view: how to look at it at first.
            tab: which tab to begin with.
            charts: the filter of the charts.
        """
        super().__init__()
        self.source = source
        self.state = RunState()
        self.view = view or View()
        self.run_dir: RunDir | None = None if isinstance(source, NewRun) else source.run
        self.budget = Budget()
        self.engine: EngineProcess | None = None
        self.feed: Feed | None = None
        self.tab = tab if tab in TABS else TABS[0]
        self.charts_filter = charts
        self._alive = True
        self._behind = True
        self._failed = ""
        self._woken = False
        self._said = ""
        self._header_at = 0.0
        self._panels: dict[str, Panel] = {}

    # The parts -------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Yield header, tabs, the open tab's place, what was said last, and the keys."""
        yield RunHeader()
        yield TabBar(TABS)
        yield ContentSwitcher()
        if isinstance(self.source, ReplayedRun):
            yield SeekBar()
        yield Static("", id="said", markup=False)
        yield Footer(show_command_palette=False, compact=True)

    async def on_mount(self) -> None:
        """Begin to read, or to train."""
        self.query_one(TabBar).active = self.tab
        self.set_interval(_TICK_SECONDS, self._tick)
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

    def on_resize(self) -> None:
        """Give the little room there may be to the charts."""
        self.set_class(self.size.height < 12 or self.size.width < 30, "tiny")
        self.call_after_refresh(self.draw_all)

    def _panel(self, tab: str) -> Panel:
        match tab:
            case "overview":
                from resnet_tui.tabs.overview import OverviewTab

                return OverviewTab()
            case "charts":
                return ChartsTab(self.charts_filter)
            case "gradients":
                from resnet_tui.tabs.gradients import GradientsTab

                return GradientsTab()
            case "shapes":
                from resnet_tui.tabs.shapes import ShapesTab

                return ShapesTab()
            case "classes":
                from resnet_tui.tabs.classes import ClassesTab

                return ClassesTab(self.run_dir)
            case "system":
                from resnet_tui.tabs.system import SystemTab

                return SystemTab(self.budget, self.run_dir)
            case _:
                from resnet_tui.tabs.log import LogTab

                return LogTab(self.run_dir)

    async def _open_tab(self, tab: str) -> None:
        """Show a tab; each is made when it is first opened."""
        self.tab = tab
        switcher = self.query_one(ContentSwitcher)
        if tab not in self._panels:
            self._panels[tab] = panel = self._panel(tab)
            panel.id = tab
            await switcher.mount(panel)
        switcher.current = tab
        self.query_one(TabBar).active = tab
        self._focus_panel()
        self.refresh_bindings()
        self.call_after_refresh(self.draw_all)

    def _focus_panel(self) -> None:
        """Give the keys to the open tab, whose own bindings then work."""
        panel = self._panels[self.tab]
        if not panel.takes_keys:
            self.set_focus(None)
            return
        target = next((widget for widget in panel.query("*") if widget.focusable and widget.display), None)
        if panel.can_focus:
            panel.focus()
        elif target is not None:
            target.focus()

    # The run ---------------------------------------------------------------------------------------------------

    def _start(self, source: NewRun) -> None:
        self.engine = EngineProcess(
            source.config,
            source.runs,
            resume=source.resume,
            on_progress=lambda event: self._post(self.Prepared(event)),
            on_run_dir=lambda run: self._post(self.Began(run)),
            on_failed=lambda reason, status: self._post(self.NotBegun(reason, status)),
        )
        self.engine.start()

    def _post(self, message: Message) -> None:
        """Post from another thread; a screen that has gone hears nothing."""
        self.post_message(message)

    @on(Prepared)
    def _on_prepared(self, message: Prepared) -> None:
        if self.run_dir is None:
            self.state.apply(message.event)

    @on(Began)
    async def _on_began(self, message: Began) -> None:
        self._watch_run(message.run)
        for tab in ("classes", "system", "log"):  # these read the run's files
            if tab in self._panels:
                await self._panels.pop(tab).remove()
                if self.tab == tab:
                    await self._open_tab(tab)

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

    def end(self, how: str) -> None:
        """Let the run end as ``how`` says; one that has not begun does not begin."""
        if self.run_dir is None and self.engine is not None:
            self.engine.cancel()
        else:
            self.stop(how)

    def _wake(self) -> None:
        """Called by the feed's thread; one message on the way is enough."""
        if not self._woken:
            self._woken = True
            self._post(self.FeedReady())

    @on(FeedReady)
    def _take(self) -> None:
        """Apply what is there, a moment's worth at a time."""
        self._woken = False
        if self.feed is None:
            return
        began = time.monotonic()
        before = self.shown
        while batch := self.feed.take():
            if batch.restart:
                self.state = RunState()
            for event in batch.events:
                self.state.apply(event)
            self._alive, self._behind = batch.alive, batch.behind
            if time.monotonic() - began > _APPLY_SECONDS:
                self._wake()
                break
        if self.shown != before:
            self._state_changed()

    def _state_changed(self) -> None:
        self.state.changed.add("run")
        self.refresh_bindings()
        if self.control is not None and self.shown not in LIVE:
            self.control.give_up()

    @property
    def shown(self) -> Shown:
        """What the run is doing."""
        if self._failed:
            return "failed"
        if self.run_dir is None:
            return "starting"
        return shown_state(self.state, alive=self._alive)

    # Drawing ---------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Draw what changed, where the budget allows it now."""
        if not self.is_current or not self.budget.due():
            return
        self._hear()
        changed, self.state.changed = self.state.changed, set()
        panel = self._panels.get(self.tab)
        draws = panel is not None and bool(panel.topics & changed) and not self._behind
        if "run" in changed or time.monotonic() - self._header_at >= 1.0:
            self.draw_header()
        elif not draws:
            return
        if draws and panel is not None:
            panel.show(self.state, self.view)
        shares = self._shares_processor()
        self.budget.share = SHARING if shares else ALONE
        self.call_after_refresh(self.budget.drawn)

    def _shares_processor(self) -> bool:
        """Whether training needs the processor that drawing takes."""
        started = self.state.started
        if isinstance(self.source, ReplayedRun) or self.shown not in LIVE:
            return False
        return started is None or (started.device.startswith("cpu") and started.host == platform.node())

    def draw_all(self) -> None:
        """Draw at once, since a person asked to see it."""
        if not self.is_mounted or not self.is_attached:
            return
        self.draw_header()
        if panel := self._panels.get(self.tab):
            panel.show(self.state, self.view)

    def draw_header(self) -> None:
        """Draw the header, and where a replay is."""
        self._header_at = time.monotonic()
        name = self.run_dir.name if self.run_dir is not None else self.source.name
        self.query_one(RunHeader).show(name, self.state, self.shown, self._badge(), self._now())
        if isinstance(self.feed, ReplayFeed):
            feed = self.feed
            self.query_one(SeekBar).show(feed.position, feed.length, feed.speed, paused=feed.paused)

    def _badge(self) -> str:
        match self.source:
            case ReplayedRun():
                return "replay"
            case WatchedRun(readonly=True):
                return "read-only"
            case _:
                return ""

    def _now(self) -> float | None:
        """The recorded time where it is played, else the clock's."""
        step = self.state.summary.last_step
        return step.time if isinstance(self.source, ReplayedRun) and step is not None else None

    def say(self, text: str) -> None:
        """Show one line below the tab."""
        self._said = one_line(text)
        self.query_one("#said", Static).update(Text(self._said))

    def _hear(self) -> None:
        """Tell what the engine took, and what it has not taken for long."""
        if self.control is None:
            return
        if self._behind:
            self.control.forget(self.state.applied)
            return
        for told in self.control.hear(self.state.applied):
            self.say(told)
        waiting = self.control.waiting()
        if waiting is not None and time.monotonic() - waiting.at > SLOW_SECONDS:
            self.say(f"{waiting.words}: asked {time.monotonic() - waiting.at:.0f} s ago, not yet taken by the engine")
        if self.feed is not None and self.feed.problem:
            self.say(f"✗ the run cannot be read: {self.feed.problem}")

    # Looking ---------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 (of the base)
        """Offer only what works here and now."""
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
