"""Where commands print: as wide as the terminal is, or, into a pipe or file, as wide as what is printed needs."""

import re
import sys
from typing import IO, Any, cast

from rich.console import Console

PIPE_WIDTH = 500
"""Wide enough for most tables and for paths on one line."""
_BLANKS_AT_THE_END = re.compile(r" +(?=\n)")


def on_stdout(pipe_width: int | None = PIPE_WIDTH) -> Console:
    """Return the standard output; where it is no terminal, ``pipe_width`` characters wide, with no blanks at ends.

    For sentences, which are better folded, None: as wide as ``COLUMNS`` or the terminal says, or 80.
    """
    if sys.stdout is None or is_terminal():  # Rich prints into nothing where a shell closed it
        return Console()
    return Console(file=cast("IO[str]", _Trimmed(sys.stdout)), width=pipe_width)


def is_terminal() -> bool:
    """Whether a person sees what is printed. A pipe that wants colours (``FORCE_COLOR``) is still a pipe."""
    return sys.stdout is not None and sys.stdout.isatty()


class _Trimmed:
    """A file whose lines end where their text ends, though a table fills its cells up."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        return self._file.write(_BLANKS_AT_THE_END.sub("", text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
