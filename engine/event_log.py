"""A run's events on disk, one a line. Whatever a crash cuts off costs that one line. Imports no torch."""

import os
from collections.abc import Iterator
from pathlib import Path

from engine.condensed_log import condensed
from engine.events import CheckpointSaved, Event, RunFinished, decode_line, encode
from engine.files import append
from engine.patience import Writing, at_once
from engine.regular import open_regular

MAX_LINE_BYTES = 16 << 20
_CHUNK = 1 << 20
_PLAIN_BYTES, _END_BYTES = 2 << 20, 1 << 19
"""What of a long log is as much as reading it in full, and what of its end is."""


class EventLog:
    """Appends events to a run's ``events.jsonl``, each in one write; a sink."""

    def __init__(self, path: Path, patience: Writing = at_once) -> None:
        """Create the log, or go on with it.

        Args:
            path: the log.
            patience: what to do where it cannot be written.

        Raises:
            OSError: it cannot be written.
        """
        self._path = path
        self._patience = patience
        append(path, b"" if _ends_with_newline(path) else b"\n")  # a line that a crash cut short costs only itself
        self.next_seq = max((event.seq for event in read_events(path)), default=-1) + 1

    def emit(self, event: Event) -> None:
        """Append ``event``; on disk for sure once it tells of something that must not be lost.

        Raises:
            OSError: it cannot be written, and patience has ended.
        """
        line, durable = encode(event), isinstance(event, CheckpointSaved | RunFinished)
        self._patience(lambda: append(self._path, line, durable=durable))

    def close(self) -> None:
        """Nothing is left open between events."""


class EventReader:
    """Reads a log that may still be growing; damaged lines are counted and passed over."""

    def __init__(self, path: Path, *, condense: bool = False) -> None:
        """Read ``path`` from its start.

        Args:
            path: the log.
            condense: whether a long one is read as ``condensed_log`` has it, all but its end.
        """
        self._path = path
        self._offset = 0
        self._rest = b""
        self._condense = condense
        self._stride, self._condensed_until = 1, 0
        self.damaged = 0

    def was_replaced(self) -> bool:
        """Whether the log is shorter than what was read of it: another one begins in its place."""
        try:
            return self._path.stat().st_size < self._offset
        except OSError:
            return False

    def read(self) -> Iterator[Event]:
        """Yield the events in the whole lines that came since the last call; none if there is no file yet.

        Raises:
            OSError: the file is there but cannot be read.
        """
        try:
            file = open_regular(self._path)
        except FileNotFoundError:
            return
        with file:
            if self._condense and self._offset == 0:
                length = os.fstat(file.fileno()).st_size
                self._stride, self._condensed_until = max(1, length // _PLAIN_BYTES), length - _END_BYTES
            file.seek(self._offset)
            while chunk := file.read(_CHUNK):
                self._offset += len(chunk)
                *lines, self._rest = (self._rest + chunk).split(b"\n")
                if len(self._rest) > MAX_LINE_BYTES:
                    self._rest = self._rest[:1]  # keep it damaged, not in memory
                if self._stride > 1 and self._offset <= self._condensed_until:
                    yield from condensed(lines, self._stride)
                else:
                    yield from self._decoded(lines)

    def _decoded(self, lines: list[bytes]) -> Iterator[Event]:
        for line in filter(None, lines):
            event = decode_line(line)
            if event is None:
                self.damaged += 1
            else:
                yield event


def read_events(path: Path) -> Iterator[Event]:
    """Yield all whole events of a log, in the order they were written; none if there is no file."""
    return EventReader(path).read()


def _ends_with_newline(path: Path) -> bool:
    """Whether a line can begin where ``path`` ends; where there is none, too."""
    if not path.exists() or not path.stat().st_size:
        return True
    with open_regular(path) as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"
