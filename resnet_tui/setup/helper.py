"""The interface's side of ``engine.helper``: questions that need torch in one process, downloads and
learning-rate range tests in one of their own each.

Nothing here waits: threads start the processes, write to them and read from them. Callbacks come from those threads.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from engine.config import RunConfig
from engine.events import Progress, decode
from engine.helper_messages import (
    HelperFailed,
    MachineWanted,
    PreviewWanted,
    RangeTestWanted,
    Reply,
    Request,
    Tried,
    decode_reply,
    decode_told,
    encode_range_test,
    encode_request,
)
from engine.text import clean

_LAST_WORDS = 2000
"""Bytes of a process's standard error that are told when it fails."""


class Helper:
    """Asks ``engine.helper``, which is started when it is needed and started anew when it died."""

    def __init__(self, on_reply: Callable[[Reply], None]) -> None:
        """``on_reply`` is called from another thread; a ``HelperFailed`` of id 0 says that the process died."""
        self._on_reply = on_reply
        self._changed = threading.Condition()
        self._waiting: dict[str, Request] = {}
        self._start_wanted = self._started = self._closed = False
        self._last_id = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process, so that it is warm when the first question comes."""
        self._wake(start=True)

    def preview(self, config: RunConfig) -> int:
        """Ask what a run would be; return the question's number. A newer one takes the place of one that waits."""
        return self._ask(lambda number: PreviewWanted(id=number, config=config))

    def machine(self) -> int:
        """Ask what devices there are; return the question's number."""
        return self._ask(lambda number: MachineWanted(id=number))

    def close(self) -> None:
        """End the process, at once. Nothing is replied any more."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            if self._process is not None:
                self._process.kill()

    def _ask(self, request: Callable[[int], Request]) -> int:
        with self._changed:
            self._last_id += 1
            wanted = request(self._last_id)
            self._waiting[wanted.kind] = wanted
        self._wake()
        return wanted.id

    def _wake(self, *, start: bool = False) -> None:
        with self._changed:
            self._start_wanted |= start
            if not self._started and not self._closed:
                self._started = True
                threading.Thread(target=self._write, daemon=True, name="helper's writer").start()
            self._changed.notify()

    def _write(self) -> None:
        """Pass on what is asked, in a thread: a pipe can be full, and starting a process takes time."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._start_wanted or self._closed)
                if self._closed:
                    return
                self._start_wanted = False
                request = self._waiting.pop(next(iter(self._waiting))) if self._waiting else None
            self._send(request)

    def _send(self, request: Request | None) -> None:
        try:
            line = encode_request(request) if request is not None else b""
            stdin = self._running().stdin
        except (OSError, ValueError) as error:  # no process can be started, or a path is not text
            self._reply(HelperFailed(id=request.id if request is not None else 0, message=clean(str(error))))
            return
        assert stdin is not None
        with contextlib.suppress(OSError, ValueError):  # it just died, and its reader says so
            stdin.write(line)
            stdin.flush()

    def _running(self) -> subprocess.Popen[bytes]:
        """Return the process, started where there is none."""
        with self._changed:
            if self._process is not None:
                return self._process
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - its reader closes it
        process = _start([], errors, stdin=subprocess.PIPE)
        with self._changed:
            self._process = process
            if self._closed:
                process.kill()
        threading.Thread(target=self._read, args=(process, errors), daemon=True, name="helper's reader").start()
        return process

    def _read(self, process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in process.stdout:
            with contextlib.suppress(ValueError):  # the end of a line whose writer was killed
                self._reply(decode_reply(line))
        status = process.wait()
        with contextlib.suppress(OSError):  # what it did not read
            process.stdin.close()
        with self._changed:
            self._process = None
        with errors:
            self._reply(HelperFailed(id=0, message=_last_words(errors, f"the helper process ended ({status})")))

    def _reply(self, reply: Reply) -> None:
        if not self._closed:
            self._on_reply(reply)


class Task:
    """Work in a process of its own, so that to cancel is to end it: ``python -m engine.helper`` with arguments."""

    def __init__(
        self,
        arguments: Sequence[str],
        on_line: Callable[[bytes], None],
        on_end: Callable[[str], None],
        order: bytes = b"",
    ) -> None:
        """Make a task that has not begun.

        Args:
            arguments: which one.
            on_line: called from another thread with each line that it writes.
            on_end: called from there once: with nothing when all is done, else with the reason why it is not.
            order: what it reads, far less than a pipe holds.
        """
        self._arguments, self._order = arguments, order
        self._on_line, self._on_end = on_line, on_end
        self._changed = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._cancelled = False

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, daemon=True, name="helper's task").start()

    def cancel(self) -> None:
        """End it, with nothing left half there; ``on_end`` is told. May be called at any time, and again."""
        with self._changed:
            self._cancelled = True
            if self._process is not None:
                self._process.terminate()

    def _run(self) -> None:
        with tempfile.TemporaryFile() as errors:
            try:
                process = _start(self._arguments, errors, stdin=subprocess.PIPE)
            except OSError as error:
                self._on_end(clean(str(error)))
                return
            with self._changed:
                self._process = process
                if self._cancelled:
                    process.terminate()
            assert process.stdin is not None
            assert process.stdout is not None
            with contextlib.suppress(OSError), process.stdin as stdin:  # it may have ended already
                stdin.write(self._order)
            with process.stdout as lines:
                for line in lines:
                    self._on_line(line)
            status = process.wait()
            if status == 0:
                self._on_end("")
            else:
                self._on_end("cancelled" if self._cancelled else _last_words(errors, f"it ended with {status}"))


class Download(Task):
    """Gets a dataset."""

    def __init__(
        self,
        dataset: str,
        folder: Path | None,
        on_progress: Callable[[Progress], None],
        on_end: Callable[[str], None],
    ) -> None:
        """Make a download that has not begun.

        Args:
            dataset: cifar10 or cifar100.
            folder: where to; None: the cache folder.
            on_progress: called from another thread, a few times a second.
            on_end: called from there once: with nothing when the dataset is complete and checked, else why not.
        """

        def take(line: bytes) -> None:
            with contextlib.suppress(ValueError):
                if isinstance(event := decode(line), Progress):
                    on_progress(event)

        arguments = ["--download", dataset, *(["--data-dir", str(folder)] if folder is not None else [])]
        super().__init__(arguments, take, on_end)


class RangeTesting(Task):
    """Does a learning-rate range test."""

    def __init__(
        self, wanted: RangeTestWanted, on_news: Callable[[Progress | Tried], None], on_end: Callable[[str], None]
    ) -> None:
        """Make a test that has not begun.

        Args:
            wanted: which one.
            on_news: called from another thread with how far it is, and with each batch.
            on_end: called from there once: with nothing when it came to its end, else why not.

        Raises:
            ValueError: a path in it is not text.
        """

        def take(line: bytes) -> None:
            with contextlib.suppress(ValueError):
                on_news(decode_told(line))

        super().__init__(["--lr-find"], take, on_end, encode_range_test(wanted))


def _start(arguments: Sequence[str], errors: IO[bytes], *, stdin: int) -> subprocess.Popen[bytes]:
    """Start the module in a session of its own, out of reach of what the terminal sends.

    Raises:
        OSError: no process can be started.
    """
    return subprocess.Popen(
        # -P: a folder that happens to hold a random.py must not take the place of Python's own modules.
        [sys.executable, "-P", "-m", "engine.helper", *arguments],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=errors,
        start_new_session=True,
    )


def _last_words(errors: IO[bytes], otherwise: str) -> str:
    """Return the end of what a process wrote to its standard error: its error message where it gave one."""
    errors.seek(max(0, errors.seek(0, 2) - _LAST_WORDS))
    text = clean(errors.read().decode(errors="replace")).strip()
    if told := re.search(r"^error: (.*)", text, re.DOTALL | re.MULTILINE):
        return told[1]
    return text.rpartition("\n")[2] or otherwise
