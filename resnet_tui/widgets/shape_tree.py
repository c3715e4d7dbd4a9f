"""The shape table of a network to fold and unfold, with the chosen row spelled out below."""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.events import Resize
from textual.widget import Widget
from textual.widgets import Static

from engine import words
from engine.events import ShapeRow
from engine.shapes.explain import explain
from engine.shapes.formula import shape_text
from engine.shapes.groups import DETAILS, Detail
from engine.text import one_line
from resnet_tui.charts import norms
from resnet_tui.charts.norms import GLYPHS
from resnet_tui.printing.shape_table import GAP, Column, fitting, widths
from resnet_tui.run.gradient_history import Flag
from resnet_tui.widgets.rows import Rows
from resnet_tui.widgets.shape_nodes import Node, everything, seen, set_open, tree

_NORM = 10
"""Columns of a norm and its flag."""
_IN_TITLE = ("operation", "input", "output")
_LABEL = 16


class ShapeRows(Rows):
    """The table."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "fold", "fold", id="shapes.fold"),
        Binding("u", "all('operations')", "unfold all", id="shapes.unfold_all"),
        Binding("U,shift+u", "all('stages')", "fold all", id="shapes.fold_all", key_display="U"),
    ]

    def __init__(self, *, unfolded: bool) -> None:
        super().__init__()
        self._unfolded = unfolded
        self._tops: list[Node] = []
        self._seen: list[Node] = []
        self._needed: dict[int, dict[str, int]] = {}
        """By depth: how wide each column has to be."""
        self._norms: Mapping[str, tuple[float, Flag]] = {}
        self._columns: tuple[int, list[Column], dict[str, int]] | None = None
        """For a width: what is shown, and how wide."""
        self._begun = False

    @property
    def node(self) -> Node | None:
        """The chosen row."""
        return self._seen[self.cursor] if self.cursor < len(self._seen) else None

    def set_rows(self, rows: Sequence[ShapeRow]) -> None:
        """Show another network, as far unfolded as there is room for."""
        self._tops, self._needed, self._begun = tree(rows), {}, False
        self.cursor = 0
        self._begin()

    def set_norms(self, found: Mapping[str, tuple[float, Flag]]) -> None:
        """Show the gradient norm beside each part; the column goes where there are none."""
        if found != self._norms:
            if bool(found) != bool(self._norms):
                self._columns = None
            self._norms = found
            self.refresh()

    def on_resize(self) -> None:
        """Unfold as far as there is room, until a person folds."""
        self._columns = None
        if not self._begun:
            self._begin()
        super().on_resize()

    def _begin(self) -> None:
        """Unfold to blocks, and to operations, where all rows fit, or where that was asked for."""
        room = math.inf if self._unfolded else self.size.height - 1
        for detail in reversed(DETAILS):
            set_open(self._tops, detail)
            if sum(1 for _ in seen(self._tops)) <= room:
                break
        self._changed()

    def _changed(self) -> None:
        node = self.node
        self._seen, self._columns = list(seen(self._tops)), None
        while node is not None and node not in self._seen:
            node = node.parent
        self.resized(len(self._seen))
        if node is not None:
            self.choose(self._seen.index(node))
        self.post_message(self.Moved())

    def action_fold(self) -> None:
        """Fold or unfold the chosen row; of an operation, its block."""
        node = self.node
        if node is None:
            return
        node = node if node.children or node.parent is None else node.parent
        node.open, self._begun = not node.open and bool(node.children), True
        self._changed()

    def action_all(self, detail: Detail) -> None:
        """Unfold everything, or fold it to stages."""
        set_open(self._tops, detail)
        self._begun = True
        self._changed()

    @on(Rows.Opened)
    def _clicked_again(self, event: Rows.Opened) -> None:
        event.stop()
        self.action_fold()

    def header(self, width: int) -> list[Segment]:
        """Name the columns."""
        shown, needed = self._layout(width)
        return self._line([column.header for column in shown], "grad norm", shown, needed)

    def row(self, index: int, line: int, width: int) -> list[Segment]:  # noqa: ARG002 (rows have one line)
        """Return a row's cells."""
        node = self._seen[index]
        shown, needed = self._layout(width)
        cells = [_label(node) if column.header == "layer" else column.cell(node.row) for column in shown]
        norm, flag = self._norm(node)
        return self._line(cells, norm, shown, needed, flag)

    def _line(
        self, cells: Sequence[str], norm: str, shown: Sequence[Column], needed: Mapping[str, int], flag: Flag = ""
    ) -> list[Segment]:
        segments = []
        for cell, column in zip(cells, shown, strict=True):
            width = needed[column.header]
            text = one_line(cell) if column.header != "layer" else cell
            segments.append(Segment((text.rjust if column.right else text.ljust)(width) + " " * GAP))
            if column.header == "layer" and self._norms:
                style = self.style(flag) if flag in {"vanishing", "exploding"} else Style()
                segments.append(Segment(f"{norm:>{_NORM - 2}} {GLYPHS[flag]}"[:_NORM] + " " * GAP, style))
        return segments

    def _layout(self, width: int) -> tuple[list[Column], dict[str, int]]:
        if self._columns is None or self._columns[0] != width:
            needed: dict[str, int] = {}
            for depth in {node.depth for node in self._seen} or {0}:
                for header, room in self._needed_at(depth).items():
                    needed[header] = max(room, needed.get(header, 0))
            needed["layer"] = max((len(_label(node)) for node in self._seen), default=5)
            left = width - (_NORM + GAP if self._norms else 0)
            shown = fitting(needed, left)
            for header in ("MACs", "params", "operation"):
                if sum(needed[column.header] + GAP for column in shown) - GAP <= left:
                    break
                shown = [column for column in shown if column.header != header]
            self._columns = width, shown, needed
        return self._columns[1], self._columns[2]

    def _needed_at(self, depth: int) -> dict[str, int]:
        if depth not in self._needed:
            self._needed[depth] = widths([node.row for node in everything(self._tops) if node.depth == depth])
        return self._needed[depth]

    def _norm(self, node: Node) -> tuple[str, Flag]:
        """Return the norm of a block, of stem and head, or of a whole stage: the root of the sum of squares."""
        if node.parent is not None and not node.row.block:
            return "", ""
        if not node.row.block and node.row.stage not in self._norms:
            found = [self._norms[name] for child in node.children if (name := child.row.name) in self._norms]
        elif node.parent is not None and node.parent.row.block:
            found = []
        else:
            name = f"{node.row.stage}.{node.row.block}" if node.row.block else node.row.stage
            found = [self._norms[name]] if name in self._norms and node.row.params else []
        if not found:
            return "", ""
        flagged: list[Flag] = [flag for _, flag in found if flag]
        return norms.number(sum(norm * norm for norm, _ in found) ** 0.5), flagged[0] if flagged else ""


class ShapeTree(Widget):
    """Table, totals and the chosen row in full."""

    DEFAULT_CSS = """
    ShapeTree {
        layout: vertical;
        & ShapeRows { height: 1fr; }
        & #shape-totals { height: 1; color: $text-muted; text-wrap: nowrap; text-overflow: ellipsis; }
        & #shape-detail {
            height: auto; max-height: 40%; border-top: solid $panel; scrollbar-size-vertical: 1;
        }
        & #shape-detail Static { height: auto; }
        &.low #shape-detail, &.low #shape-totals { display: none; }
    }
    """

    def __init__(self, rows: Sequence[ShapeRow] = (), batch_size: int = 1, *, unfolded: bool = False) -> None:
        """Show ``rows``, whose memory holds for ``batch_size``; none yet: ``set_rows`` gives them later.

        Begins as far unfolded as all rows fit; with ``unfolded``, with every operation.
        """
        super().__init__()
        self._rows, self._batch_size, self._moment = tuple(rows), batch_size, ""
        self._table = ShapeRows(unfolded=unfolded)
        self._totals = Static(markup=False, id="shape-totals")
        self._detail = Static(markup=False)

    def compose(self) -> ComposeResult:
        """Yield the table and what stands below it."""
        yield self._table
        yield self._totals
        with VerticalScroll(id="shape-detail", can_focus=False):
            yield self._detail

    def on_mount(self) -> None:
        """Show what was given when it was made."""
        self._fill()

    def set_rows(self, rows: Sequence[ShapeRow], batch_size: int) -> None:
        """Show another network, in the order of its forward pass.

        Args:
            rows: its operations.
            batch_size: for which their memory holds.
        """
        if tuple(rows) != self._rows or batch_size != self._batch_size:
            self._rows, self._batch_size = tuple(rows), batch_size
            if self.is_mounted:
                self._fill()

    def set_norms(self, found: Mapping[str, tuple[float, Flag]], moment: str) -> None:
        """Show gradient norm and flag beside each part, by its name; ``moment`` says of when."""
        self._table.set_norms(found)
        moment = moment if found else ""
        if moment != self._moment:
            self._moment = moment
            self._sum_up()

    def focus(self, scroll_visible: bool = True) -> "ShapeTree":
        """Give the keys to the table."""
        self._table.focus(scroll_visible)
        return self

    def on_resize(self, event: Resize) -> None:
        """Leave the room to the table where there is little."""
        self.set_class(event.size.height < 8, "low")

    def _fill(self) -> None:
        self._table.set_rows(self._rows)
        self._sum_up()
        self._explain()

    def _sum_up(self) -> None:
        if not self._rows:
            self._totals.update("", layout=False)
            return
        params, macs = (sum(getattr(row, name) for row in self._rows) for name in ("params", "macs"))
        kept = words.size(sum(row.activation_bytes for row in self._rows))
        totals = f" {params:,} parameters · {words.count(macs)} MACs a sample · activations {kept}"
        totals += f" at batch {self._batch_size:,}"
        totals += f" · norms: {self._moment}" if self._moment else ""
        self._totals.update(Text(totals), layout=False)

    @on(Rows.Moved)
    def _moved(self, event: Rows.Moved) -> None:
        event.stop()
        self._explain()

    def _explain(self) -> None:
        node = self._table.node
        self._detail.update(_spelled_out(node, self._batch_size) if node is not None else Text(""))
        self.query_one("#shape-detail").scroll_home(animate=False)


def _label(node: Node) -> str:
    mark = ("▾ " if node.open else "▸ ") if node.children else "  "
    return "  " * node.depth + mark + one_line(node.name)


def _spelled_out(node: Node, batch_size: int) -> Text:
    """Word a row: of a stage, its sums; of a block, its operations as well."""
    facts = explain((node.row,) if node.of_blocks else node.operations, batch_size)
    first = dict(reversed(facts))
    row = node.row
    text = Text.assemble((f" {one_line(row.name)}", "bold"), f"  {shape_text(row.input)} → {shape_text(row.output)}")
    text.append(f"  {one_line(first['operation'] if len(node.operations) == 1 else row.op)}", "dim")
    for label, value in facts:
        if label not in _IN_TITLE:
            text.append(f"\n {label:{_LABEL}}", "dim")
            text.append(one_line(value))
    return text
