"""Checksums of files, as those who publish them give them."""

import hashlib
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.data.progress import Pace
from engine.errors import WorldError
from engine.events import Progress
from engine.regular import open_regular, read_regular
from engine.text import one_line

BLOCK = 1 << 20
_DIGITS = {"md5": 32, "sha256": 64}


@dataclass(frozen=True)
class Digest:
    """What a file's checksum must be. MD5 guards against damage, not against forgery."""

    kind: Literal["md5", "sha256"]
    value: str
    """In hexadecimal; of a file that has the first digits in its name, those."""

    def new(self) -> "hashlib._Hash":
        """Return an empty checksum, also where policy forbids MD5 for security."""
        return hashlib.new(self.kind, usedforsecurity=False)

    def problem(self, found: "hashlib._Hash") -> str:
        """Return how ``found`` differs, in words; empty where it does not."""
        if found.hexdigest().startswith(self.value):
            return ""
        rest = "" if len(self.value) == _DIGITS[self.kind] else "…"
        return f"{self.kind} is {found.hexdigest()}, expected {self.value}{rest}"


def check_digest(path: Path, expected: Digest, remedy: str) -> Generator[Progress, None, None]:
    """Read ``path`` and compare, with progress.

    Args:
        path: the file.
        expected: its checksum.
        remedy: what to do about a damaged file, the end of the error message.

    Raises:
        WorldError: it cannot be read, or is not the file it ought to be.
    """
    digest = expected.new()
    try:
        pace = Pace(f"checking {path.name}", path.stat().st_size, unit="bytes")
        with open_regular(path) as file:
            while block := file.read(BLOCK):
                digest.update(block)
                if pace.due():
                    yield pace.report(file.tell())
    except OSError as error:
        raise _unreadable(path, error, remedy) from error
    _compare(path, expected, digest, remedy)


def read_checked(path: Path, expected: Digest, most: int, remedy: str) -> bytes:
    """Return the content of ``path``, whose checksum was compared: what is checked is what is used.

    Args:
        path: the file.
        expected: its checksum.
        most: bytes that it may have.
        remedy: as for ``check_digest``.

    Raises:
        WorldError: as ``check_digest``, or it is larger.
    """
    digest = expected.new()
    try:
        content = read_regular(path, most)
    except OSError as error:
        raise _unreadable(path, error, remedy) from error
    digest.update(content)
    _compare(path, expected, digest, remedy)
    return content


def _unreadable(path: Path, error: OSError, remedy: str) -> WorldError:
    reason = one_line(error.strerror or str(error))
    return WorldError(f"{one_line(str(path))}: cannot be read: {reason}; {remedy}")


def _compare(path: Path, expected: Digest, found: "hashlib._Hash", remedy: str) -> None:
    if problem := expected.problem(found):
        raise WorldError(f"{one_line(str(path))}: damaged or incomplete: its {problem}; {remedy}")
