"""The numbers of a run in files for other programs: TensorBoard, CSV, JSON. Imports no torch."""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any, BinaryIO

from engine.event_file import opening, scalars
from engine.files import write_atomic
from engine.scalars import LoggedScalars

COLUMNS = ("name", "step", "epoch", "time", "value")


def export_event_file(logged: LoggedScalars, path: Path) -> None:
    """Write TensorBoard's event file.

    Raises:
        OSError: it cannot be written, or the log not be read; an older file at ``path`` is untouched.
    """

    def write(file: BinaryIO) -> None:
        if logged.starts:
            file.write(opening(logged.starts[0].time, logged.starts[-1].config))
        for reading in logged:
            file.write(scalars(reading))

    write_atomic(path, write)


def export_csv(logged: LoggedScalars, path: Path) -> None:
    """Write a line a number: its name, step, epoch, time in seconds since the epoch, and value.

    Long and not wide, since loss, evaluations and use of the device are logged at different steps: a column each
    would be mostly empty. ``metrics.csv`` in the run's folder is wide, with a line an epoch. Values that are not
    finite are ``NaN``, ``Infinity`` and ``-Infinity``, as pandas and R read them.

    Raises:
        OSError: it cannot be written, or the log not be read; an older file at ``path`` is untouched.
    """

    def write(file: BinaryIO) -> None:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        lines = csv.writer(text, lineterminator="\n")
        lines.writerow(COLUMNS)
        for step, epoch, time, values in logged:
            lines.writerows((name, step, epoch, time, _word(value)) for name, value in values)
        text.detach()

    write_atomic(path, write)


def export_json(logged: LoggedScalars, run: str, path: Path) -> None:
    """Write the run's name and configuration, and of each number lists of its steps, epochs, times and values.

    Values that are not finite are ``null``: strict JSON has no others.

    Args:
        logged: the numbers.
        run: the run's name.
        path: the file.

    Raises:
        OSError: it cannot be written, or the log not be read; an older file at ``path`` is untouched.
    """
    found: dict[str, dict[str, list[Any]]] = {}
    for step, epoch, time, values in logged:
        for name, value in values:
            lists = found.setdefault(name, {"step": [], "epoch": [], "time": [], "value": []})
            for key, entry in zip(lists, (step, epoch, time, value if math.isfinite(value) else None), strict=True):
                lists[key].append(entry)
    config = logged.starts[-1].config.model_dump(mode="json") if logged.starts else None
    whole = {"run": run, "config": config, "scalars": found}
    content = json.dumps(whole, allow_nan=False) + "\n"
    write_atomic(path, lambda file: file.write(content.encode()))


def _word(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
