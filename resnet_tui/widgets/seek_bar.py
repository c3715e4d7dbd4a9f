"""Where a replay is, and a click to go elsewhere."""

from rich.text import Text
from textual.events import Click
from textual.message import Message
from textual.widget import Widget

from engine import words


class SeekBar(Widget):
    """A line with the played part filled."""

    DEFAULT_CSS = "SeekBar { height: 1; padding: 0 1; background: $panel; }"

    class Sought(Message):
        """A person wants to be elsewhere; ``share`` of the whole, 0 to 1."""

        def __init__(self, share: float) -> None:
            self.share = share
            super().__init__()

    def __init__(self) -> None:
        super().__init__()
        self._shown = (0.0, 0.0, 1.0, False)

    def show(self, position: float, length: float, speed: float, *, paused: bool) -> None:
        """Draw seconds ``position`` of ``length``."""
        shown = (position, length, speed, paused)
        if shown != self._shown:
            self._shown = shown
            self.refresh()

    def _label(self) -> str:
        position, length, speed, paused = self._shown
        return f"{'paused' if paused else '▶'} ×{speed:g}  {words.duration(position)} of {words.duration(length)} "

    def render(self) -> Text:
        """Return the line."""
        position, length, *_ = self._shown
        label = self._label()
        width = max(1, self.content_size.width - len(label))
        full = round(width * (position / length if length else 0.0))
        return Text.assemble(
            label, ("━" * full, "bold"), ("─" * (width - full), "dim"), no_wrap=True, overflow="crop"
        )

    def on_click(self, event: Click) -> None:
        """Tell where on the bar it was."""
        label = len(self._label())
        width = max(1, self.content_size.width - label)
        if (column := event.x - 1 - label) >= 0:
            self.post_message(self.Sought(min(1.0, column / max(1, width - 1))))
