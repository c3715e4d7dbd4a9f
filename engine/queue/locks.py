"""Locks of the queue: files that one process holds, which its end, however it comes, lets go of."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from engine.regular import open_regular


@contextlib.contextmanager
def lock(path: Path, *, seconds: float) -> Iterator[None]:
    """Hold the lock at ``path`` for the block.

    Args:
        path: its file; made where it is missing.
        seconds: to wait for another process that has it.

    Raises:
        TimeoutError: another process kept it.
        OSError: the file cannot be made.
    """
    from filelock import FileLock, Timeout  # only who changes the queue needs it

    held = FileLock(path)
    try:
        held.acquire(timeout=seconds)
    except Timeout:
        raise TimeoutError(str(path)) from None
    try:
        yield
    finally:
        held.release()


def is_held(path: Path) -> bool:
    """Whether a process holds the lock at ``path``.

    Readers share the lock for an instant, so they do not get in each other's way, and who wants to hold it waits.
    """
    if sys.platform == "win32":  # no lock there can be shared
        try:
            with lock(path, seconds=0):
                return False
        except TimeoutError:
            return True
    import fcntl

    try:
        with open_regular(path) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # given back as the file is closed
    except BlockingIOError:
        return True
    except OSError:  # there is none
        return False
    return False


def worker_lock(runs: Path, device: str) -> Path:
    """Return the lock of who works off the queue on ``device``."""
    return runs / f".queue-{_file_name(device)}.lock"


def run_lock(runs: Path, device: str) -> Path:
    """Return the lock of the run that trains on ``device``: it may outlive who started it."""
    return runs / f".queue-{_file_name(device)}-run.lock"


def is_worked_on(runs: Path, device: str) -> bool:
    """Whether somebody works off the queue on ``device``, or a run of it trains there."""
    return is_held(worker_lock(runs, device)) or is_held(run_lock(runs, device))


def _file_name(device: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in device)
