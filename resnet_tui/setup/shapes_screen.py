"""Every operation of the network that is being set up."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from engine.shapes.table import ShapeTable
from resnet_tui.widgets.keys import Keys
from resnet_tui.widgets.shape_tree import ShapeTree


class ShapesScreen(Screen[None]):
    """The whole shape table, to fold and unfold."""

    CSS = """
    ShapesScreen {
        & #title { height: 1; padding: 0 1; background: $panel; text-style: bold; }
        & ShapeTree { height: 1fr; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,v", "dismiss", "back", id="setup_shapes.back")]

    def __init__(self, title: str, table: ShapeTable) -> None:
        """Show ``table`` of the network ``title``."""
        super().__init__()
        self._title, self._table = title, table

    def compose(self) -> ComposeResult:
        """Lay out title, table and footer."""
        yield Static(Content(self._title), id="title")
        yield ShapeTree(self._table.rows, self._table.batch_size)
        yield Keys()

    def on_mount(self) -> None:
        """Give the keys to the table."""
        self.query_one(ShapeTree).focus()
