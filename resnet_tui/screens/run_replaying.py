"""The keys that play a recorded run."""

from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.screen import Screen

from resnet_tui.run.feed import Feed
from resnet_tui.run.replay import SPEEDS, ReplayFeed
from resnet_tui.widgets.seek_bar import SeekBar

_SEEK = 0.05
"""Share of the whole that a key goes back or forward."""


class RunReplaying(Screen[None]):
    """The playing part of the run screen; does nothing where a run is live."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "play", "play/pause", id="replay.play"),
        Binding("less_than_sign", "speed(-1)", "slower", id="replay.slower"),
        Binding("greater_than_sign", "speed(1)", "faster", id="replay.faster"),
        Binding("shift+left", "seek(-1)", "back", id="replay.back"),
        Binding("shift+right", "seek(1)", "forward", id="replay.forward"),
    ]
    PLAYING = frozenset({"play", "speed", "seek"})

    feed: Feed | None = None

    def draw_header(self) -> None:
        """Draw where the replay is."""
        raise NotImplementedError

    def action_play(self) -> None:
        """Stand still, or go on; from the start where it had ended."""
        if isinstance(feed := self.feed, ReplayFeed):
            if feed.ended:
                feed.seek(0.0)
                feed.pause(False)
            else:
                feed.pause(not feed.paused)
            self.draw_header()

    def action_speed(self, by: int) -> None:
        """Play faster or slower."""
        if isinstance(feed := self.feed, ReplayFeed):
            now = min(range(len(SPEEDS)), key=lambda i: abs(SPEEDS[i] - feed.speed))
            feed.set_speed(SPEEDS[min(max(0, now + by), len(SPEEDS) - 1)])
            self.draw_header()

    def action_seek(self, direction: int) -> None:
        """Go back or forward by a part of the whole."""
        if isinstance(feed := self.feed, ReplayFeed):
            feed.seek(feed.position + direction * _SEEK * feed.length)

    @on(SeekBar.Sought)
    def _sought(self, message: SeekBar.Sought) -> None:
        if isinstance(feed := self.feed, ReplayFeed):
            feed.seek(message.share * feed.length)
