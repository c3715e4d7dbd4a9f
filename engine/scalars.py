"""The numbers that a run logged, by name: what TensorBoard, a spreadsheet or a plotting program reads of it.

Names are ``group/name``, and TensorBoard shows a group's charts together:

- ``train/loss``, ``train/accuracy``: means over the steps since the last reading;
- ``test/…``, and ``val/…`` where there is such a split: ``loss``, ``accuracy``, of more than ten classes ``top5``;
  ``test_classes/<class>``: the accuracy of each class that has images;
- ``schedule/learning_rate``, ``schedule/epoch``, ``speed/images_per_second``;
- ``gradients/<part>``, ``gradients/total``: L2 norms before clipping;
- ``system/…``: as in ``engine.events.System``.

Imports no torch.
"""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import fields
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from engine.event_log import MAX_LINE_BYTES, EventReader
from engine.events import Evaluated, Event, GradNorms, Header, ModelBuilt, RunStarted, Step, System, decode_line
from engine.regular import open_regular
from engine.text import one_line

_RANKS = "rank_images_per_second"
_USE = [
    field.name for field in fields(System) if field.name not in {"kind", _RANKS, *(f.name for f in fields(Header))}
]
_STARTED = b'"kind":"run_started"}\n'


class Reading(NamedTuple):
    """Numbers that were logged together."""

    step: int
    """Optimiser steps finished. Use of host and device has that of the last reading of the training."""
    epoch: int
    time: float
    """Seconds since the epoch."""
    values: tuple[tuple[str, float], ...]
    """Name and value; values may be infinite or NaN, as of a run that diverged."""


class Scalars:
    """The fold: feed it every event in order; it gives the numbers of each."""

    def __init__(self) -> None:
        self.step = self.epoch = 0
        self._parts: tuple[str, ...] = ()
        self._classes: tuple[str, ...] = ()
        self._evaluated: set[tuple[str, int]] = set()

    def apply(self, event: Event) -> Reading | None:
        """Return the numbers in ``event``; None where there are none.

        An evaluation that is done again of the very same weights, as a resumed run may do it, gives none.
        """
        values: list[tuple[str, float]] = []
        match event:
            case RunStarted():
                self._start(event)
            case ModelBuilt():
                self._parts = event.blocks
            case Step():
                self.step, self.epoch = event.step, event.epoch
                values = _of_step(event)
            case GradNorms():
                values = [(f"gradients/{part}", norm) for part, norm in zip(self._parts, event.norms, strict=False)]
                values.append(("gradients/total", event.total))
            case Evaluated() if (event.split, event.step) not in self._evaluated:
                self._evaluated.add((event.split, event.step))
                self.step, self.epoch = event.step, event.epoch
                values = self._of_evaluation(event)
            case System():
                use = ((name, getattr(event, name)) for name in _USE)
                values = [(f"system/{name}", float(value)) for name, value in use if value is not None]
                values += [
                    (f"system/rank{n}_images_per_second", speed)
                    for n, speed in enumerate(event.rank_images_per_second)
                ]
        return Reading(self.step, self.epoch, event.time, tuple(values)) if values else None

    def _start(self, event: RunStarted) -> None:
        self._classes = event.classes
        self.step = event.resumed_at or 0
        self._evaluated = {(split, step) for split, step in self._evaluated if step <= self.step}

    def _of_evaluation(self, event: Evaluated) -> list[tuple[str, float]]:
        values = [(f"{event.split}/loss", event.loss), (f"{event.split}/accuracy", event.accuracy)]
        if event.top5 is not None:
            values.append((f"{event.split}/top5", event.top5))
        group = f"{event.split}_classes"
        return values + [
            (f"{group}/{one_line(name)}", accuracy)
            for name, accuracy in zip(self._classes, event.per_class, strict=False)
            if not math.isnan(accuracy)  # a class without images
        ]


class LoggedScalars:
    """The numbers in a run's log, in the order they were logged; what a resumed run did again counts only once."""

    def __init__(self, log: Path) -> None:
        """Read ``log``, which may still grow, each time that this is gone through.

        Raises:
            OSError: the log is there but cannot be read.
        """
        self._log = log
        self.starts = _starts(log)
        """How each process of the run began."""
        self.fold = Scalars()
        """What was gone through; it can go on with the events that follow."""
        self.numbers = 0
        """That were gone through."""
        self.damaged = 0
        """Lines that hold no event, and were passed over."""

    def __iter__(self) -> Iterator[Reading]:
        """Yield the readings.

        Raises:
            OSError: the log is there but cannot be read.
        """
        self.fold, self.numbers, reader = Scalars(), 0, EventReader(self._log)
        ends = iter(_ends(self.starts))
        end = next(ends)
        for event in reader.read():
            if isinstance(event, RunStarted):
                end = next(ends, math.inf)
            reading = self.fold.apply(event)
            if reading is not None and reading.step <= end:
                self.numbers += len(reading.values)
                yield reading
        self.damaged = reader.damaged


def _starts(log: Path) -> list[RunStarted]:
    starts: list[RunStarted] = []
    with contextlib.suppress(FileNotFoundError), open_regular(log) as file:
        while line := file.readline(MAX_LINE_BYTES):
            # Told by its end, far cheaper than decoding it.
            if line.endswith(_STARTED) and isinstance(event := decode_line(line), RunStarted):
                starts.append(event)
    return starts


def _ends(starts: list[RunStarted]) -> list[float]:
    """Return up to which step counts what stands before the first start, and what each process did after its own.

    That is the earliest step from which a later process goes on.
    """
    resumed = [float(start.resumed_at or 0) for start in starts]
    return [*accumulate(reversed(resumed), min, initial=math.inf)][::-1]


def _of_step(event: Step) -> list[tuple[str, float]]:
    return [
        ("train/loss", event.loss),
        ("train/accuracy", event.accuracy),
        ("schedule/learning_rate", event.lr),
        ("schedule/epoch", float(event.epoch)),
        ("speed/images_per_second", event.images_per_second),
    ]
