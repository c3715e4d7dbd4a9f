"""What draws only the lines that are seen, however many there are."""

from typing import ClassVar

from rich.segment import Segment
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip


class LineView(ScrollView, can_focus=True, inherit_bindings=False):
    """Lines that scroll. A subclass says how many there are and draws each; ``reflow`` when that changed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "scroll_up", "up", show=False, id="lines.up"),
        Binding("down", "scroll_down", "down", show=False, id="lines.down"),
        Binding("pageup", "page_up", "page up", show=False, id="lines.page_up"),
        Binding("pagedown", "page_down", "page down", show=False, id="lines.page_down"),
        Binding("home", "scroll_home", "top", show=False, id="lines.top"),
        Binding("end", "scroll_end", "end", show=False, id="lines.end"),
        Binding("ctrl+left", "scroll_left", "left", show=False, id="lines.left"),
        Binding("ctrl+right", "scroll_right", "right", show=False, id="lines.right"),
    ]
    DEFAULT_CSS = """
    LineView { scrollbar-size: 1 1; scrollbar-gutter: stable; }
    """

    @property
    def columns(self) -> int:
        """Cells of a line that are seen at once."""
        return max(1, self.scrollable_content_region.width)

    def measured(self) -> Size:
        """Return columns and rows of everything there is to see."""
        raise NotImplementedError

    def line(self, row: int) -> list[Segment]:
        """Draw a row, 0 the first; it may be shorter or longer than the view is wide."""
        raise NotImplementedError

    def rendered(self, text: Text) -> list[Segment]:
        """Return ``text``, one line, as segments."""
        return list(text.render(self.app.console))

    def reflow(self) -> None:
        """Measure and draw everything anew."""
        self.virtual_size = self.measured()
        self.refresh()

    def on_resize(self, _event: Resize) -> None:
        """Fit the lines to the new width."""
        self.reflow()

    def render_line(self, y: int) -> Strip:
        """Draw line ``y`` of what is seen."""
        left, top = self.scroll_offset
        row = y + top
        segments = self.line(row) if row < self.virtual_size.height else []
        style = self.rich_style
        return Strip(segments).crop_extend(left, left + self.columns, style).apply_style(style)
