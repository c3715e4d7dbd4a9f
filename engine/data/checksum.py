"""Checksums of files, as those who publish them give them."""

import hashlib
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.data.progress import Pace
from engine.errors import WorldError
from engine.events import Progress
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
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
                if pace.due():
                    yield pace.report(file.tell())
    except OSError as error:
        reason = one_line(error.strerror or str(error))
        raise WorldError(f"{one_line(str(path))}: cannot be read: {reason}; {remedy}") from error
    if problem := expected.problem(digest):
        raise WorldError(f"{one_line(str(path))}: damaged or incomplete: its {problem}; {remedy}")
