"""What a person can ask of a run from the dashboard, and what became of each asking."""

import os
import time
from dataclasses import dataclass

from engine.control import ControlMessage, StopNow, post
from engine.events import CheckpointSaved, ControlApplied
from engine.run_dir import RunDir
from engine.sinks.report import control

SLOW_SECONDS = 5.0
"""After which an asking that the engine has not taken is said to wait."""


@dataclass(frozen=True)
class Asked:
    """Something asked for and not yet taken."""

    words: str
    at: float
    """On the monotonic clock."""


class RunControl:
    """Sends messages to a run and recognises them when the engine says that it took them."""

    def __init__(self, run: RunDir) -> None:
        """Control ``run``."""
        self._run = run
        self._asked: dict[str, Asked] = {}
        self._heard = -1
        """Number of the latest event that was told."""
        self._wants_saved: int | None = None
        """The step at which a checkpoint was asked for that is not saved yet."""
        self.source = f"dashboard {os.getpid()}"
        """Who asks, as the run's log has it."""

    def ask(self, message: ControlMessage, words: str) -> None:
        """Send ``message``, called ``words`` to a person; to stop, as a signal where no message can be written.

        Raises:
            OSError: it cannot be written.
        """
        try:
            post(self._run.control, message)
        except OSError:  # a full disk, for which the run itself may be waiting
            if isinstance(message, StopNow) and _terminate(self._run):
                return
            raise
        self._asked[message.id] = Asked(words, time.monotonic())

    def waiting(self) -> Asked | None:
        """Return the oldest asking that the engine has not taken."""
        return min(self._asked.values(), key=lambda asked: asked.at, default=None)

    def hear(self, applied: list[ControlApplied], saved: CheckpointSaved | None) -> list[str]:
        """Return what is new, in words: own askings that were taken, and those of others.

        Args:
            applied: what the engine took.
            saved: the latest checkpoint, which is told where it was asked for here.
        """
        told = []
        if saved is not None and self._wants_saved is not None and saved.step >= self._wants_saved:
            self._wants_saved = None
            told.append(f"✓ saved {saved.path} at step {saved.step:,}; the next checkpoint takes its place")
        for event in applied:
            if event.seq <= self._heard:
                continue
            self._heard = event.seq
            asked = self._asked.pop(event.id, None)
            if asked is not None:
                told.append(f"✓ {asked.words}: the engine took it at step {event.step:,}")
                if event.command == "checkpoint_now":
                    self._wants_saved = event.step
            else:
                told.append(control(event))
        return told

    def forget(self, applied: list[ControlApplied]) -> None:
        """Count ``applied`` as heard: what was before one began to watch is not news."""
        for event in applied:
            self._heard = max(self._heard, event.seq)
            self._asked.pop(event.id, None)

    def give_up(self) -> None:
        """Wait for nothing more: the run has ended."""
        self._asked.clear()


def _terminate(run: RunDir) -> bool:
    """Let the process that holds ``run`` save and end; return whether there is one on this machine."""
    import psutil

    if (number := run.process()) is None or not run.is_alive():
        return False
    try:
        process = psutil.Process(number)
        if not any("resnet" in part or part == "engine.host" for part in process.cmdline()):
            return False  # a number of another machine's
        process.terminate()
    except psutil.Error:
        return False
    return True
