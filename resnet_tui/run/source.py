"""What a session begins with: a run that it starts, one that it watches, a recorded one, or several to compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.config import RunConfig
    from engine.run_dir import RunDir


@dataclass(frozen=True)
class NewRun:
    """To be started, in a process of its own."""

    config: RunConfig
    resume: RunDir | None = None
    """The run to go on with instead of a new one."""

    @property
    def badge(self) -> str:
        """What the header says of how it is looked at."""
        return ""

    @property
    def name(self) -> str:
        """What to call it until it has a folder."""
        return self.resume.name if self.resume is not None else self.config.name


@dataclass(frozen=True)
class WatchedRun:
    """There already, whoever started it."""

    run: RunDir
    readonly: bool = False
    """Whether only looking is allowed."""

    @property
    def badge(self) -> str:
        """What the header says of how it is looked at."""
        return "read-only" if self.readonly else ""

    @property
    def name(self) -> str:
        """Of the run."""
        return self.run.name


@dataclass(frozen=True)
class ReplayedRun:
    """Recorded, to be played."""

    run: RunDir
    speed: float = 1.0
    """Recorded seconds a second."""

    @property
    def badge(self) -> str:
        """What the header says of how it is looked at."""
        return "replay"

    @property
    def name(self) -> str:
        """Of the run."""
        return self.run.name


@dataclass(frozen=True)
class ComparedRuns:
    """There already, to be looked at side by side."""

    runs: tuple[RunDir, ...]


RunSource = NewRun | WatchedRun | ReplayedRun
"""Of one run."""
