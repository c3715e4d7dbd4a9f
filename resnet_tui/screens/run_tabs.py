"""The tabs of the run screen: their order, and how each is made."""

from engine.run_dir import RunDir
from resnet_tui.budget import Budget
from resnet_tui.panel import Panel

TABS = ("overview", "charts", "gradients", "shapes", "classes", "system", "log")
FILES = frozenset({"classes", "system", "log"})
"""Those that read files of the run, and so are made anew once it has a folder."""


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
