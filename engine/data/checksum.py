"""MD5 sums of files, as the CIFAR archives publish them: against damage, not against forgery."""

import hashlib
from collections.abc import Generator
from pathlib import Path

from engine.data.progress import Pace
from engine.errors import WorldError
from engine.events import Progress
from engine.text import one_line

BLOCK = 1 << 20


def new_md5() -> "hashlib._Hash":
    """Return an empty MD5, also where policy forbids it for security."""
    return hashlib.md5(usedforsecurity=False)


def check_md5(path: Path, expected: str, remedy: str) -> Generator[Progress, None, None]:
    """Read ``path`` and compare, with progress.

    Args:
        path: the file.
        expected: its MD5 in hexadecimal.
        remedy: what to do about a damaged file, the end of the error message.

    Raises:
        WorldError: it cannot be read, or is not the file it ought to be.
    """
    digest = new_md5()
    try:
        pace = Pace(f"checking {path.name}", path.stat().st_size, unit="bytes")
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
                if pace.due():
                    yield pace.report(file.tell())
    except OSError as error:
        reason = one_line(error.strerror or str(error))
        raise WorldError(f"{one_line(str(path))}: cannot be read: {reason}; {remedy}") from error
    if digest.hexdigest() != expected:
        raise WorldError(
            f"{one_line(str(path))}: damaged or incomplete: its md5 is {digest.hexdigest()}, "
            f"expected {expected}; {remedy}"
        )
