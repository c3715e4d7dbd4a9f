"""The folder of one run: what lies where, who may write to it, and whether it is alive. Imports no torch.

``<runs>/<date>-<time>-<preset>-s<seed>/`` holds

- ``config.toml``: the configuration in full; running it again gives the same run;
- ``events.jsonl``: everything that happened (``events`` says what);
- ``metrics.csv``: a line an epoch; ``log.txt``: what was said to a person, and
  whatever else its process printed;
- ``tensorboard/``: an event file for TensorBoard, where ``telemetry.tensorboard`` asks for one;
- ``checkpoints/``: ``last.safetensors``, the one before it as ``previous.safetensors``, and ``best.safetensors``;
- ``mistakes.json``: what the network got most confidently wrong when it was evaluated last (``mistakes``);
- ``control.jsonl``: messages to the run; ``lock`` and ``heartbeat``: held and touched while it is alive; the
  heartbeat also says what a run waits for.
"""

import contextlib
import errno
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from engine.config import RunConfig
from engine.config_file import build_config, read_toml, to_toml
from engine.errors import UserError, WorldError
from engine.files import remove_unfinished, write_text
from engine.regular import open_regular
from engine.text import one_line

if TYPE_CHECKING:
    from filelock import FileLock

DEFAULT_RUNS = Path("runs")
"""Where runs lie unless --runs-dir says otherwise; there a run's name is enough to find it."""
HEARTBEAT_SECONDS = 1.0
_STALE_SECONDS = 5.0
_CHOSEN = {
    *(errno.EEXIST, errno.ENOTDIR, errno.ENOENT, errno.ENAMETOOLONG, errno.ELOOP),
    *(errno.EACCES, errno.EPERM, errno.EROFS),
}
"""Of a folder that a person chose wrongly; everything else is the machine's failure."""
_FIRST_LINE = 64 << 10
"""Bytes; it holds the configuration."""
_STAMP_FORMAT = "%Y%m%d-%H%M%S"
_STAMP = re.compile(r"\d{8}-\d{6}")
_HEARTBEAT_BYTES = 512


class RunDir:
    """Paths and lock of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_file = path / "config.toml"
        self.events = path / "events.jsonl"
        self.metrics = path / "metrics.csv"
        self.log = path / "log.txt"
        self.tensorboard = path / "tensorboard"
        self.mistakes = path / "mistakes.json"
        self.control = path / "control.jsonl"
        self.heartbeat = path / "heartbeat"
        self.checkpoints = path / "checkpoints"
        self.last = self.checkpoints / "last.safetensors"
        self.previous = self.checkpoints / "previous.safetensors"
        self.best = self.checkpoints / "best.safetensors"
        self.waits_for = ""
        """What the writer waits for, such as room on the disk, in words; the next ``beat`` tells others."""

    @cached_property
    def _lock(self) -> "FileLock":
        from filelock import FileLock  # only who writes needs it, and who reads starts sooner without

        return FileLock(self.path / "lock", thread_local=False)

    @property
    def name(self) -> str:
        """The folder's name, fit for a terminal."""
        return one_line(self.path.name)

    def config(self) -> RunConfig:
        """Read the configuration.

        Raises:
            ConfigError: it is damaged or was changed to something invalid.
        """
        return build_config(read_toml(self.config_file), {}, str(self.config_file))

    def acquire(self) -> None:
        """Become the run's only writer until ``release`` or the end of the process.

        Raises:
            UserError: another process is training it, or what it would write leads out of its folder.
            WorldError: its folder cannot be written.
        """
        self._check_own()
        self._take_lock()
        self.beat()
        for written in (self.config_file, self.metrics, self.mistakes, self.last, self.previous, self.best):
            with contextlib.suppress(OSError):  # what a killed process left must not keep a run from going on
                remove_unfinished(written)

    def _check_own(self) -> None:
        """Refuse a link in the place of what is written in place: it would be written where that leads."""
        for path in (self.events, self.metrics, self.log, self.control, self.heartbeat, self.path / "lock"):
            if path.is_symlink() or (path.exists() and not path.is_file()):
                raise UserError(f"run {self.name}: {path.name} is a link or no file: nothing is written; remove it")
        if self.checkpoints.is_symlink():
            raise UserError(f"run {self.name}: {self.checkpoints.name} is a link: nothing is written; remove it")

    def release(self) -> None:
        """Let another process have the run."""
        self._lock.release()

    def beat(self) -> None:
        """Say that the run is alive, and what it waits for; call it about every ``HEARTBEAT_SECONDS``.

        Always the same bytes are written over, which a full disk still takes.
        """
        content = f"{os.getpid()}\n{self.waits_for}".encode()[: _HEARTBEAT_BYTES - 1]
        with contextlib.suppress(OSError):  # what cannot be written must not end a run that could go on
            descriptor = os.open(self.heartbeat, os.O_WRONLY | os.O_CREAT, 0o666)
            try:
                os.write(descriptor, content.ljust(_HEARTBEAT_BYTES - 1) + b"\n")
            finally:
                os.close(descriptor)

    def process(self) -> int | None:
        """Return the number of the process that held the run last; None: not known."""
        number, _, _ = self._heartbeat().partition(b"\n")
        return int(number) if number.strip().isdigit() else None

    def trouble(self) -> str:
        """Return what a run that is alive waits for, in words fit for a terminal; empty: nothing."""
        _, _, said = self._heartbeat().partition(b"\n")
        return one_line(said.decode(errors="replace").strip())

    def _heartbeat(self) -> bytes:
        try:
            with open_regular(self.heartbeat) as file:
                return file.read(_HEARTBEAT_BYTES)
        except OSError:
            return b""

    def is_alive(self) -> bool:
        """Whether a process holds the run: its lock here, or a fresh heartbeat where locks are not seen.

        A few microseconds. Any number of readers may ask at once: what each takes for an instant is a share of the
        lock, which keeps out no other reader, and which a writer that comes at that instant waits for. A run whose
        lock and heartbeat cannot be read counts as not alive.
        """
        if sys.platform == "win32":  # no lock there can be shared
            return self._beats()
        import fcntl

        try:
            with open_regular(self.path / "lock") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # given back as the file is closed
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        except OSError:  # a file system without locks
            return self._beats()
        return False

    def remove(self) -> None:
        """Delete the run's folder with all that is in it; links in it are deleted, not followed.

        Raises:
            UserError: the run is alive, or this is no run's folder.
            WorldError: it cannot be deleted, or only in part.
        """
        if self.path.is_symlink() or not (self.config_file.is_file() and self.checkpoints.is_dir()):
            raise UserError(f"{self.name} is no run's folder, so it stays: a run's has config.toml and checkpoints")
        self._take_lock()
        try:
            shutil.rmtree(self.path)
        except OSError as error:
            raise WorldError(f"run {self.name} cannot be deleted: {error.strerror}") from error
        finally:
            self.release()

    def _take_lock(self) -> None:
        from filelock import Timeout

        try:
            self._lock.acquire(timeout=2)  # a reader asking whether it is alive shares it for an instant
        except Timeout:
            raise UserError(
                f"run {self.name} is being trained by another process; watch it, or stop that process first"
            ) from None
        except OSError as error:
            raise WorldError(f"run {self.name} cannot be written: {error.strerror}") from error

    def _beats(self) -> bool:
        try:
            return time.time() - self.heartbeat.stat().st_mtime < _STALE_SECONDS
        except OSError:
            return False


def create(runs: Path, config: RunConfig) -> RunDir:
    """Make a new run's folder below ``runs`` and take its lock.

    Raises:
        UserError: the folder cannot be made or written.
        WorldError: the disk is full or fails.
    """
    stamp = datetime.now().astimezone().strftime(_STAMP_FORMAT)
    stem = f"{stamp}-{config.name}-s{config.train.seed}"
    path: Path | None = None
    try:
        runs.mkdir(parents=True, exist_ok=True)
        path = _make_unique(runs, stem)
        run = RunDir(path)
        run.checkpoints.mkdir()
        write_text(run.config_file, to_toml(config))
        run.acquire()
    except (OSError, WorldError) as error:
        if path is not None:
            shutil.rmtree(path, ignore_errors=True)
        if isinstance(error, WorldError):
            raise
        raise cannot_be_written(runs, error) from error
    return run


def cannot_be_written(runs: Path, error: OSError) -> UserError:
    """Return what to tell of a runs folder that cannot be made or written: a person chose wrongly, or it failed."""
    name = f"runs folder {one_line(str(runs))} cannot be written"
    if error.errno not in _CHOSEN:
        return WorldError(f"{name}: {error.strerror}; give another with --runs-dir, or make room")
    why = "a file is in its place" if isinstance(error, FileExistsError | NotADirectoryError) else error.strerror
    return UserError(f"{name}: {why}; give another with --runs-dir")


def _make_unique(runs: Path, stem: str) -> Path:
    for attempt in range(1, 1000):
        path = runs / (stem if attempt == 1 else f"{stem}-{attempt}")
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            return path
    raise OSError(0, "a thousand runs began in this second")


def find(runs: Path, wanted: str) -> RunDir:
    """Return the run that ``wanted`` means: a path, a name below ``runs``, or ``last``.

    Raises:
        UserError: there is none.
    """
    if wanted == "last":
        if existing := [run for run in iterate(runs) if os.access(run.config_file, os.R_OK)]:
            return existing[-1]
        raise UserError(f"there is no run in {one_line(str(runs))} yet; start one with resnet-tui train")
    path = Path(wanted)
    try:
        if len(path.parts) == 1 and not path.is_dir():
            path = runs / path
        found = (path / "config.toml").is_file()
    except OSError:  # a name longer than the file system takes
        found = False
    if not found:
        names = [run.name for run in iterate(runs)][-3:]
        latest = f"the latest there: {', '.join(names)}" if names else "there are none"
        raise UserError(
            f"{one_line(wanted)!r} is no run: give a run's folder, a name in {one_line(str(runs))} "
            f"({latest}), or last"
        )
    return RunDir(path)


def iterate(runs: Path) -> Iterator[RunDir]:
    """Yield the runs in ``runs``, oldest first, broken ones too; none where there is no such folder.

    Raises:
        OSError: it is there but cannot be read.
    """
    try:
        paths = sorted(runs.iterdir())  # of those that began at the same moment, in the order of their names
    except (FileNotFoundError, NotADirectoryError):
        return
    yield from (RunDir(path) for path in sorted(filter(_may_be_run, paths), key=_began))


def _began(path: Path) -> str:
    """When a run began, as its name says, or, where it was renamed, its first event, or else its configuration."""
    if _STAMP.match(path.name):
        return path.name
    try:
        began = _first_time(path / "events.jsonl") or (path / "config.toml").lstat().st_mtime
        return datetime.fromtimestamp(began).astimezone().strftime(f"{_STAMP_FORMAT}.%f")
    except (OSError, OverflowError, ValueError):  # a time that no calendar has
        return ""


def _first_time(log: Path) -> float | None:
    try:
        with open_regular(log) as lines:
            return float(json.loads(lines.readline(_FIRST_LINE))["time"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # no event yet, or damage
        return None


def _may_be_run(path: Path) -> bool:
    try:
        (path / "config.toml").lstat()
    except PermissionError:  # it cannot be told, and must neither hide the others nor be hidden
        return True
    except OSError:
        return False
    return True
