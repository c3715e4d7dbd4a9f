"""Writing files so that a kill at any instant leaves the old content or the new, never a mixture."""

import contextlib
import glob
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO


def write_atomic(path: Path, write: Callable[[BinaryIO], object], *, previous: Path | None = None) -> None:
    """Let ``write`` fill a file beside ``path``, sync it, and rename it into place.

    Args:
        path: the file.
        write: gives its content.
        previous: where the file is kept that was at ``path`` before. What is there gives way only once the new one
            is in place, for the one in between may be damaged.

    Raises:
        OSError: the disk is full or the folder cannot be written; ``path`` is then as it was.
    """
    beside = _beside(path)
    try:
        with beside.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        before = _second_name(path, previous) if previous is not None and path.exists() else None
        beside.replace(path)
    except BaseException as error:
        for left in (beside, *([_beside(previous)] if previous is not None else [])):
            with contextlib.suppress(OSError):
                left.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)  # what a person asked for, not the file beside it
        raise
    if before is not None and previous is not None:
        try:
            before.replace(previous)
        except OSError:  # the one before that stays
            with contextlib.suppress(OSError):
                before.unlink()
    sync_folder(path.parent)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def _second_name(path: Path, previous: Path) -> Path | None:
    """Give the file at ``path`` a name beside ``previous``, as a copy where no file has two names."""
    name = _beside(previous)
    try:
        name.unlink(missing_ok=True)
        name.hardlink_to(path)
    except OSError:
        try:
            shutil.copyfile(path, name)
        except OSError:  # no room for both: what is there now is worth more than what was before it
            name.unlink(missing_ok=True)
            return None
    return name


def remove_unfinished(path: Path) -> None:
    """Delete what a process left beside ``path`` that was killed in ``write_atomic``; while none writes there."""
    for beside in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        if beside.name.split(".")[-2].isdigit() and beside.is_file() and not beside.is_symlink():
            beside.unlink(missing_ok=True)


def append(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Add ``content`` to the end of ``path``, in one write where the disk takes it; all of it or nothing.

    Args:
        path: the file; made where it is missing.
        content: whole lines.
        durable: whether to wait until it is on disk for sure.

    Raises:
        OSError: the disk is full or the file cannot be written.
    """
    with naming(path), path.open("ab", buffering=0) as file:
        begin = end = file.seek(0, os.SEEK_END)
        left = memoryview(content)
        try:
            while left:
                written = file.write(left)
                left, end = left[written:], end + written
            if durable:
                os.fsync(file.fileno())
            file.close()  # a network file system tells of a full disk only here
        except OSError:
            with path.open("r+b") as again:
                if again.seek(0, os.SEEK_END) == end:  # else another process has added to it since
                    again.truncate(begin)
            raise


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name ``path`` in an ``OSError`` that names no file, as those of a full disk do not."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    write_atomic(path, lambda file: file.write(text.encode()))


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` durable, where the platform can."""
    with contextlib.suppress(OSError):  # Windows cannot open a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
