"""Stays behind while the dashboard runs in a child process, and gives the terminal back where that could not.

A process that is killed leaves its terminal on the alternate screen, without echo, telling every move of the mouse.
So the program divides in two before anything heavy is imported, which costs about a millisecond: the parent keeps the
terminal's settings and waits, the child is the dashboard. To a shell the two are one job. Where there is no fork,
there is no guardian.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

_SWITCHED_OFF = b"".join(
    [
        *(b"\x1b[?%dl" % mode for mode in (1000, 1003, 1015, 1006, 1016)),  # the mouse; Textual forgets the last
        b"\x1b[?1004l",  # focus
        b"\x1b[?2004l",  # bracketed paste
        b"\x1b[?2048l",  # its size, in band
        b"\x1b]22;default\x1b\\",  # the pointer's shape
        b"\x1b[?7h",  # long lines wrap
        b"\x1b[?25h",  # the cursor
    ]
)
"""What may be switched off twice."""
_LEFT = b"".join(
    [
        b"\x1b\\\x1b[?2026l",  # ends a sequence and a picture that were cut short
        b"\x1b[?1049h\x1b[<u\x1b[?1049l",  # the keyboard's mode is kept a screen: never take a shell's own from it
        b"\x1b[0m",
    ]
)
"""What leaves the dashboard's screen."""


def guarded(session: Callable[[], int], *, on_killed: Callable[[], None]) -> int:
    """Run ``session``, which draws on the terminal, in a child process; return its exit status, 128 + n for signal n.

    In the child this returns what ``session`` does, and the program goes on to its end.

    Args:
        session: the dashboard.
        on_killed: called here after a signal has ended it, and that was said.
    """
    if sys.platform == "win32":
        return session()
    import termios

    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # or both would write what waits there
    settings = termios.tcgetattr(sys.stdin.fileno())
    alive, held = os.pipe()
    passed_on = {signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT}
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, {*passed_on, signal.SIGTSTP})
    child = os.fork()
    if not child:
        os.close(held)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the dashboard takes it: no import can act on it
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        threading.Thread(target=_end_with_guardian, args=(alive,), daemon=True).start()
        return session()
    os.close(alive)  # the other end stays open for as long as this process lives
    guardian = _Guardian(child, settings)
    for number in passed_on:
        signal.signal(number, guardian.pass_on)
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)  # it stops when the child has
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, as some parents leave it, nothing could be waited for
    signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
    return guardian.attend(on_killed)


def in_foreground() -> bool:
    """Whether the terminal, if it has jobs at all, belongs to this one."""
    try:
        return os.tcgetpgrp(sys.__stdin__.fileno()) == os.getpgrp() if sys.__stdin__ else False
    except OSError:
        return True


def _end_with_guardian(alive: int) -> None:
    """Let the dashboard end, in order, when the process that holds the other end of a pipe has."""
    os.read(alive, 1)
    os.kill(os.getpid(), signal.SIGHUP)


class _Guardian:
    """Of one child."""

    def __init__(self, child: int, settings: list[Any]) -> None:
        self._child = child
        self._settings = settings
        self._ended = False

    def pass_on(self, number: int, _frame: FrameType | None) -> None:
        """Let the child have a signal; one from the keyboard it has had already, and a second changes nothing."""
        if not self._ended:  # else its number may be another's now
            with contextlib.suppress(ProcessLookupError):  # ended this instant
                os.kill(self._child, number)

    def attend(self, on_killed: Callable[[], None]) -> int:
        """Wait for the child's end, stopping when it stops."""
        while os.WIFSTOPPED(status := os.waitpid(self._child, os.WUNTRACED)[1]):
            self._stop()
        self._ended = True
        ended = os.waitstatus_to_exitcode(status)
        if in_foreground():  # else it is the shell's, which has put it right
            self._restore(left=ended < 0 or self._is_taken())
        if ended >= 0:
            return ended
        with contextlib.suppress(OSError):  # the terminal has gone
            print(f"the dashboard was ended by {_name(-ended)}", file=sys.stderr)
            on_killed()
        return 128 - ended

    def _stop(self) -> None:
        """Stop the whole job as the child has, so that a shell takes the terminal back; go on with it."""
        if in_foreground():
            if self._is_taken():  # stopped by what it cannot see: let it do so in order
                os.kill(self._child, signal.SIGCONT)
                os.kill(self._child, signal.SIGTSTP)
                return
            self._restore(left=False)
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        # To all of the job, as a key would: a shell may see only the script or launcher that this was started by.
        # Not SIGSTOP: where no shell could let it go on, this does nothing, and both go on at once.
        os.kill(0, signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        os.kill(self._child, signal.SIGCONT)

    def _is_taken(self) -> bool:
        """Whether keys still reach a program one by one."""
        import termios

        taken = termios.ECHO | termios.ICANON | termios.ISIG
        try:
            now = termios.tcgetattr(sys.stdin.fileno())
        except termios.error:
            return False
        return bool((now[3] ^ self._settings[3]) & taken)

    def _restore(self, *, left: bool) -> None:
        """Switch off what the dashboard may have switched on; ``left``: also leave its screen for it."""
        import termios

        with contextlib.suppress(OSError, termios.error):
            if left:
                termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, self._settings)
            os.write(2, (_LEFT if left else b"") + _SWITCHED_OFF)  # where Textual draws
            if left:
                termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)  # moves of the mouse are no commands


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
