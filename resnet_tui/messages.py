"""What screens ask of the app: to begin a run, to look at one, to keep how it is looked at."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from textual.message_pump import MessagePump

    from engine.config import RunConfig
    from engine.run_dir import RunDir
    from resnet_tui.view import View


def post(node: MessagePump, message: Message) -> None:
    """Post from any thread; a screen or program that has gone hears nothing."""
    with contextlib.suppress(RuntimeError):  # the event loop is closed
        node.post_message(message)


class StartRun(Message):
    """Train ``config``; with ``resume``, go on with that run."""

    bubble = True

    def __init__(self, config: RunConfig, resume: RunDir | None = None) -> None:
        self.config, self.resume = config, resume
        super().__init__()


class RunLikely(Message):
    """A run is being set up: what starting one takes long for can be made ready."""

    bubble = True


class OpenRun(Message):
    """Watch ``run``, live where it is, else as it ended."""

    bubble = True

    def __init__(self, run: RunDir) -> None:
        self.run = run
        super().__init__()


class ReplayRun(Message):
    """Play ``run`` as if it were live."""

    bubble = True

    def __init__(self, run: RunDir) -> None:
        self.run = run
        super().__init__()


class LooksChanged(Message):
    """A person looks at a run in another way, to be kept for the next session."""

    bubble = True

    def __init__(self, view: View, tab: str, charts: str) -> None:
        self.view, self.tab, self.charts = view, tab, charts
        super().__init__()
