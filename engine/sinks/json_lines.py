"""Events as lines of JSON on a stream, such as standard output, for another program to read."""

import os
from typing import BinaryIO

from engine.events import Event, encode


class JsonLinesSink:
    """Writes each event at once; once nobody reads any more, it stops writing and training goes on."""

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
        except BrokenPipeError:
            _discard(self._stream)
            self._stream = None

    def close(self) -> None:
        """Write nothing more."""
        self._stream = None


def _discard(stream: BinaryIO) -> None:
    """Let what ``stream`` still buffers go nowhere, or Python complains of the pipe again when it exits."""
    try:
        descriptor = stream.fileno()
    except OSError:  # not a file, such as a buffer in memory
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
