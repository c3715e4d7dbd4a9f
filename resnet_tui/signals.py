"""Ends the dashboard in order, whatever asks it to end and whenever, and minds being stopped and continued.

Textual takes the terminal before an app can do anything, and its own handling of SIGCONT is for a stop that it saw
coming: after any other it would start its threads twice and never end.
"""

import os
import signal
import threading
from types import FrameType
from typing import Any

from textual.app import App

from resnet_tui.guardian import in_foreground

_ENDING = ("SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT")
_PATIENCE = 1.5
"""Seconds after which a program whose terminal has gone ends all the same."""


class Signals:
    """The handlers of one session."""

    def __init__(self, app: App[Any]) -> None:
        """Take the signals that end a program, before the terminal is taken."""
        self._app = app
        self._early: int | None = None
        self._mounted = self._stopped = self._leaving = False
        for name in _ENDING:
            if (number := getattr(signal, name, None)) is not None:
                signal.signal(number, self._end)

    def mounted(self) -> None:
        """Act on what came before the app could, and on stops and continuations from now on."""
        self._mounted = True
        if self._early is not None:
            self._leave(self._early)
        if hasattr(signal, "SIGTSTP"):
            self._stop, self._go_on = signal.getsignal(signal.SIGTSTP), signal.getsignal(signal.SIGCONT)
            signal.signal(signal.SIGTSTP, self._stops)
            signal.signal(signal.SIGCONT, self._continues)

    def _end(self, number: int, _frame: FrameType | None) -> None:
        if self._mounted:
            self._leave(number)
        else:
            self._early = number

    def _leave(self, number: int) -> None:
        if self._leaving:
            return
        self._leaving = True
        last = threading.Timer(_PATIENCE, os._exit, (128 + number,))
        last.daemon = True
        last.start()
        self._app.call_later(self._app.exit, return_code=128 + number)

    def _stops(self, number: int, frame: FrameType | None) -> None:
        self._stopped = True
        if callable(self._stop):
            self._stop(number, frame)

    def _continues(self, number: int, frame: FrameType | None) -> None:
        if not in_foreground():  # there is nothing to draw on
            os.kill(os.getpid(), signal.SIGSTOP)
        elif self._stopped and callable(self._go_on):
            self._stopped = False
            self._go_on(number, frame)
        else:
            self._app.call_later(self._app.refresh, layout=True)
