"""Opening files in folders that others may have filled. Imports no torch."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_NO_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading. A pipe, which would be waited for without end, and a device are refused at once.

    Raises:
        OSError: it is no regular file, nor a link to one, or it cannot be read.
    """
    return open(os.fspath(path), "rb", opener=_opened)


def read_regular(path: Path, most: int) -> bytes:
    """Return what a file holds.

    Raises:
        OSError: as ``open_regular``, or it holds more than ``most`` bytes; no more than that is read.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(size + 1) if size <= most else b""
    if max(size, len(content)) > most:
        raise OSError(errno.EFBIG, f"larger than {most:,} bytes", str(path))
    return content


def _opened(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | _NO_WAITING)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    raise OSError(errno.EINVAL, "neither a file nor a link to one", path)
