"""A run's event file for TensorBoard, written while it trains. Imports no torch."""

import errno
import logging
from pathlib import Path

from engine.event_file import NAME, scalars
from engine.events import Event, RunStarted
from engine.export_scalars import export_event_file
from engine.files import append
from engine.scalars import LoggedScalars, Scalars
from engine.text import one_line

_log = logging.getLogger(__name__)
_MOST_WAITING = 1 << 20
"""Bytes that wait for room on the disk before the file is given up."""


class TensorBoardSink:
    """Keeps an event file that holds what the log holds; that it cannot be written never ends or stops a run."""

    def __init__(self, folder: Path, log: Path) -> None:
        """Write below ``folder``.

        Args:
            folder: the run's own for this; made where it is missing.
            log: the run's ``events.jsonl``. It gets each event before this sink does.
        """
        self._folder = folder
        self._source = log
        self._file: Path | None = None
        self._scalars = Scalars()
        self._waiting = b""
        self._told = False

    def emit(self, event: Event) -> None:
        """Write the numbers in ``event``; where that fails, again with those of the next."""
        if isinstance(event, RunStarted):
            self._begin(event)
        elif self._file is not None and (reading := self._scalars.apply(event)) is not None:
            self._waiting += scalars(reading)
            self._write(self._file)

    def close(self) -> None:
        """Try once more what could not be written."""
        if self._file is not None and self._waiting:
            self._write(self._file)

    def _begin(self, event: RunStarted) -> None:
        """Write a new file from the log, for a resumed run with all that counts of what it did before.

        Its opening makes readers forget the files of earlier processes, which stay: a TensorBoard that has one open
        would stop reading if it went.
        """
        file = self._folder / f"{NAME}{event.time:.3f}.{event.process}"
        try:
            if self._folder.is_symlink():
                raise NotADirectoryError(errno.ENOTDIR, "a link, so nothing is written", str(self._folder))
            self._folder.mkdir(exist_ok=True)
            logged = LoggedScalars(self._source)
            for left_over in self._folder.glob(f".{NAME}*.tmp"):  # of a process that was killed while it wrote
                left_over.unlink()
            export_event_file(logged, file)
        except OSError as error:
            self._tell(error)
        else:
            self._file, self._scalars = file, logged.fold

    def _write(self, file: Path) -> None:
        try:
            append(file, self._waiting)
        except OSError as error:
            self._tell(error)
            if len(self._waiting) > _MOST_WAITING:
                self._file, self._waiting = None, b""
        else:
            self._waiting = b""

    def _tell(self, error: OSError) -> None:
        if not self._told:
            self._told = True
            _log.warning(
                "TensorBoard's file cannot be written: %s: %s; the run goes on, and resnet-tui export --format "
                "tensorboard writes the whole file from its log",
                one_line(str(error.filename)),
                error.strerror or error,
            )
