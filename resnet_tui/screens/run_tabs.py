"""The tabs of the run screen: their order, how each is made, and the place where one is shown."""

import asyncio
from collections.abc import Callable

from textual.widgets import ContentSwitcher

from engine.run_dir import RunDir
from resnet_tui.budget import Budget
from resnet_tui.panel import Panel

TABS = ("overview", "charts", "gradients", "shapes", "classes", "system", "log")
FILES = frozenset({"classes", "system", "log"})
"""Those that read files of the run, and so are made anew once it has a folder."""


class RunTabs(ContentSwitcher):
    """Shows one tab; each is made when it is first opened.

    A key, a click and a run that begins can ask for tabs at the same moment: one after the other makes them, so that
    none is there twice.
    """

    def __init__(self, tab: str, make: Callable[[str], Panel]) -> None:
        """Begin with ``tab``; ``make`` makes one."""
        super().__init__()
        self.tab = tab
        """Which one is wanted; there is no panel of it while that is made."""
        self._make = make
        self._panels: dict[str, Panel] = {}
        self._changing = asyncio.Lock()

    @property
    def panel(self) -> Panel | None:
        """The one that is shown, unless it is being made."""
        return self._panels.get(self.tab)

    async def open(self, tab: str) -> None:
        """Show ``tab``, or what was asked for since."""
        self.tab = tab
        async with self._changing:
            await self._show()

    async def make_anew(self, tabs: frozenset[str]) -> None:
        """Make those of ``tabs`` again that are there, now or when they are opened."""
        async with self._changing:
            for tab in tabs & self._panels.keys():
                await self._panels.pop(tab).remove()
            await self._show()

    async def _show(self) -> None:
        tab = self.tab
        if tab not in self._panels:
            panel = self._make(tab)
            panel.id = tab
            await self.mount(panel)
            self._panels[tab] = panel
        self.current = tab


def made(tab: str, run: RunDir | None, budget: Budget, charts_filter: str) -> Panel:
    """Make a tab. Each is imported when it is first opened, so that the first frame does not wait for all.

    Args:
        tab: one of ``TABS``.
        run: the run's folder, None where it has none yet.
        budget: what the dashboard may cost, which the system tab shows.
        charts_filter: which charts the charts tab begins with.
    """
    match tab:
        case "overview":
            from resnet_tui.tabs.overview import OverviewTab

            return OverviewTab()
        case "charts":
            from resnet_tui.tabs.charts import ChartsTab

            return ChartsTab(charts_filter)
        case "gradients":
            from resnet_tui.tabs.gradients import GradientsTab

            return GradientsTab()
        case "shapes":
            from resnet_tui.tabs.shapes import ShapesTab

            return ShapesTab()
        case "classes":
            from resnet_tui.tabs.classes import ClassesTab

            return ClassesTab(run)
        case "system":
            from resnet_tui.tabs.system import SystemTab

            return SystemTab(budget, run)
        case _:
            from resnet_tui.tabs.log import LogTab

            return LogTab(run)
