"""What is known of runs like the one that is set up: what was published, and what was measured here."""

import socket
from itertools import islice
from pathlib import Path
from statistics import median
from typing import NamedTuple

from engine import run_dir, words
from engine.config import RunConfig
from engine.errors import UserError
from engine.event_log import read_events
from engine.events import RunStarted
from engine.run_dir import RunDir
from engine.text import one_line
from resnet_tui.run.listing import read

_MOST = 200
"""Runs that are looked at, the newest first."""
_FUSED = ", fused norms"
"""What ``engine.devices.describe`` adds to the words of a device."""


class Pace(NamedTuple):
    """What was measured."""

    run: str
    """Its name."""
    seconds: float
    """Of an epoch with its evaluation, without pauses."""

    def words(self, epochs: int, *, terse: bool = False) -> str:
        """Say how long ``epochs`` would take, and how that is known."""
        total = f"about {words.duration(epochs * self.seconds)}"
        return total if terse else f"{total}: {words.duration(self.seconds)} an epoch in {self.run}"


class Known(NamedTuple):
    """What is known of such runs."""

    published: str = ""
    """Accuracy and source, in words; empty: not known."""
    pace: Pace | None = None
    """How long an epoch took here; None: not known."""


class Measured:
    """Looks into a folder of runs; reads each configuration once. Not for the interface's own thread."""

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._configs: dict[Path, RunConfig | None] = {}

    def known(self, config: RunConfig, device: str) -> Known:
        """Return what is known of runs like ``config`` on ``device``, in words; empty: not known which."""
        from engine.literature import published_on

        known = published_on(config.model, config.data.dataset)
        published = f"{words.percent(known.accuracy)} ({known.source})" if known is not None else ""
        return Known(published, self.pace(config, device) if device else None)

    def pace(self, config: RunConfig, device: str) -> Pace | None:
        """Return the pace of the newest run that trained the same network on the same data in the same way.

        Args:
            config: the run that is to be.
            device: what it would train on, in words.

        Returns:
            None where no such run has finished an epoch here.
        """
        try:
            newest = islice(reversed(list(run_dir.iterate(self._runs))), _MOST)
        except OSError:
            return None
        alike = (run for run in newest if (known := self._config(run)) is not None and _work(known) == _work(config))
        return next((pace for run in alike if (pace := _pace(run, device)) is not None), None)

    def _config(self, run: RunDir) -> RunConfig | None:
        if run.path not in self._configs:
            try:
                self._configs[run.path] = run.config()
            except (UserError, OSError, ValueError):
                self._configs[run.path] = None
        return self._configs[run.path]


def _work(config: RunConfig) -> tuple[object, ...]:
    """Return what decides how long an epoch takes, besides the device."""
    train = config.train
    how = train.precision, train.fused, train.compile, train.deterministic
    return config.model, config.data, train.batch_size, how, config.optim.accumulate


def _pace(run: RunDir, device: str) -> Pace | None:
    try:
        began = next((event for event in read_events(run.events) if isinstance(event, RunStarted)), None)
    except OSError:
        return None
    # Whether norms are fused is known once a run has begun; both runs want it alike, and it is the same machine.
    if began is None or (began.host, began.device.replace(_FUSED, "")) != (socket.gethostname(), device):
        return None
    summary = read(run).summary
    seconds = [row.seconds for row in summary.rows if row.seconds > 0] if summary is not None else []
    return Pace(one_line(run.name), median(seconds)) if seconds else None
