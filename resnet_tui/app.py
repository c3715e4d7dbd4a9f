"""The dashboard: set-up, the run that is looked at, and the list of runs, each a mode of one app."""

import gc
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rich.console import RenderableType
from textual import on
from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.filter import LineFilter
from textual.screen import Screen
from textual.widgets import Static
from textual.worker import WorkerFailed

from engine.folders import config_folder
from resnet_tui import settings as kept
from resnet_tui.ascii_filter import AsciiFilter
from resnet_tui.gate import Gate
from resnet_tui.messages import LooksChanged, OpenRun, ReplayRun, RunLikely, StartRun
from resnet_tui.run.source import ComparedRuns, NewRun, ReplayedRun, RunSource, WatchedRun

if TYPE_CHECKING:
    from engine.config import RunConfig
    from engine.run_dir import RunDir
    from resnet_tui.run.process import Reserve
    from resnet_tui.screens.run import RunScreen
    from resnet_tui.signals import Signals


class Dashboard(App[None]):
    """One session at a terminal."""

    TITLE = "resnet-tui"
    ENABLE_COMMAND_PALETTE = True
    CSS = """
    #opening { width: 1fr; padding: 0 1; background: $panel; text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f2", "set_up", "new", id="app.set_up", tooltip="set up a new run", key_display="F2"),
        Binding("f3", "watch", "run", id="app.watch", tooltip="go to the run", key_display="F3"),
        Binding("f4", "runs", "runs", id="app.runs", tooltip="the list of all runs", key_display="F4"),
        Binding("question_mark,f1", "help", "help", id="app.help", tooltip="what the keys do here", key_display="?"),
        Binding("q", "leave", "quit", id="app.quit", tooltip="quit; a live run is asked about"),
        Binding("ctrl+q,ctrl+c", "leave", "quit", id="app.quit_anywhere", show=False, priority=True),
        Binding(
            "ctrl+z",
            "suspend_process",
            "stop",
            id="app.suspend",
            tooltip="back to the shell; fg comes back here",
            show=False,
            priority=True,
        ),
        Binding(
            "ctrl+p",
            "command_palette",
            "commands",
            id="app.commands",
            tooltip="find an action by name",
            show=False,
            priority=True,
        ),
    ]

    def __init__(
        self,
        runs: Path,
        source: RunSource | ComparedRuns | None = None,
        *,
        ascii_only: bool = False,
        readonly: bool = False,
    ) -> None:
        """Prepare a session.

        Args:
            runs: the folder of runs.
            source: the run to begin with, or several to compare; None: the set-up screen, or where nothing may be
                set up the list of runs. Where it is a run that may only be looked at, so may all others.
            ascii_only: whether to draw with nothing but ASCII.
            readonly: whether to start, change, stop and delete no run, and to keep no preset and no setting.
        """
        super().__init__()
        self.runs = runs
        self.readonly = readonly or (isinstance(source, WatchedRun) and source.readonly)
        self._kept_ready: Reserve | None = None
        self.ascii_only = ascii_only
        self._source = source
        self._folder = config_folder()
        self.settings = kept.read(self._folder / "dashboard.toml")
        self._keys, self._keys_problem = kept.read_keys(self._folder / "keys.toml")
        self._gate, self._ascii = Gate(), AsciiFilter()
        self.signals: Signals | None = None
        """Set by who runs the app in a terminal of its own."""
        self._run: RunScreen | None = None
        """The run that is looked at."""
        self.left: RunDir | None = None
        """The live run that was left running at the end of the session."""
        self.add_mode("runs", self._make_runs)
        if not self.readonly:
            self.add_mode("setup", self._make_setup)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Return what every line goes through on its way to the terminal."""
        filters = [*super().get_line_filters(), self._gate]
        return [*filters, self._ascii] if self.ascii_only else filters

    def compose(self) -> ComposeResult:
        """Yield what is seen while the first screen is imported, which takes as long as Textual itself."""
        yield Static("resnet-tui", id="opening", markup=False)

    def on_mount(self) -> None:
        """Begin a session; the first screen comes once there is something to see."""
        if self.settings.theme in self.available_themes:
            self.theme = self.settings.theme
        self.set_keymap(self._keys)
        if self.signals is not None:
            self.signals.mounted()
        self.call_after_refresh(self._open)

    async def _open(self) -> None:
        """Show the first screen."""
        self.call_after_refresh(_collect_garbage_again)
        if isinstance(self._source, ComparedRuns):
            await self._show_compared(self._source)
        elif self._source is not None:
            await self._show_run(self._source)
        else:
            await self._go_to("runs" if self.readonly else "setup")
        if self._keys_problem:
            self.notify(self._keys_problem, severity="warning", timeout=15, markup=False)

    # Screens ---------------------------------------------------------------------------------------------------

    def _make_setup(self) -> Screen[None]:
        from resnet_tui.screens.setup import SetupScreen

        return SetupScreen(self.runs, _draft(self.settings.setup))

    def _make_runs(self) -> Screen[None]:
        from resnet_tui.screens.runs import RunsScreen

        return RunsScreen(self.runs, readonly=self.readonly)

    @property
    def _reserve(self) -> "Reserve":
        """Where the processes of runs come from."""
        if self._kept_ready is None:
            from resnet_tui.run.process import Reserve

            self._kept_ready = Reserve(self.runs)
        return self._kept_ready

    @on(RunLikely)
    def _make_ready(self) -> None:
        self._reserve.prepare()

    async def _go_to(self, mode: str) -> None:
        """Switch to ``mode``, unless the session has begun to end: then its screens are being closed."""
        if self.is_running:
            await self.switch_mode(mode)

    async def _show_run(self, source: RunSource) -> None:
        """Look at a run instead of the one before, which goes on by itself."""
        from resnet_tui.screens.run import RunScreen

        if self._run is not None:
            if self.current_mode == "run":
                await self._go_to("runs")
            await self.remove_mode("run")
        self._run = screen = RunScreen(
            source, self._reserve, view=self.settings.view, tab=self.settings.tab, charts=self.settings.filter
        )
        self.add_mode("run", lambda: screen)
        await self._go_to("run")

    async def _show_compared(self, source: ComparedRuns) -> None:
        """Compare runs; to leave that is to go to the list of all."""
        from resnet_tui.screens.compare import CompareScreen

        await self._go_to("runs")
        await self.push_screen(CompareScreen(source.runs))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 (of the base)
        """Offer only screens that are not the one in front and may be used, and a run only once one is open."""
        if action == "suspend_process":
            return self._driver is None or self._driver.can_suspend
        if action == "set_up" and self.readonly:
            return False
        mode = {"set_up": "setup", "watch": "run", "runs": "runs"}.get(action)
        return mode is None or (mode != self.current_mode and (mode != "run" or self._run is not None))

    async def action_set_up(self) -> None:
        """Go to the set-up screen."""
        await self._go_to("setup")

    async def action_runs(self) -> None:
        """Go to the list of runs."""
        await self._go_to("runs")

    async def action_watch(self) -> None:
        """Go to the run."""
        if self._run is not None:
            await self._go_to("run")
        else:
            self.notify("no run is open: start one here (F2), or open one from the list (F4)")

    @on(StartRun)
    async def _start_run(self, message: StartRun) -> None:
        if self.readonly or self.current_mode == "run":  # asked twice before the screen changed: one run is meant
            return
        self.settings = replace(self.settings, setup=message.config.model_dump(mode="json", exclude_none=True))
        await self._show_run(NewRun(message.config, message.resume))

    @on(LooksChanged)
    def _keep_looks(self, message: LooksChanged) -> None:
        self.settings = replace(self.settings.with_view(message.view), tab=message.tab, filter=message.charts)

    @on(OpenRun)
    async def _open_run(self, message: OpenRun) -> None:
        await self._show_run(WatchedRun(message.run, readonly=self.readonly))

    @on(ReplayRun)
    async def _replay_run(self, message: ReplayRun) -> None:
        await self._show_run(ReplayedRun(message.run))

    # Actions everywhere ----------------------------------------------------------------------------------------

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Yield every action that has a key here, and the themes."""
        seen = set()
        for active in screen.active_bindings.values():
            binding = active.binding
            if not binding.description or not active.enabled or binding.action in seen:
                continue
            seen.add(binding.action)
            key = self.get_key_display(binding)
            title = binding.tooltip or binding.description
            yield SystemCommand(
                f"{title[:1].upper()}{title[1:]}",
                "" if "[" in key else f"key {key}",
                self._performing(binding.action, active.node),
            )
        yield SystemCommand("Theme", "Choose another theme", self.action_change_theme)

    def _performing(self, action: str, node: object) -> Callable[[], object]:
        return lambda: self.call_later(self.run_action, action, node)

    def action_command_palette(self) -> None:
        """Find an action by name."""
        from resnet_tui.screens.palette import Palette

        if not isinstance(self.screen, Palette):
            self.push_screen(Palette(id="--command-palette"))

    def action_help(self) -> None:
        """Show what the keys do here."""
        from resnet_tui.screens.help import Help

        if not isinstance(self.screen, Help):
            self.push_screen(Help(list(self.screen.active_bindings.values()), str(self._folder / "keys.toml")))

    def action_leave(self) -> None:
        """Quit; where a run is live, ask first what is to become of it."""
        from resnet_tui.screens.quit import Quit

        if isinstance(self.screen, Quit):
            return
        if self._run is not None and self._run.would_be_left:
            self.push_screen(Quit(self._run), self._quit_as_said)
        else:
            self.leave()

    def _quit_as_said(self, how: str | None) -> None:
        if how is None or how == "stay":
            return
        if self._run is not None and self._run.would_be_left:  # it may have ended while the person thought
            if how == "leave":
                self.left = self._run.run_dir
            elif not self._run.end(how):
                return  # it could not be told, which the screen says: quitting would leave it running unasked
        self.leave()

    def leave(self) -> None:
        """End the session."""
        self.exit()

    # Errors that nobody expected ---------------------------------------------------------------------------------

    @property
    def failure(self) -> BaseException | None:
        """What ended the session though nobody expected it."""
        error = self._exception
        return error.error if isinstance(error, WorkerFailed) else error

    def _handle_exception(self, error: Exception) -> None:
        """Take an error; none while the session is being taken apart: what begins late finds its screen gone."""
        if not self._exit:
            super()._handle_exception(error)

    def _fatal_error(self) -> None:
        """End the session; who runs it tells why, without what Textual would show: the values of all variables."""
        self._close_messages_no_wait()

    def panic(self, *_renderables: RenderableType) -> None:
        """End the session likewise over an error that would draw itself, or because keys cannot be read any more."""
        if self._exception is None:
            self._handle_exception(OSError("the terminal cannot be read any more"))
        else:
            self._fatal_error()

    def on_unmount(self) -> None:
        """Keep the settings, however the session ends, and let go of a process that waits for a run."""
        if self._kept_ready is not None:
            self._kept_ready.close()
        if self.readonly:
            return
        self.settings = replace(self.settings, theme=self.theme)
        try:
            kept.write(self._folder / "dashboard.toml", self.settings)
        except OSError as error:
            self.log(f"settings were not kept: {error}")


def _collect_garbage_again() -> None:
    """Where it was put off for the start, look for garbage from now on, and not in what was imported."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def _draft(tree: dict[str, Any]) -> "RunConfig | None":
    """Return the configuration that was last started, or None where it is none any more."""
    from engine.config_file import build_config
    from engine.errors import ConfigError

    try:
        return build_config(tree, {}) if tree else None
    except ConfigError:
        return None
