"""``log.txt``: what a person was told, a line each, with the time."""

from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path

from engine import words
from engine.epochs import EpochRow
from engine.events import CheckpointSaved, ControlApplied, Evaluated, Event, ModelBuilt, Pruned, RunFinished, Warned
from engine.files import append
from engine.patience import Writing, at_once
from engine.sinks import report
from engine.summary import RunSummary
from engine.text import one_line


class LogFileSink:
    """Appends to the file; a resumed run goes on in the same one."""

    def __init__(self, path: Path, history: RunSummary | None = None, patience: Writing = at_once) -> None:
        """Append to ``path``.

        Args:
            path: the file.
            history: what the log of a run that is resumed holds (``read_summary``); left as it is.
            patience: what to do where it cannot be written.

        Raises:
            OSError: it cannot be written.
        """
        self._summary = deepcopy(history) if history else RunSummary()
        self._path = path
        self._patience = patience
        append(path, b"")

    def emit(self, event: Event) -> None:
        """Write what a person should know of ``event``.

        Raises:
            OSError: the file cannot be written, and patience has ended.
        """
        finished = len(self._summary.rows)
        self._summary.apply(event)
        stamp = datetime.fromtimestamp(event.time, UTC).astimezone().isoformat(timespec="seconds")
        lines = self._said(event)
        if len(self._summary.rows) > finished:
            lines.append(_epoch(self._summary.rows[-1], self._summary.epochs))
        if lines:
            text = "".join(f"{stamp} {one_line(line)}\n" for line in lines).encode()
            self._patience(lambda: append(self._path, text))

    def close(self) -> None:
        """Nothing is left open between events."""

    def _said(self, event: Event) -> list[str]:
        match event:
            case ModelBuilt():
                return [f"{label}: {value}" for label, value in report.opening(self._summary, None)]
            case Evaluated() if not self._summary.ends_epoch(event):
                return [f"evaluated {report.evaluation(event)}"]
            case CheckpointSaved():
                return [f"saved {event.path} at step {event.step:,}"]
            case ControlApplied():
                return [report.control(event)]
            case Pruned():
                return [report.pruning(event)]
            case Warned():
                return [f"warning: {event.message}"]
            case RunFinished():
                return [f"{label}: {value}" for label, value in report.closing(self._summary, None)]
            case _:
                return []


def _epoch(row: EpochRow, epochs: int) -> str:
    val = f"val loss {words.loss(row.val_loss)}, accuracy {words.percent(row.val_accuracy)}; "
    return (
        f"epoch {row.epoch} of {epochs}: "
        f"train loss {words.loss(row.train_loss)}, accuracy {words.percent(row.train_accuracy)}; "
        f"{val if row.val_loss is not None else ''}"
        f"test loss {words.loss(row.test_loss)}, accuracy {words.percent(row.test_accuracy)}; "
        f"lr {words.learning_rate(row.lr)}, {words.speed(row.images_per_second)} images/s, "
        f"{words.duration(row.seconds)}"
    )
