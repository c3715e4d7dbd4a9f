"""The process that a run lives in, as the dashboard starts it: told of until the run's folder is there."""

import contextlib
import json
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from engine import order
from engine.child import module_command
from engine.config import RunConfig
from engine.events import Progress, decode
from engine.run_dir import RunDir
from engine.text import clean, one_line

_SAID_BYTES = 64 << 10
"""How much of what a process said last is looked at for its error."""


@dataclass(frozen=True)
class Host:
    """A process that waits for its order."""

    process: subprocess.Popen[bytes]
    said: IO[bytes]
    """A file without a name that gets its stderr; a pipe would end with this process."""

    @classmethod
    def spawn(cls, runs: Path) -> Self:
        """Start one, in a session of its own.

        Raises:
            OSError: it could not be started.
            ValueError: ``runs`` cannot be named on a command line.
        """
        command = module_command("engine.host", str(runs))
        said = tempfile.TemporaryFile()  # noqa: SIM115 (closed by who attends to the process)
        try:
            pipe = subprocess.PIPE
            process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=said, start_new_session=True)
        except (OSError, ValueError):
            said.close()
            raise
        return cls(process, said)

    def order(self, config: RunConfig, resume: RunDir | None) -> bool:
        """Let it train; return whether it was still there to be told."""
        return self._tell(order.encode(config, resume))

    def dismiss(self) -> None:
        """Let it end without having trained."""
        self._tell(b"")
        self.said.close()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def _tell(self, line: bytes) -> bool:
        """Write ``line``, which is far smaller than what a pipe holds, and no more."""
        if (stdin := self.process.stdin) is None:
            return False
        try:
            with stdin:
                stdin.write(line)
        except BrokenPipeError:
            return False
        return self.process.poll() is None


class Reserve:
    """Keeps one host ready, with torch imported while a person is choosing still."""

    def __init__(self, runs: Path) -> None:
        """Prepare for runs in the folder ``runs``."""
        self.runs = runs.absolute()
        self._host: Host | None = None

    def prepare(self) -> None:
        """Start a host if there is none; one that cannot be started is only missed later."""
        if self._host is None:
            with contextlib.suppress(OSError, ValueError):
                self._host = Host.spawn(self.runs)

    def take(self) -> Host:
        """Return the host that is ready, else a new one.

        Raises:
            OSError, ValueError: see ``Host.spawn``.
        """
        host, self._host = self._host, None
        if host is not None and host.process.poll() is None:
            return host
        return Host.spawn(self.runs)

    def close(self) -> None:
        """Let go of it."""
        host, self._host = self._host, None
        if host is not None:
            host.dismiss()


class EngineProcess:
    """A run's process, started by the dashboard and living on without it.

    It has a session of its own, so that the terminal's Ctrl-C and hang-up do not reach it. Once its folder is
    there, the folder says everything, and messages to the run go there too.
    """

    def __init__(
        self,
        config: RunConfig,
        reserve: Reserve,
        *,
        resume: RunDir | None = None,
        on_progress: Callable[[Progress], None],
        on_run_dir: Callable[[RunDir], None],
        on_failed: Callable[[str, int], None],
    ) -> None:
        """Prepare it; ``start`` begins.

        Args:
            config: the run.
            reserve: where its process comes from; it knows the folder that gets the run's.
            resume: the run to go on with instead.
            on_progress: told what is being made ready, and how far it is.
            on_run_dir: told when the run's folder is there; nothing follows.
            on_failed: told instead, in words without control characters and with the exit status, that the process
                ended before that; 128 + n where signal n ended it.

        All three are called from a thread of this object's own.
        """
        self._config = config
        self._reserve = reserve
        self._resume = resume
        self._on_progress, self._on_run_dir, self._on_failed = on_progress, on_run_dir, on_failed
        self._process: subprocess.Popen[bytes] | None = None
        self._begun = self._cancelled = self._detached = False

    def start(self) -> None:
        """Start the process and return; whatever goes wrong, ``on_failed`` tells."""
        try:
            host = self._reserve.take()
            if not host.order(self._config, self._resume):
                raise BrokenPipeError("it ended at once")
        except (OSError, ValueError) as error:  # a path that is no text cannot be written as a configuration
            reason = f"the run's process could not be started: {one_line(str(error))}"
            thread = threading.Thread(target=self._tell_failure, args=(reason, 1), daemon=True)
        else:
            self._process = host.process
            thread = threading.Thread(target=self._attend, args=(host.process, host.said), daemon=True)
        thread.start()

    @property
    def running(self) -> bool:
        """Whether the process is there, also long after the run has begun."""
        return self._process is not None and self._process.returncode is None

    def cancel(self) -> None:
        """End the process while it makes the run ready; a run that has just begun is stopped in order, and saved."""
        if self._process is not None:
            self._cancelled = True
            self._process.terminate()

    def detach(self) -> None:
        """Tell nothing more. The process goes on."""
        self._detached = True

    def _attend(self, process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
        with said:
            if process.stdout is not None:
                with process.stdout as lines:
                    for line in lines:
                        self._take(line)
            status = process.wait()  # to the very end: no zombie stays
            if not self._begun:
                status = status if status >= 0 else 128 - status
                self._tell_failure(self._reason(said, status), status)

    def _take(self, line: bytes) -> None:
        news = _news(line)
        self._begun = self._begun or isinstance(news, RunDir)
        if self._detached:
            return
        if isinstance(news, RunDir):
            self._on_run_dir(news)
        elif news is not None:
            self._on_progress(news)

    def _tell_failure(self, message: str, status: int) -> None:
        if not self._detached:
            self._on_failed(message, status)

    def _reason(self, said: IO[bytes], status: int) -> str:
        """Return the lines marked as errors; else the last that was said, else how the process ended."""
        if self._cancelled and status == 128 + signal.SIGTERM:
            return order.STOPPED
        said.seek(max(0, said.seek(0, 2) - _SAID_BYTES))
        lines = [
            line for line in clean(said.read().decode(errors="replace"), _SAID_BYTES).splitlines() if line.strip()
        ]
        errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        return "\n".join(errors or lines[-1:]) or f"its process ended with status {status}"


def _news(line: bytes) -> Progress | RunDir | None:
    """Read a line; None for one that the process was killed over."""
    try:
        said = json.loads(line)
        if said["kind"] == "run_dir":
            return RunDir(Path(said["path"]))
        event = decode(line)
    except (ValueError, KeyError, TypeError):
        return None
    return event if isinstance(event, Progress) else None
