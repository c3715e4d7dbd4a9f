"""A list of rows of which one is chosen, drawn a line at a time, so that it may have thousands."""

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from resnet_tui.widgets.strips import filled


class Rows(ScrollView, can_focus=True):
    """Scrolls and chooses; what a row looks like is a subclass's to say. A header stays at the top."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "up", id="rows.up", show=False),
        Binding("down", "move(1)", "choose", id="rows.down", key_display="↑↓"),
        Binding("pageup", "page(-1)", "page up", id="rows.page_up", show=False),
        Binding("pagedown", "page(1)", "page down", id="rows.page_down", show=False),
        Binding("home", "end(-1)", "first", id="rows.first", show=False),
        Binding("end", "end(1)", "last", id="rows.last", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "rows--header",
        "rows--cursor",
        "rows--cursor-blurred",
        "rows--muted",
        "rows--bars",
        "rows--vanishing",
        "rows--exploding",
    }
    DEFAULT_CSS = """
    Rows {
        overflow-x: hidden;
        scrollbar-size-vertical: 1;
        & > .rows--header { color: $text-muted; text-style: bold; }
        & > .rows--cursor { background: $block-cursor-background; color: $block-cursor-foreground; text-style: bold; }
        & > .rows--cursor-blurred { background: $block-cursor-blurred-background; text-style: bold; }
        & > .rows--muted { color: $text-muted; }
        & > .rows--bars { color: $primary; }
        & > .rows--vanishing { color: $text-warning; text-style: bold; }
        & > .rows--exploding { color: $text-error; text-style: bold; }
    }
    """

    class Moved(Message):
        """Another row is chosen."""

    class Opened(Message):
        """A person clicked the row that was chosen already."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 (the base class's name)
        super().__init__(id=id)
        self.count = 0
        self.cursor = 0
        self.lines_each = 1
        """Lines of a row."""
        self._under: Style | None = None
        """The widget's own style, which takes long to work out."""

    def header(self, width: int) -> list[Segment]:
        """Return the line above the rows."""
        raise NotImplementedError

    def row(self, index: int, line: int, width: int) -> list[Segment]:
        """Return line ``line`` of a row."""
        raise NotImplementedError

    def resized(self, count: int, lines_each: int = 1) -> None:
        """Take another number of rows, or of lines a row, and draw again."""
        if (count, lines_each) != (self.count, self.lines_each):
            self.count, self.lines_each = count, lines_each
            self.virtual_size = Size(0, count * lines_each + 1)
            self.cursor = min(self.cursor, max(0, count - 1))
            self._follow()
        self.refresh()

    def choose(self, index: int) -> None:
        """Choose a row and bring it into view."""
        index = min(max(0, index), max(0, self.count - 1))
        if index != self.cursor:
            self.cursor = index
            self.post_message(self.Moved())
            self.refresh()
        self._follow()

    def style(self, name: str) -> Style:
        """Return one of the component styles, such as ``muted``."""
        return self.get_component_rich_style(f"rows--{name}", partial=True)

    def render_line(self, y: int) -> Strip:
        """Return a line as it stands on the screen."""
        width = self.scrollable_content_region.width
        if self._under is None:
            self._under = self.rich_style
        under = self._under
        if y == 0:
            return filled(self.header(width), width, under + self.style("header"))
        index, line = divmod(y - 1 + self.scroll_offset.y, self.lines_each)
        if index >= self.count:
            return Strip.blank(width, under)
        segments = self.row(index, line, width)
        if index != self.cursor:
            return filled(segments, width, under)
        over = self.style("cursor" if self.has_focus else "cursor-blurred")
        return filled(segments, width, under, over)

    def notify_style_update(self) -> None:
        """Draw again in other colours."""
        super().notify_style_update()
        self._under = None

    def _follow(self) -> None:
        first, room = self.cursor * self.lines_each, max(1, self.size.height - 1)
        if first < self.scroll_offset.y:
            self.scroll_to(y=first, animate=False)
        elif first + self.lines_each > self.scroll_offset.y + room:
            self.scroll_to(y=first + self.lines_each - room, animate=False)

    def action_move(self, by: int) -> None:
        """Choose the next row, or the one before."""
        self.choose(self.cursor + by)

    def action_page(self, by: int) -> None:
        """Move on by as many rows as are seen."""
        self.choose(self.cursor + by * max(1, (self.size.height - 1) // self.lines_each))

    def action_end(self, by: int) -> None:
        """Choose the first row, or the last."""
        self.choose(0 if by < 0 else self.count - 1)

    def on_click(self, event: events.Click) -> None:
        """Choose the row there; open the one that is chosen already."""
        offset = event.get_content_offset(self)
        if offset is None or offset.y < 1:
            return
        index = (offset.y - 1 + self.scroll_offset.y) // self.lines_each
        if index >= self.count:
            return
        if index == self.cursor:
            self.post_message(self.Opened())
        self.choose(index)

    def on_resize(self) -> None:
        """Keep the chosen row in view."""
        self._follow()
