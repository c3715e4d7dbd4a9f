"""A program in a terminal of its own, as a person has it: keys go in, bytes come out."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

_SWITCHES = {
    "mouse": (b"\x1b[?1000h", b"\x1b[?1000l"),
    "mouse moves": (b"\x1b[?1003h", b"\x1b[?1003l"),
    "mouse in decimals": (b"\x1b[?1015h", b"\x1b[?1015l"),
    "mouse in decimals, better": (b"\x1b[?1006h", b"\x1b[?1006l"),
    "mouse in pixels": (b"\x1b[?1016h", b"\x1b[?1016l"),
    "focus": (b"\x1b[?1004h", b"\x1b[?1004l"),
    "bracketed paste": (b"\x1b[?2004h", b"\x1b[?2004l"),
    "size in band": (b"\x1b[?2048h", b"\x1b[?2048l"),
    "half a picture": (b"\x1b[?2026h", b"\x1b[?2026l"),
    "long lines": (b"\x1b[?7l", b"\x1b[?7h"),
    "cursor": (b"\x1b[?25l", b"\x1b[?25h"),
}
"""What switches on something that a shell does not expect, and what switches it off."""
ANSWER = "\x1b[?2048;2$y"
"""Of a terminal that can tell its size in band, and the mouse in pixels, to the dashboard's question."""


def left_on(output: bytes) -> list[str]:
    """Return what a terminal that has got ``output`` has switched on still."""
    wrong = [name for name, (on, off) in _SWITCHES.items() if output.rfind(on) > output.rfind(off)]
    screen, keyboard = "main", {"main": 0, "alternate": 0}  # how deep the stack of keyboard modes is
    for found in re.findall(rb"\x1b\[(?:\?1049[hl]|>\d+u|<u)", output):
        if found.endswith(b"u"):
            deeper = 1 if b">" in found else -1
            keyboard[screen] += deeper if screen == "main" else max(deeper, -keyboard[screen])
        else:
            screen = "alternate" if found.endswith(b"h") else "main"
    return [
        *wrong,
        *(["alternate screen"] if screen == "alternate" else []),
        *(["keyboard mode"] if keyboard["main"] else []),  # below 0: one of the shell's own was taken
    ]


_NOT_PASSED_ON = frozenset({"NO_COLOR", "COLUMNS", "LINES"})
"""The terminal's own size counts, not one that the tests were started with."""


class Terminal:
    """Runs a command in a pseudo-terminal; read what it draws with ``wait_for``."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        size: tuple[int, int] = (120, 40),
        cwd: Path | None = None,
        settings: Path | str | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        """Start ``command``.

        Args:
            command: what to run.
            size: columns and rows of the terminal.
            cwd: where to run it; None: here.
            settings: the folder for the dashboard's settings; None: the platform's.
            environment: variables besides the usual ones.
        """
        kept = {} if settings is None else {"RESNET_TUI_CONFIG": str(settings)}
        self.master, self._slave = pty.openpty()
        self._open = [self.master, self._slave]
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.before: list[Any] = termios.tcgetattr(self._slave)
        self.output = b""
        self.status: int | None = None
        self.began = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            self._become(command, cwd, kept | (environment or {}))
        os.set_blocking(self.master, False)

    def _become(self, command: Sequence[str], cwd: Path | None, environment: dict[str, str]) -> None:
        os.setsid()
        fcntl.ioctl(self._slave, termios.TIOCSCTTY, 0)
        for descriptor in (0, 1, 2):
            os.dup2(self._slave, descriptor)
        if cwd is not None:
            os.chdir(cwd)
        wanted = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"} | environment
        os.execvpe(
            command[0], list(command), {k: v for k, v in os.environ.items() if k not in _NOT_PASSED_ON} | wanted
        )

    def read(self, seconds: float = 0.0) -> bytes:
        """Take what the program has written, waiting at most ``seconds`` for something to come."""
        ready, _, _ = select.select([self.master], [], [], seconds)
        new = b""
        if ready:
            with contextlib.suppress(OSError):  # nothing there, or the program has gone
                while chunk := os.read(self.master, 1 << 16):
                    new += chunk
        self.output += new
        return new

    def wait_for(self, wanted: bytes | Callable[[bytes], bool], timeout: float = 30.0, *, since: int = 0) -> float:
        """Read until ``wanted`` has come after byte ``since`` of the output; return the seconds since the start."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            seen = self.output[since:]
            if (wanted in seen) if isinstance(wanted, bytes) else wanted(seen):
                return time.monotonic() - self.began
            self.read(0.02)
        raise AssertionError(f"{wanted!r} never came; the last was {self.output[-2000:]!r}")

    def press(self, keys: str) -> int:
        """Type ``keys``; return where in the output what follows begins."""
        self.read()
        os.write(self.master, keys.encode())
        return len(self.output)

    def kill(self, number: int) -> None:
        """Send the program a signal."""
        os.kill(self.pid, number)

    def wait_end(self, timeout: float = 30.0) -> int:
        """Wait for the end; return the exit status, negative for a signal."""
        deadline = time.monotonic() + timeout
        while self.status is None and time.monotonic() < deadline:
            self.read(0.01)
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self.status = os.waitstatus_to_exitcode(status)
        assert self.status is not None, f"did not end; the last was {self.output[-2000:]!r}"
        self.read(0.05)
        return self.status

    def restored(self) -> list[str]:
        """Return what of the terminal's state was not put back, from the bytes and from the line's settings."""
        wrong = left_on(self.output)
        if termios.tcgetattr(self._slave)[:4] != self.before[:4]:
            wrong.append("line settings")
        return wrong

    def dashboard(self) -> int:
        """Return the process that draws; the one that was started is its guardian."""
        deadline = time.monotonic() + 30
        while not (children := psutil.Process(self.pid).children()):
            assert time.monotonic() < deadline
            self.read(0.001)
        return children[0].pid

    def close(self) -> None:
        """End what is left."""
        if self.status is None:
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
        self.hang_up()

    def hang_up(self) -> None:
        """Take the terminal away, as who closes a window does."""
        while self._open:
            os.close(self._open.pop())

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def resnet_tui(*arguments: str) -> list[str]:
    """Return the command line of the program under test."""
    return [sys.executable, "-m", "resnet_tui", *arguments]
