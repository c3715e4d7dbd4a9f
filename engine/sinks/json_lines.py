"""Events as lines of JSON on a stream, such as standard output, for another program to read."""

import contextlib
import os
from typing import BinaryIO

from engine.events import Event, encode
from engine.sinks import say_silent


class JsonLinesSink:
    """Writes each event at once; once that fails, it stops writing and training goes on."""

    def __init__(self, stream: BinaryIO) -> None:
        """Write to ``stream``, which stays the caller's to close."""
        self._stream: BinaryIO | None = stream

    def emit(self, event: Event) -> None:
        """Write ``event`` as one line."""
        self.write(encode(event))

    def write(self, line: bytes) -> None:
        """Write a line that is no event; it ends with a line feed."""
        if self._stream is None:
            return
        try:
            self._stream.write(line)
            self._stream.flush()
        except OSError as error:
            _discard(self._stream)
            self._stream = None
            if not isinstance(error, BrokenPipeError):  # whose reader wanted no more
                say_silent(error)

    def close(self) -> None:
        """Write nothing more."""
        self._stream = None


def _discard(stream: BinaryIO) -> None:
    """Let what ``stream`` still buffers go nowhere, or Python complains again when it exits."""
    with contextlib.suppress(OSError):  # not a file, such as a buffer in memory
        descriptor = stream.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
