"""What the run uses of host and device, what the dashboard itself costs, and what the run runs on."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

import psutil
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Container, VerticalScroll
from textual.events import Resize
from textual.widgets import Static

from engine import words
from engine.events import System
from engine.run_dir import RunDir
from engine.text import one_line
from resnet_tui.budget import SHORTEST, Budget
from resnet_tui.charts.curves import USE
from resnet_tui.panel import Panel
from resnet_tui.run.state import RunState, Topic
from resnet_tui.view import View
from resnet_tui.widgets.meter import Meter

_WIDE = 100
"""Columns from which the facts stand beside the meters."""
_TALL = 26
"""Rows from which a gap stands below each meter."""
_HUGE = 170
"""Columns from which meters stand in two columns."""
_COST_SECONDS = 2.0


class SystemTab(Panel):
    """Meters over the run's time, and facts."""

    topics: frozenset[Topic] = frozenset({"system"})
    DEFAULT_CSS = """
    SystemTab { layout: vertical; }
    SystemTab #meters { height: 8; padding: 0 1; }
    SystemTab #facts { height: 1fr; padding: 0 1; scrollbar-size: 1 1; }
    SystemTab #facts Static { height: auto; }
    SystemTab.wide { layout: horizontal; }
    SystemTab.wide #meters { width: 3fr; height: 1fr; border: round $primary-darken-2; }
    SystemTab.wide #facts { width: 2fr; border: round $primary-darken-2; }
    SystemTab.tall Meter { margin: 0 0 1 0; }
    SystemTab.tall Meter.unknown { margin: 0; }
    SystemTab.huge #meters { layout: grid; grid-size: 2; grid-columns: 1fr 1fr; grid-rows: 9; grid-gutter: 0 2; }
    """

    def __init__(self, budget: Budget, run: RunDir | None = None) -> None:
        """Show what ``budget`` measures of the dashboard, and the folder of ``run`` where there is one."""
        super().__init__()
        self._budget, self._run = budget, run
        self._meters = {name: Meter(use.name) for name, use in USE.items()}
        self._process = psutil.Process()
        self._state: RunState | None = None

    def compose(self) -> ComposeResult:
        """Yield meters and facts."""
        with Container(id="meters") as meters:
            meters.border_title = "use over the run's time"
            yield from self._meters.values()
        with VerticalScroll(id="facts") as facts:
            facts.border_title = "facts"
            yield Static(id="text", markup=False)

    def on_mount(self) -> None:
        """Keep the dashboard's own cost fresh, also when the run says nothing."""
        self.set_interval(_COST_SECONDS, self._keep_fresh)

    def on_resize(self, event: Resize) -> None:
        """Put facts beside the meters where there is room."""
        self.set_class(event.size.width >= _WIDE, "wide")
        self.set_class(event.size.width >= _WIDE and event.size.height >= _TALL, "tall")
        self.set_class(event.size.width >= _HUGE and event.size.height >= _TALL, "huge")

    def show(self, state: RunState, view: View) -> None:  # noqa: ARG002 (use has a time axis only)
        """Draw use and facts."""
        self._state = state
        for name, meter in self._meters.items():
            value = _value(name, state)
            meter.show(value, state.use[name], _top(name, state.system), partial(_written, name))
        self._say_facts()

    def _keep_fresh(self) -> None:
        if self.is_on_screen:
            self._say_facts()

    def _say_facts(self) -> None:
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        sections = {"this dashboard": self._cost()}
        if self._state is not None:
            sections["this run"] = list(_facts(self._state, self._run))
        for title, facts in sections.items():
            table.add_row(Text(f"\n{title}" if table.row_count else title, "not dim bold"))
            for label, value in facts:
                table.add_row(Text(f"  {label}"), Text(value))
        self.query_one("#text", Static).update(table)

    def _cost(self) -> list[tuple[str, str]]:
        return [
            ("processor", f"{words.percent(self._budget.cores, 1)} of one core"),
            ("memory", words.size(self._process.memory_info().rss)),
            ("drawing", f"{self._budget.drawings:.1f} times a second, at most {1 / SHORTEST:.0f}"),
            (
                "budget",
                f"{words.percent(self._budget.share, 1)} of one core; it draws less often where that would take more",
            ),
        ]


def _top(name: str, system: System | None) -> float | None:
    """Return the most that a quantity can be; None where that says nothing."""
    match name:
        case "host_cpu_percent" | "device_percent":
            return 100.0
        case "host_memory_bytes" if system is not None:
            return system.host_memory_total
        case "device_memory_bytes" if system is not None:
            return system.device_memory_total
        case _:
            return None


def _value(name: str, state: RunState) -> str:
    """Write the quantity as it is now, or why it is not known."""
    if state.system is None:
        return "not known yet"
    value = getattr(state.system, name)
    if value is None:
        on_cpu = state.summary.device.startswith("cpu")
        return "not known here: trains on the CPU" if on_cpu else "not known here: the driver does not say"
    total = _top(name, state.system)
    of_total = f" of {words.size(round(total))}" if total and name.endswith("bytes") else ""
    return f"{_written(name, value)}{of_total}"


def _written(name: str, value: float) -> str:
    match name:
        case "cpu_percent":
            return f"{words.percent(value / 100, 0)} of one core"
        case "host_cpu_percent":
            return f"{words.percent(value / 100, 0)} of all cores"
        case "device_percent":
            return words.percent(value / 100, 0)
        case "device_watts":
            return f"{value:.0f} W"
        case "device_celsius":
            return f"{value:.0f} °C"
        case _:
            return words.size(round(value))


def _facts(state: RunState, run: RunDir | None) -> Iterator[tuple[str, str]]:
    """Yield what the run runs on."""
    started = state.started
    if started is None:
        return
    since = datetime.fromtimestamp(started.time, UTC).astimezone()
    yield "device", one_line(started.device)
    yield "precision", one_line(started.precision)
    yield "host", one_line(started.host)
    yield "process", str(started.process)
    if state.summary.rank_speeds:
        yield "ranks", words.ranks(state.summary.rank_speeds)
    yield "since", f"{since:%Y-%m-%d %H:%M:%S}"
    if run is not None:
        yield "folder", one_line(str(run.path.absolute()))
    for name, version in started.versions:
        yield one_line(name, 30), one_line(version, 60)
