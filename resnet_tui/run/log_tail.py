"""Follows a run's ``log.txt`` in a thread: bounded in memory, and safe to show whatever was printed there."""

import re
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.regular import open_regular
from engine.text import clean

MOST_LINES = 5000
"""The latest are kept."""
LONGEST = 4000
"""Characters of a line that are kept."""
_LONGEST_BYTES = 4 * LONGEST
_LATEST_BYTES = 4 << 20
"""Of a longer file only the end is read."""
_CHUNK = 1 << 16
_POLL_SECONDS = 0.2

Level = Literal["", "warning", "error", "day"]
"""day: not a line of the file, but the date of those that follow."""
_STAMP = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)\S* ?")
_WARNING = re.compile(r"warning:|\S+: ?\w*Warning:|\w*Warning: ")
_ERROR = re.compile(r"(error|failed|diverged):|Traceback \(most recent|[\w.]*(Error|Exception|Interrupt)\b(:|$)")


@dataclass(frozen=True, slots=True, eq=False)
class LogLine:
    """A line as it is shown."""

    clock: str
    """Time of day; empty for what was printed without."""
    text: str
    level: Level = ""


class LogTail(threading.Thread):
    """Reads what is there and what comes; a daemon, so that it never holds up the end of the program."""

    def __init__(self, path: Path, wake: Callable[[], object]) -> None:
        """Follow ``path``; ``wake`` is called in this thread whenever lines can be taken, once until they are."""
        super().__init__(name="log tail", daemon=True)
        self._path, self._wake = path, wake
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._lines: deque[LogLine] = deque(maxlen=MOST_LINES)
        self._offset, self._rest = -1, b""
        self._reading = _Reading()

    def take(self) -> list[LogLine]:
        """Return the lines that came since the last call."""
        with self._lock:
            lines = list(self._lines)
            self._lines.clear()
        return lines

    def stop(self) -> None:
        """Stop reading; returns at once."""
        self._stopped.set()

    def run(self) -> None:
        """Read until stopped; a file that cannot be read has nothing new."""
        while not self._stopped.is_set():
            try:
                came = self._read()
            except OSError:
                came = False
            if not came and self._rest:  # a line that nobody ended
                self._keep([self._rest])
                self._rest = b""
            self._stopped.wait(_POLL_SECONDS)

    def _read(self) -> bool:
        """Take what was appended; return whether anything was."""
        size = self._path.stat().st_size
        if self._offset < 0 or size < self._offset:  # the first time, or it was begun anew
            self._offset, self._rest = max(0, size - _LATEST_BYTES), b""
            skips = self._offset > 0
        else:
            skips = False
        if size == self._offset:
            return False
        with open_regular(self._path) as file:
            file.seek(self._offset)
            if skips:
                file.readline(_LATEST_BYTES)  # most likely the end of a line whose start is not read
            while not self._stopped.is_set() and (chunk := file.read(_CHUNK)):
                *lines, rest = (self._rest + chunk).split(b"\n")
                self._rest = rest[: _LONGEST_BYTES + 1]
                self._keep(lines)
            self._offset = file.tell()
        return True

    def _keep(self, lines: list[bytes]) -> None:
        read = [line for raw in lines for line in self._reading.read(raw)]
        if not read:
            return
        with self._lock:
            was_empty = not self._lines
            self._lines.extend(read)
        if was_empty:
            self._wake()


class _Reading:
    """Tells what each line is; remembers the day, and whether a traceback goes on."""

    def __init__(self) -> None:
        self._day = ""
        self._in_traceback = False

    def read(self, raw: bytes) -> Iterator[LogLine]:
        """Yield the line, and before it its day where that is another."""
        text = raw[:_LONGEST_BYTES].decode(errors="replace").rstrip("\r").rpartition("\r")[2]
        text = clean(text.expandtabs(4), LONGEST)
        clock = ""
        if stamp := _STAMP.match(text):
            day, clock = stamp.groups()
            text = text[stamp.end() :]
            if day != self._day:
                self._day = day
                yield LogLine("", day, "day")
        yield LogLine(clock, text, self._level(text, stamped=bool(clock)))

    def _level(self, text: str, *, stamped: bool) -> Level:
        if self._in_traceback and not stamped:
            self._in_traceback = text.startswith(" ") or not text
            return "error"
        self._in_traceback = text.startswith("Traceback (most recent")
        if _ERROR.match(text):
            return "error"
        return "warning" if _WARNING.match(text) else ""
