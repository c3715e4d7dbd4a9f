"""A chart as a widget: it draws again only when what it shows changed."""

from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from resnet_tui.charts.plot import Drawing, Plot, draw


class Chart(Widget, can_focus=True):
    """Shows a `Plot`, and under the mouse its values. The screen holds the cursor and sets it in all its charts."""

    DEFAULT_CSS = """
    Chart {
        width: 1fr;
        height: 1fr;
        padding-right: 1;
    }
    """

    class CursorMoved(Message):
        """A person clicked a place on the axis: the cursor of all charts goes there."""

        def __init__(self, x: float) -> None:
            super().__init__()
            self.x = x

    def __init__(self, plot: Plot | None = None, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._plot = plot or Plot("")
        self._drawing = Drawing([])
        self._drawn_for: tuple[Plot, float | None, Size, bool, bool, Style] | None = None
        self._pointed: float | None = None
        """Where on the axis the mouse is."""

    @property
    def plot(self) -> Plot:
        """What is shown. Setting an equal one does nothing."""
        return self._plot

    @plot.setter
    def plot(self, plot: Plot) -> None:
        if plot != self._plot:
            self._plot = plot
            self.refresh()

    def column_to_x(self, column: int) -> float | None:
        """Return the value in the middle of a column of the chart; None beside the curves or where there are none."""
        drawing = self._draw()
        if drawing.canvas is None or not 0 <= column - drawing.left < drawing.canvas.columns:
            return None
        return drawing.canvas.x_at(column - drawing.left)

    def x_step(self) -> float:
        """Return how much a column of the axis is worth; 0 where there are no curves."""
        canvas = self._draw().canvas
        return 0.0 if canvas is None else (canvas.x.high - canvas.x.low) / canvas.columns

    def render_lines(self, crop: Region) -> list[Strip]:
        """Draw once for all rows: to ask each whether that is due takes longer than drawing."""
        self._draw()
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """Return a row of the chart."""
        strips = self._drawing.strips
        return strips[y] if y < len(strips) else Strip.blank(self.content_size.width, self.rich_style)

    def _draw(self) -> Drawing:
        ascii_only = bool(getattr(self.app, "ascii_only", False))
        wanted = (self._plot, self._pointed, self.content_size, self.has_focus, ascii_only, self.rich_style)
        if wanted != self._drawn_for:
            plot, pointed, size, focused, ascii_only, style = wanted
            drawing = draw(plot, *size, read_at=pointed, ascii_only=ascii_only, focused=focused)
            strips = [strip.apply_style(style) for strip in drawing.strips]
            self._drawing = Drawing(strips, drawing.canvas, drawing.left)
            self._drawn_for = wanted
        return self._drawing

    def on_focus(self) -> None:
        """Show in the title that keys go here."""
        self.refresh()

    def on_blur(self) -> None:
        """Show in the title that keys go elsewhere."""
        self.refresh()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Read the values there."""
        self._point_at(self._place(event))

    def on_click(self, event: events.Click) -> None:
        """Put the cursor there."""
        self._point_at(x := self._place(event))
        if x is not None:
            self.post_message(self.CursorMoved(x))

    def on_leave(self, event: events.Leave) -> None:
        """Read the values at the cursor again."""
        if event.node is self:
            self._point_at(None)

    def _place(self, event: events.MouseEvent) -> float | None:
        offset = event.get_content_offset(self)
        return None if offset is None else self.column_to_x(offset.x)

    def _point_at(self, x: float | None) -> None:
        if x != self._pointed:
            self._pointed = x
            self.refresh()
