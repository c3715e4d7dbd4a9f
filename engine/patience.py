"""Waits where a run's files cannot be written, as on a full disk, instead of ending the run. Imports no torch.

An error that passes costs a moment. One that stays pauses the run: a person is told what it waits for, and it goes on
once the write succeeds. A stop that is asked for meanwhile ends the waiting, and with it the run.
"""

import time
from collections.abc import Callable
from pathlib import Path

from engine.control import Control
from engine.text import one_line

Writing = Callable[[Callable[[], None]], None]
"""Calls what writes: ``Patience``, or ``at_once``."""
_PASSING_SECONDS = (0.02, 0.08, 0.3)
"""Before an error is taken to stay."""
_RETRY_SECONDS, _LONGEST_RETRY_SECONDS = 0.5, 8.0
"""At first, and after some time: a checkpoint that does not fit is much to write again and again."""
_ADVICE = "the run goes on once that can be written: make room, or stop it"


class Patience:
    """Writes of one run, from one thread."""

    def __init__(self, control: Control, told: Callable[[str], None]) -> None:
        """Wait until what fails succeeds, or until ``control`` is asked to stop.

        Args:
            control: of the run.
            told: called with what the run waits for, in words, and with the empty string once it goes on.
        """
        self._control = control
        self._told = told
        self._notes: list[str] = []

    def __call__(self, write: Callable[[], None]) -> None:
        """Call ``write`` until it succeeds. It must leave nothing behind where it fails.

        Raises:
            OSError: it failed and the run is to stop, or the folder has gone.
        """
        for seconds in _PASSING_SECONDS:
            try:
                write()
            except FileNotFoundError:  # the run's folder was deleted: nothing brings it back
                raise
            except OSError:
                time.sleep(seconds)
            else:
                return
        self._wait(write)

    def _wait(self, write: Callable[[], None]) -> None:
        began = time.monotonic()
        problem, pause = "", _RETRY_SECONDS
        while True:
            try:
                write()
            except OSError as error:
                if self._control.stop_wanted or isinstance(error, FileNotFoundError):
                    raise
                if not problem:
                    problem = f"{_name(error)} cannot be written: {error.strerror or error}"
                    self._told(f"{problem}; {_ADVICE}")
                self._rest(pause)
                pause = min(2 * pause, _LONGEST_RETRY_SECONDS)
            else:
                if problem:
                    self._notes.append(f"waited {time.monotonic() - began:.0f} s: {problem}")
                    self._told("")
                return

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._control.stop_wanted:
            time.sleep(0.05)

    def notes(self) -> list[str]:
        """Return, once, what was waited for: for the log, which could not be told at the time."""
        notes, self._notes = self._notes, []
        return notes


def at_once(write: Callable[[], None]) -> None:
    """Write without patience."""
    write()


def _name(error: OSError) -> str:
    return one_line(Path(str(error.filename)).name) if error.filename else "a file"
