"""Starting Python modules as processes of their own. Imports no torch."""

import sys
from pathlib import Path


def module_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module as this process would find it.

    It looks for modules in the working directory only where this process does: files of others may lie there.
    """
    flags = [] if {"", str(Path.cwd())} & {*sys.path} else ["-P"]
    return [sys.executable, *flags, "-m", module, *arguments]
