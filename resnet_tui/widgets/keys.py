"""The line of keys that work here."""

from textual.app import ComposeResult
from textual.widget import Widget
from textual.widgets import Footer

_FIRST = frozenset({"app.help", "help", "app.leave", "leave"})


class Keys(Footer):
    """Textual's footer, compact, with help and quit first, so that no narrow terminal cuts these off."""

    def __init__(self) -> None:
        super().__init__(show_command_palette=False, compact=True)

    def compose(self) -> ComposeResult:
        """Yield the keys as Textual does, in another order."""
        self.mutate_reactive(Footer.compact)  # lets go of the keys before, which would stay bound to it for good
        yield from sorted(super().compose(), key=_is_later)


def _is_later(key: Widget) -> bool:
    return getattr(key, "action", "") not in _FIRST
