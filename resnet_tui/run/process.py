"""The process that a run lives in, as the dashboard starts it: told of until the run's folder is there."""

import json
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

from engine.config import RunConfig
from engine.config_file import to_toml
from engine.events import Progress, decode
from engine.run_dir import RunDir
from engine.text import clean, one_line

STOPPED = "stopped before the run began; nothing was written"
_SAID_BYTES = 64 << 10
"""How much of what a process said last is looked at for its error."""


class EngineProcess:
    """A run's process, started by the dashboard and living on without it.

    It has a session of its own, so that the terminal's Ctrl-C and hang-up do not reach it. Once its folder is
    there, the folder says everything, and messages to the run go there too.
    """

    def __init__(
        self,
        config: RunConfig,
        runs: Path,
        *,
        resume: RunDir | None = None,
        on_progress: Callable[[Progress], None],
        on_run_dir: Callable[[RunDir], None],
        on_failed: Callable[[str, int], None],
    ) -> None:
        """Prepare it; ``start`` begins.

        Args:
            config: the run.
            runs: the folder that gets the run's.
            resume: the run to go on with instead.
            on_progress: told what is being made ready, and how far it is.
            on_run_dir: told when the run's folder is there; nothing follows.
            on_failed: told instead, in words without control characters and with the exit status, that the process
                ended before that; 128 + n where signal n ended it.

        All three are called from a thread of this object's own.
        """
        self._config = config
        self._runs = runs.absolute()
        self._resume = resume
        self._on_progress, self._on_run_dir, self._on_failed = on_progress, on_run_dir, on_failed
        self._process: subprocess.Popen[bytes] | None = None
        self._begun = self._cancelled = self._detached = False

    def start(self) -> None:
        """Start the process and return; whatever goes wrong, ``on_failed`` tells."""
        try:
            said = tempfile.TemporaryFile()  # noqa: SIM115 (closed by the thread); a pipe would end with this process
            self._process = self._spawn(said)
        except (OSError, ValueError) as error:  # a path that is no text cannot be written as a configuration
            reason = f"the run's process could not be started: {one_line(str(error))}"
            thread = threading.Thread(target=self._tell_failure, args=(reason, 1), daemon=True)
        else:
            thread = threading.Thread(target=self._attend, args=(self._process, said), daemon=True)
        thread.start()

    @property
    def running(self) -> bool:
        """Whether the process is there, also long after the run has begun."""
        return self._process is not None and self._process.returncode is None

    def cancel(self) -> None:
        """End the process while it makes the run ready; a run that has begun is stopped by a message instead."""
        if self._process is not None and not self._begun:
            self._cancelled = True
            self._process.terminate()

    def detach(self) -> None:
        """Tell nothing more. The process goes on."""
        self._detached = True

    def _spawn(self, said: IO[bytes]) -> subprocess.Popen[bytes]:
        command = [sys.executable, *_path_flags(), "-m", "engine.host", "-", "--runs-dir", str(self._runs)]
        if self._resume is not None:
            command += ["--resume", str(self._resume.path.absolute())]
        with tempfile.TemporaryFile() as config:  # has no name, so nothing is left behind whoever ends first
            config.write(to_toml(self._config).encode())
            config.seek(0)
            return subprocess.Popen(
                command, stdin=config, stdout=subprocess.PIPE, stderr=said, start_new_session=True
            )

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
            return STOPPED
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


def _path_flags() -> list[str]:
    """Let the process find modules where this one does: in the working directory only if this one looks there."""
    return [] if {"", str(Path.cwd())} & set(sys.path) else ["-P"]
