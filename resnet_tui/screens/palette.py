"""Textual's command palette, which two clicks in one moment would close twice."""

from textual.await_complete import AwaitComplete
from textual.command import CommandPalette
from textual.screen import ScreenResultType


class Palette(CommandPalette):
    """Closes once: what is below it is not its to close."""

    def dismiss(self, result: ScreenResultType | None = None) -> AwaitComplete:
        """Close, unless it is closed already."""
        if self.is_active:
            return super().dismiss(result)  # type: ignore[arg-type]
        return AwaitComplete()
