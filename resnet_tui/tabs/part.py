"""One part of the network: the norm of its gradient over the run, and its rows of the shape table."""

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Static

from engine.shapes.groups import within
from resnet_tui.charts import norms
from resnet_tui.charts.curves import part_norm, with_words
from resnet_tui.charts.norms import GLYPHS, WORDS
from resnet_tui.panel import Panel
from resnet_tui.run.state import RunState
from resnet_tui.view import View
from resnet_tui.widgets.chart import Chart
from resnet_tui.widgets.shape_tree import ShapeTree


class PartView(Panel):
    """Shows the part of number ``part``."""

    topics = frozenset({"gradients", "marks", "shapes"})
    DEFAULT_CSS = """
    PartView {
        layout: vertical;
        & #part-facts { height: 1; text-wrap: nowrap; text-overflow: ellipsis; padding: 0 1; }
        & Chart { height: 2fr; min-height: 5; }
        & ShapeTree { height: 3fr; }
        & ShapeTree #shape-totals { display: none; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self.part = 0
        self._facts = Static(markup=False, id="part-facts")
        self._chart, self._tree = Chart(), ShapeTree(unfolded=True)
        self._chart.can_focus = False

    def compose(self) -> ComposeResult:
        """Yield its figures, its chart and its table."""
        yield self._facts
        yield self._chart
        yield self._tree

    def show(self, state: RunState, view: View) -> None:
        """Draw the part; nothing where the network has no such part (any more)."""
        parts = state.gradients.parts
        if state.model is None or self.part >= len(parts):
            return
        shown = norms.norms(state, view)
        self._facts.update(_facts(shown, self.part), layout=False)
        self._chart.plot = with_words(part_norm(state, view, self.part), state, view)
        config = state.summary.config
        batch = config.micro_batch if config is not None else 1
        self._tree.set_rows(within(state.model.rows, parts[self.part]), batch)
        self._tree.set_norms(norms.by_part(shown), shown.moment)

    def take_keys(self) -> None:
        """Give the keys to the table."""
        self._tree.focus()


def _facts(shown: norms.Norms, part: int) -> Text:
    text = Text(norms.name(shown.parts[part]), "bold")
    if part >= len(shown.values):
        return text.append("  no reading yet", "not bold")
    place = shown.ascending().index(part) + 1
    ratio = shown.ratio(part)
    value = norms.number(shown.values[part])
    facts = [
        f"norm {value} ({shown.moment})",
        f"{ratio} median" if ratio else "",
    ]
    if (flag := shown.flag(part)) != "":
        facts.append(f"{GLYPHS[flag]} {WORDS[flag]}")
    facts.append(f"no. {place} of {len(shown.parts)} by norm")
    return text.append("  " + " · ".join(fact for fact in facts if fact), "not bold")
