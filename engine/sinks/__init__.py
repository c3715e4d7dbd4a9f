"""Listeners to a run. They are called in the training thread: they must be quick and never block."""

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
