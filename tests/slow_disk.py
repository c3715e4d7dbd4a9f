"""A disk on which a checkpoint takes a while to be written, for the processes that are started with it."""

from __future__ import annotations

import os
import runpy
from collections.abc import Callable
from pathlib import Path

_SOURCE = """
import fcntl, os, pathlib, stat, time

folder, sync = pathlib.Path(__file__).parent, os.fsync


def slow(descriptor):
    about, adds = os.fstat(descriptor), fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND
    if stat.S_ISREG(about.st_mode) and about.st_size > 10_000 and not adds:  # neither a small file nor a log
        (folder / "saving").touch()
        time.sleep(float((folder / "seconds").read_text()))
        (folder / "saving").unlink(missing_ok=True)
    sync(descriptor)


os.fsync = slow
"""


class SlowDisk:
    """Python imports ``sitecustomize`` wherever it finds it first; this one makes ``fsync`` slow."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder = folder
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(_SOURCE)
        self.take(seconds)
        others = os.environ.get("PYTHONPATH")
        self.environment = {"PYTHONPATH": f"{folder}{os.pathsep}{others}" if others else str(folder)}
        """For the processes that are to have it."""

    def here(self) -> None:
        """Give it to this process."""
        runpy.run_path(str(self._folder / "sitecustomize.py"))

    def take(self, seconds: float) -> None:
        """Let a checkpoint take so long from now on."""
        new = self._folder / "new"
        new.write_text(str(seconds))
        new.replace(self._folder / "seconds")

    def next_save(self) -> Callable[[], bool]:
        """Return what tells whether a checkpoint is being written that was not when this was asked for."""
        (self._folder / "saving").unlink(missing_ok=True)
        return (self._folder / "saving").exists
