"""Listeners to a run. They are called in the training thread: they must be quick and never block."""

import contextlib
import sys
from typing import Protocol

from engine.events import Event


class Sink(Protocol):
    """Receives every event of a run, in order."""

    def emit(self, event: Event) -> None:
        """Take one event.

        Raises:
            OSError: it cannot be written; the run then ends as failed.
        """

    def close(self) -> None:
        """Finish; called once, after the last event."""


def say_silent(error: OSError) -> None:
    """Say that a listener that only shows the run is silent from now on, and why: a run never ends by that."""
    with contextlib.suppress(OSError, ValueError):  # nobody can be told
        print(
            f"warning: the run goes on, but nothing more of it is shown here: {error.strerror or error}",
            file=sys.stderr,
            flush=True,
        )
