"""A program in a terminal of its own, as a person has it: keys go in, bytes come out."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


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
        os.execvpe(command[0], list(command), {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | wanted)

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
        switches = {
            "alternate screen": (b"\x1b[?1049h", b"\x1b[?1049l"),
            "mouse": (b"\x1b[?1000h", b"\x1b[?1000l"),
            "mouse moves": (b"\x1b[?1003h", b"\x1b[?1003l"),
            "bracketed paste": (b"\x1b[?2004h", b"\x1b[?2004l"),
            "cursor": (b"\x1b[?25l", b"\x1b[?25h"),
        }
        wrong = [
            name
            for name, (taken, given_back) in switches.items()
            if self.output.rfind(taken) > self.output.rfind(given_back)
        ]
        if termios.tcgetattr(self._slave)[:4] != self.before[:4]:
            wrong.append("line settings")
        return wrong

    def close(self) -> None:
        """End what is left."""
        if self.status is None:
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
        for descriptor in (self.master, self._slave):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def resnet_tui(*arguments: str) -> list[str]:
    """Return the command line of the program under test."""
    return [sys.executable, "-m", "resnet_tui", *arguments]
