"""``log.txt``: what a person was told, a line each, with the time."""

from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path

from engine import words
from engine.events import CheckpointSaved, ControlApplied, Evaluated, Event, ModelBuilt, RunFinished, Warned
from engine.sinks import report
from engine.summary import RunSummary
from engine.text import one_line


class LogFileSink:
    """Appends to the file; a resumed run goes on in the same one."""

    def __init__(self, path: Path, history: RunSummary | None = None) -> None:
        """Open ``path`` for appending.

        Args:
            path: the file.
            history: what the log of a run that is resumed holds (``read_summary``); left as it is.

        Raises:
            OSError: it cannot be written.
        """
        self._summary = deepcopy(history) if history else RunSummary()
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def emit(self, event: Event) -> None:
        """Write what a person should know of ``event``.

        Raises:
            OSError: the file cannot be written.
        """
        self._summary.apply(event)
        stamp = datetime.fromtimestamp(event.time, UTC).astimezone().isoformat(timespec="seconds")
        for line in self._lines(event):
            self._file.write(f"{stamp} {one_line(line)}\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _lines(self, event: Event) -> list[str]:
        match event:
            case ModelBuilt():
                return [f"{label}: {value}" for label, value in report.opening(self._summary, None)]
            case Evaluated():
                return [_evaluated(event)]
            case CheckpointSaved():
                return [f"saved {event.path} at step {event.step}"]
            case ControlApplied():
                return [report.control(event)]
            case Warned():
                return [f"warning: {event.message}"]
            case RunFinished():
                return [f"{label}: {value}" for label, value in report.closing(self._summary, None)]
            case _:
                return []


def _evaluated(event: Evaluated) -> str:
    return (
        f"epoch {event.epoch}, step {event.step}: {event.split} loss {words.loss(event.loss)}, "
        f"accuracy {words.percent(event.accuracy)}"
    )
