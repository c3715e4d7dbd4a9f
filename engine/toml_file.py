"""Reading TOML that anyone may have written: bounded in size and depth. Imports no library, for the first frame."""

import tomllib
from pathlib import Path
from typing import Any

from engine.regular import read_regular

MOST_BYTES = 64 << 10
"""Twenty times what a configuration in full has."""
_MOST_DOTS = 200
"""On a line: the time that the standard library takes for a key goes by the square of its parts."""


def read_toml_file(path: Path) -> dict[str, Any]:
    """Return what a file holds.

    Raises:
        OSError: it is no file, cannot be read, or is too large.
        ValueError: it is not UTF-8 (``UnicodeDecodeError``), or not TOML, in words.
    """
    text = read_regular(path, MOST_BYTES).decode("utf-8")
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > _MOST_DOTS:
            raise ValueError(f"more than {_MOST_DOTS} dots, which no key has (at line {number})")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("too many tables or arrays in each other") from error
