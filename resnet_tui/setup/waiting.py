"""Says that an answer is awaited, once it takes longer than one notices."""

from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Static

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_TICK = 0.1
_NOTICED = 0.2
"""Seconds."""


class Waiting(Static):
    """A spinner with a word; empty while nothing is awaited."""

    class Changed(Message):
        """It begins, or ends, to be seen that something is awaited."""

        def __init__(self, *, late: bool) -> None:
            super().__init__()
            self.late = late

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 (the base class's name)
        super().__init__(id=id)
        self._what, self._ticks = "", 0
        self._timer: Timer | None = None

    def wait_for(self, what: str, *, at_once: bool = False) -> None:
        """Wait for ``what``, such as ``looking…``; with ``at_once``, say so without delay."""
        self._what, self._ticks = what, round(_NOTICED / _TICK) if at_once else 0
        if self._timer is None:
            self._timer = self.set_interval(_TICK, self._tick)
        if at_once:
            self._tick()

    def done(self) -> None:
        """Wait no more."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        self.update(Content(""))
        self.post_message(self.Changed(late=False))

    def _tick(self) -> None:
        self._ticks += 1
        if self._ticks * _TICK > _NOTICED:
            self.update(Content(f"{_FRAMES[self._ticks % len(_FRAMES)]} {self._what} "))
            self.post_message(self.Changed(late=True))
