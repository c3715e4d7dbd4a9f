"""The cache folder, and writing into it so that nothing is ever half there. Imports no torch."""

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
import platformdirs

from engine.errors import WorldError
from engine.events import Progress
from engine.text import one_line

VARIABLE = "RESNET_TUI_CACHE"


def cache_folder() -> Path:
    """Return where downloads and decoded images go: ``$RESNET_TUI_CACHE``, or this platform's own place."""
    chosen = os.environ.get(VARIABLE)
    return Path(chosen).expanduser().absolute() if chosen else platformdirs.user_cache_path("resnet-tui")


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Word what goes wrong while something is written under ``folder``.

    Raises:
        WorldError: in place of any OSError: disk full, not writable.
    """
    try:
        yield
    except OSError as error:
        reason = one_line(error.strerror or str(error))
        raise WorldError(
            f"{one_line(str(folder))}: cannot be written: {reason}; free some space or make it writable, or "
            f"choose another cache folder with the environment variable {VARIABLE}"
        ) from error


@contextmanager
def held(lock: filelock.BaseFileLock) -> Iterator[None]:
    """Release ``lock``, which ``acquire`` has taken, at the end."""
    try:
        yield
    finally:
        lock.release()


def acquire(path: Path, activity: str) -> Generator[Progress, None, filelock.BaseFileLock]:
    """Take the lock at ``path``, reporting ``activity`` twice a second while another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path, thread_local=False)
    timeout = 0.0
    while True:
        try:
            lock.acquire(timeout=timeout)
        except filelock.Timeout:
            yield Progress(activity=activity, done=0, total=0)
            timeout = 0.5
        else:
            return lock
