"""What every part of the run screen has in common."""

from collections.abc import Callable, Sequence

from textual.widget import Widget

from resnet_tui.run.state import RunState, Topic
from resnet_tui.view import View


class Panel(Widget):
    """A part of the run screen. It holds no truth of its own: it draws a state as a view has it."""

    topics: frozenset[Topic] = frozenset()
    """What of a state it shows; it is drawn again only when one of these changed."""

    _drawings: Sequence[Callable[[], None]] = ()
    _drawing = -1
    _left = 0

    def draw_in_turn(self, parts: Sequence[Callable[[], None]]) -> None:
        """Draw ``parts`` one a frame, so that a key waits for one of them at most.

        Asked again before all are drawn, it goes on with those that have waited longest: none is put off for ever.
        """
        idle = not self._left
        self._drawings, self._left = parts, len(parts)
        if idle:
            self._drawing = -1
            self._draw_next()

    def _draw_next(self) -> None:
        if not self._left or not self.is_attached:
            self._left = 0
            return
        self._drawing = (self._drawing + 1) % len(self._drawings)
        self._left -= 1
        self._drawings[self._drawing]()
        if self._left:
            self.call_after_refresh(self._draw_next)

    def take_keys(self) -> None:
        """Give the keys to the part that has some of its own: the first that is seen and can have them."""
        for widget in (self, *self.query("*")):
            if widget.focusable and widget.region:
                self.screen.set_focus(widget)  # at once: later, it could take the keys from what was opened since
                return

    def show(self, state: RunState, view: View) -> None:
        """Draw ``state``; called in the interface's thread, at most about ten times a second."""
        raise NotImplementedError
