"""The runs of a folder in a few facts each, for the command and the screen that list them. Imports no torch."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import AfterValidator

from engine import run_dir, words
from engine.config import RunConfig
from engine.errors import UserError
from engine.run_dir import RunDir
from engine.summary import RunSummary, read_summary
from engine.text import one_line
from resnet_tui.run.doing import Doing

LOOK_SECONDS = 2.0
"""Between two looks at the folder; well below the 5 s after which a dead run must not be shown as running."""
_BATCH_SECONDS = 0.1
REST = 20
"""A live run is read again after this many times what reading it took, so that a long log costs 5 % at most."""


_Text = Annotated[str, AfterValidator(one_line)]
"""Fit for a terminal; made so once more where an entry was kept in a file and is read from it."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One run in the list."""

    name: _Text
    state: Doing
    """running, paused, completed, stopped, failed, diverged; lost: killed; damaged: cannot be read."""
    network: _Text = ""
    dataset: _Text = ""
    epochs_done: int = 0
    epochs: int = 0
    best_accuracy: float | None = None
    best_epoch: int | None = None
    last_accuracy: float | None = None
    split: _Text = ""
    """Which split the accuracies are of."""
    seconds: float = 0.0
    """Spent on it by all its processes, without pauses."""
    started: _Text | None = None
    """ISO 8601 with the offset from UTC; None before it started."""
    reason: _Text = ""


@dataclass(frozen=True)
class Listed:
    """A run with what was read of it."""

    run: RunDir
    entry: Entry
    config: RunConfig | None = None
    """None where the run is damaged, as is ``summary``."""
    summary: RunSummary | None = None
    """Without the steps."""

    @property
    def alive(self) -> bool:
        """Whether a process held the run when it was read."""
        return self.entry.state in {"running", "paused", "waiting"}

    @property
    def doing(self) -> Doing:
        """What it was doing, as far as that is known without its steps, or how it ended."""
        if self.entry.state == "running" and self.summary is not None and self.summary.outcome is None:
            return self.summary.state
        return self.entry.state

    @property
    def reason(self) -> str:
        """Why it ended or cannot be read, in a line; files are named from the run's folder on."""
        return self.entry.reason.removeprefix(f"{one_line(str(self.run.path))}/")

    @property
    def began(self) -> float:
        """When it started, in seconds since the epoch; before that, when its folder was filled."""
        if self.summary is not None and self.summary.config is not None:
            return self.summary.started
        try:
            return self.run.config_file.stat().st_mtime
        except OSError:
            return 0.0

    @property
    def curve(self) -> tuple[float, ...]:
        """The accuracy of the choosing split at the end of each epoch."""
        if self.summary is None:
            return ()
        accuracies = (row.accuracy(self.summary.choosing_split) for row in self.summary.rows)
        return tuple(accuracy for accuracy in accuracies if accuracy is not None)


def read(run: RunDir) -> Listed:
    """Read one run; one that is damaged says so and hides no other."""
    try:
        config = run.config()
        alive = run.is_alive()  # before its log: a run that ends in between is not taken for lost
        trouble = run.trouble() if alive else ""
        summary = read_summary(run.events, steps=False)
    except (UserError, OSError, ArithmeticError, ValueError) as error:
        return Listed(run, Entry(name=run.name, state="damaged", reason=one_line(str(error))))
    best = summary.best()
    split = summary.choosing_split
    entry = Entry(
        name=run.name,
        state="waiting" if trouble else _state(summary, alive=alive),
        network=words.network(config),
        dataset=config.data.dataset,
        epochs_done=summary.rows[-1].epoch if summary.rows else 0,
        epochs=summary.epochs or config.train.epochs,
        best_accuracy=best.accuracy(split) if best else None,
        best_epoch=best.epoch if best else None,
        last_accuracy=summary.rows[-1].accuracy(split) if summary.rows else None,
        split=split,
        seconds=summary.elapsed,
        started=_iso(summary.started) if summary.config else None,
        reason=trouble or one_line(summary.reason),
    )
    return Listed(run, entry, config, summary)


def _state(summary: RunSummary, *, alive: bool) -> Doing:
    """Word the state; a resumed run that makes its data ready is alive after an earlier ``run_finished``."""
    if alive:
        return "paused" if summary.state == "paused" else "running"
    return summary.outcome or "lost"


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).astimezone().isoformat(timespec="seconds")


@dataclass(frozen=True)
class Scan:
    """What a look at the folder found, or a part of it."""

    changed: tuple[Listed, ...] = ()
    paths: frozenset[Path] = frozenset()
    """All runs that are there now."""
    done: bool = False
    """Whether all of them have been read."""
    problem: str = ""
    """Why the folder could not be read."""


class Stamp(NamedTuple):
    """Sizes and times of the files that change when a run does; of one that is missing, zeros."""

    config: tuple[int, int]
    log: tuple[int, int]
    heartbeat: tuple[int, int]
    """A living run touches it every second, so one that another process goes on with is noticed before that process
    says anything."""


@dataclass(frozen=True)
class _Known:
    stamp: Stamp
    alive: bool
    due: float
    """When it may be read again while it is alive, on the monotonic clock."""


class RunList:
    """The runs of a folder; one is read again only where it changed. To be used from one thread."""

    def __init__(self, folder: Path) -> None:
        """Begin with nothing known of ``folder``, which need not exist yet."""
        self.folder = folder
        self._known: dict[Path, _Known] = {}

    def scan(self) -> Iterator[Scan]:
        """Look at the folder; what is new or has changed comes newest first, in parts of about 100 ms."""
        try:
            runs = {run.path: run for run in reversed(list(run_dir.iterate(self.folder)))}
        except OSError as error:
            yield Scan(done=True, problem=f"{one_line(str(self.folder))}: {error.strerror}")
            return
        self._known = {path: known for path, known in self._known.items() if path in runs}
        paths, changed, told = frozenset(runs), list[Listed](), time.monotonic()
        for path, run in runs.items():
            stamp = stamp_of(run)
            if self._is_known(run, stamp):
                continue
            began = time.monotonic()
            listed = read(run)
            ended = time.monotonic()
            self._known[path] = _Known(stamp, listed.alive, ended + REST * (ended - began))
            changed.append(listed)
            if time.monotonic() - told >= _BATCH_SECONDS:
                yield Scan(tuple(changed), paths)
                changed, told = [], time.monotonic()
        yield Scan(tuple(changed), paths, done=True)

    def _is_known(self, run: RunDir, stamp: Stamp) -> bool:
        known = self._known.get(run.path)
        if known is None:
            return False
        if known.alive:
            return run.is_alive() and (known.stamp == stamp or time.monotonic() < known.due)
        return known.stamp == stamp


def stamp_of(run: RunDir) -> Stamp:
    """Look at the files of ``run`` without reading them."""
    return Stamp(*(_size_and_time(path) for path in (run.config_file, run.events, run.heartbeat)))


def _size_and_time(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


class Watch(threading.Thread):
    """Looks at a folder every ``LOOK_SECONDS``; a daemon, so that it never holds up the end of the program."""

    def __init__(self, folder: Path, tell: Callable[[Scan], object]) -> None:
        """Get ready to call ``tell``, in this thread, with everything found in ``folder``."""
        super().__init__(name="runs", daemon=True)
        self._runs, self._tell = RunList(folder), tell
        self._stopped, self._awake, self._now = threading.Event(), threading.Event(), threading.Event()
        self._awake.set()

    def run(self) -> None:
        """Look, tell and wait until stopped."""
        while not self._stopped.is_set():
            for scan in self._runs.scan():
                if self._stopped.is_set():
                    return
                self._tell(scan)
            self._now.wait(LOOK_SECONDS)
            self._now.clear()
            self._awake.wait()

    def look(self) -> None:
        """Look now, and every so often from now on."""
        self._now.set()
        self._awake.set()

    def rest(self) -> None:
        """Look no more until ``look``."""
        self._awake.clear()

    def stop(self) -> None:
        """Stop for good; returns at once."""
        self._stopped.set()
        self.look()


def matches(listed: Listed, wanted: str) -> bool:
    """Whether every word of ``wanted`` is part of the run's name, network, dataset or state, in any case."""
    entry = listed.entry
    text = "\n".join((entry.name, entry.network, entry.dataset, entry.state, listed.doing)).casefold()
    return all(word in text for word in wanted.casefold().split())


SORTS: Mapping[str, Callable[[Listed], tuple[object, ...]]] = {
    "newest": lambda listed: (-listed.began, listed.entry.name),
    "best accuracy": lambda listed: (-_or_minus(listed.entry.best_accuracy), -listed.began, listed.entry.name),
    "name": lambda listed: (listed.entry.name,),
}
"""Orders of the list, each with its key."""


def _or_minus(accuracy: float | None) -> float:
    return -1.0 if accuracy is None else accuracy
