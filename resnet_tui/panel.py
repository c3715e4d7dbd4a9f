"""What every part of the run screen has in common."""

from textual.widget import Widget

from resnet_tui.run.state import RunState, Topic
from resnet_tui.view import View


class Panel(Widget):
    """A part of the run screen. It holds no truth of its own: it draws a state as a view has it."""

    topics: frozenset[Topic] = frozenset()
    """What of a state it shows; it is drawn again only when one of these changed."""

    def take_keys(self) -> None:
        """Give the keys to the part that has some of its own: the first that is seen and can have them."""
        for widget in (self, *self.query("*")):
            if widget.focusable and widget.region:
                self.screen.set_focus(widget)  # at once: later, it could take the keys from what was opened since
                return

    def show(self, state: RunState, view: View) -> None:
        """Draw ``state``; called in the interface's thread, at most about ten times a second."""
        raise NotImplementedError
