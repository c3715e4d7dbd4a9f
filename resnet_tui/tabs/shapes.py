"""The shapes tab: every layer of the network, why it has its shape, and how much of the gradient reaches it."""

from textual.app import ComposeResult
from textual.widgets import Static

from resnet_tui.charts import norms
from resnet_tui.panel import Panel
from resnet_tui.run.state import RunState
from resnet_tui.view import View
from resnet_tui.widgets.shape_tree import ShapeTree


class ShapesTab(Panel):
    """The shape table with the gradient norms of the run."""

    topics = frozenset({"shapes", "gradients"})
    DEFAULT_CSS = """
    ShapesTab {
        layout: vertical;
        & #shapes-note { color: $text-muted; padding: 0 1; }
        & ShapeTree { height: 1fr; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._note = Static("the network is not built yet", markup=False, id="shapes-note")
        self._tree = ShapeTree()

    def compose(self) -> ComposeResult:
        """Yield the table."""
        yield self._note
        yield self._tree

    def show(self, state: RunState, view: View) -> None:
        """Draw the table; norms are the latest, or those at the view's cursor."""
        config = state.summary.config
        built = state.model is not None and bool(state.model.rows)
        self._note.display, self._tree.display = not built, built
        if state.model is None or not built:
            return
        batch = config.micro_batch if config is not None else 1
        self._tree.set_rows(state.model.rows, batch)
        shown = norms.norms(state, view)
        self._tree.set_norms(norms.by_part(shown), shown.moment)

    def take_keys(self) -> None:
        """Give the keys to the table."""
        self._tree.focus()
