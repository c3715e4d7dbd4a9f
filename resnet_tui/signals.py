"""Ends the dashboard in order, whatever asks it to end and whenever, and minds being stopped and continued.

Textual takes the terminal before an app can do anything. Its own handling of stops gives the terminal up and takes it
back inside the handlers themselves, so that one signal which comes while another is handled leaves the two halves
mixed, and it takes every continuation for the end of a stop that it saw coming. Here handlers only note what came;
the event loop acts on it.
"""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable
from functools import partial
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
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leaving = False
        for name in _ENDING:
            if (number := getattr(signal, name, None)) is not None:
                signal.signal(number, self._end)

    def mounted(self) -> None:
        """Act on what came before the app could, and on stops and continuations from now on."""
        self._loop = asyncio.get_running_loop()
        if self._early is not None:
            self._leave(self._early, self._loop)
        if hasattr(signal, "SIGTSTP") and callable(signal.getsignal(signal.SIGTSTP)):  # else Textual cannot suspend
            signal.signal(signal.SIGTSTP, _later(self._loop, self._suspend))
            signal.signal(signal.SIGCONT, _later(self._loop, self._look_again))

    def _end(self, number: int, _frame: FrameType | None) -> None:
        if self._loop is not None:
            self._leave(number, self._loop)
        else:
            self._early = number

    def _leave(self, number: int, loop: asyncio.AbstractEventLoop) -> None:
        if self._leaving:
            return
        self._leaving = True
        last = threading.Timer(_PATIENCE, os._exit, (128 + number,))
        last.daemon = True
        last.start()
        leave = partial(self._app.call_later, self._app.exit, return_code=128 + number)
        with contextlib.suppress(RuntimeError):  # the session has ended
            loop.call_soon_threadsafe(leave)  # which wakes the loop: a screen where nothing moves sleeps

    def _suspend(self) -> None:
        """Give the terminal up, stop, and take it back once this is continued where there is something to draw on."""
        # Until then a stop means nothing: the guardian sends one to the whole job, this process among it.
        before = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        with self._app.suspend():
            os.kill(os.getpid(), signal.SIGSTOP)
            _stop_in_background()
        signal.signal(signal.SIGTSTP, before)

    def _look_again(self) -> None:
        """Draw anew after a stop that could not be seen coming; not in the background."""
        _stop_in_background()
        self._app.refresh(layout=True)


def _later(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> Callable[[int, FrameType | None], None]:
    def handle(_number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(RuntimeError):  # the session has ended
            loop.call_soon_threadsafe(act)

    return handle


def _stop_in_background() -> None:
    while not in_foreground():
        os.kill(os.getpid(), signal.SIGSTOP)
