"""Where commands print: as wide as the terminal is, or, into a pipe or file, as wide as what is printed needs."""

import sys

from rich.console import Console


def on_stdout(pipe_width: int) -> Console:
    """Return the standard output, ``pipe_width`` characters wide where it is no terminal."""
    return Console(width=None if sys.stdout.isatty() else pipe_width)
