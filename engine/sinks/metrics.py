"""``metrics.csv``: a line an epoch, for a spreadsheet or a plotting program."""

import csv
import io
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import astuple, fields
from pathlib import Path

from engine.epochs import EpochRow
from engine.events import Event, RunStarted
from engine.files import append, write_text
from engine.patience import Writing, at_once
from engine.summary import RunSummary

COLUMNS = tuple(column.name for column in fields(EpochRow))
"""Losses in nats, accuracies as fractions, times in seconds; empty where the split does not exist."""


class MetricsSink:
    """Keeps the file equal to the summary's rows."""

    def __init__(self, path: Path, history: RunSummary | None = None, patience: Writing = at_once) -> None:
        """Write to ``path``.

        Args:
            path: the file; replaced when the run starts.
            history: what the log of a run that is resumed holds (``read_summary``); left as it is.
            patience: what to do where it cannot be written.
        """
        self._path = path
        self._patience = patience
        self._summary = deepcopy(history) if history else RunSummary()
        self._written = 0

    def emit(self, event: Event) -> None:
        """Add the line of an epoch that this event completes.

        Raises:
            OSError: the file cannot be written, and patience has ended.
        """
        self._summary.apply(event)
        rows = self._summary.rows
        if isinstance(event, RunStarted):
            # What a resumed run trains again is no longer among the rows.
            whole = _lines([COLUMNS]) + _lines(astuple(row) for row in rows)
            self._patience(lambda: write_text(self._path, whole))
        elif len(rows) > self._written:
            added = _lines(astuple(row) for row in rows[self._written :]).encode()
            self._patience(lambda: append(self._path, added))
        self._written = len(rows)

    def close(self) -> None:
        """Nothing is left open between events."""


def _lines(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
