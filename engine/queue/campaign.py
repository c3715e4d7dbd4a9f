"""A set of runs that a command wants done: what is done already is not done again, what was interrupted goes on.

A run counts as done where one in the folder has the whole configuration, seed included; only where it is trained
does not matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.config import RunConfig
from engine.errors import UserError
from engine.event_log import MAX_LINE_BYTES
from engine.events import ControlApplied, decode
from engine.queue.file import Draft, Entry, Queue
from engine.queue.standing import Standing, State, run_stands, stands
from engine.regular import open_regular
from engine.run_dir import RunDir, iterate

_BY_HAND = {"set_learning_rate", "extend_epochs"}
"""What makes of a run another one than its configuration says."""
_BEST_FIRST: tuple[State, ...] = ("done", "running", "interrupted", "diverged", "failed", "waiting", "gone")


@dataclass(frozen=True)
class Campaign:
    """Runs that are wanted together."""

    queue: Queue
    group: str
    configs: tuple[RunConfig, ...]

    def plan(self) -> set[int]:
        """Put into the queue what is not done and not there yet; return the numbers of what is left to do.

        Raises:
            WorldError: the queue cannot be read or written.
            OSError: the runs folder cannot be read.
        """
        known = self._known_runs()
        with self.queue.edit() as draft:
            return {
                entry.number
                for config, found in zip(self.configs, known, strict=True)
                if found is None or found.state not in {"done", "diverged"}
                for entry in [self._entry(draft, config, found)]
            }

    def standings(self) -> list[Standing]:
        """Return how each of the runs stands, in order.

        Raises:
            WorldError: the queue cannot be read.
            OSError: the runs folder cannot be read.
        """
        entries = self.queue.entries()
        standings = []
        for config, found in zip(self.configs, self._known_runs(), strict=True):
            entry = next((one for one in entries if self._belongs(one, config, found)), None)
            waits = stands(self.queue.runs, entry) if entry is not None else Standing(config, "waiting")
            known = [standing for standing in (found, waits) if standing is not None]
            standings.append(min(known, key=lambda standing: _BEST_FIRST.index(standing.state)))
        return standings

    def _entry(self, draft: Draft, config: RunConfig, found: Standing | None) -> Entry:
        """Return the run's place in the queue; an interrupted one is gone on with, whoever began it."""
        run = found.run.path.name if found is not None and found.run is not None else ""
        for entry in draft.entries:
            if self._belongs(entry, config, found):
                return draft.change(entry.number, run=run or entry.run, config=config)  # its device may be another
        return draft.add(self.group, config, run)

    def _belongs(self, entry: Entry, config: RunConfig, found: Standing | None) -> bool:
        """Whether an entry is of this run, and not of one with the same configuration that was changed by hand."""
        if not is_same(entry.config, config):
            return False
        path = self.queue.runs / entry.run
        own = found is not None and found.run is not None and found.run.path == path
        return not entry.run or own or not path.exists()

    def _known_runs(self) -> list[Standing | None]:
        """Return of each configuration the run in the folder that has come furthest."""
        found: list[list[Standing]] = [[] for _ in self.configs]
        keys = [_key(config) for config in self.configs]
        for run in iterate(self.queue.runs):
            try:
                key = _key(run.config())
            except (UserError, OSError):  # damaged, and so nobody's
                continue
            for place, wanted in enumerate(keys):
                if key == wanted and not _changed_by_hand(run):
                    found[place].append(run_stands(self.configs[place], run))
        return [
            min(reversed(known), key=lambda standing: _BEST_FIRST.index(standing.state)) if known else None
            for known in found
        ]


def is_same(one: RunConfig, other: RunConfig) -> bool:
    """Whether two configurations are of the same run, wherever it is trained."""
    return _key(one) == _key(other)


def _key(config: RunConfig) -> dict[str, Any]:
    return config.model_dump(exclude={"train": {"device"}})


def _changed_by_hand(run: RunDir) -> bool:
    """Whether somebody changed rate or length while it trained."""
    try:
        with open_regular(run.events) as file:
            while line := file.readline(MAX_LINE_BYTES):
                if not line.endswith(b'"kind":"control_applied"}\n'):
                    continue
                try:
                    event = decode(line)
                except ValueError:
                    continue
                if isinstance(event, ControlApplied) and event.command in _BY_HAND:
                    return True
    except OSError:
        return False
    return False


def twice(configs: Sequence[RunConfig]) -> tuple[int, int] | None:
    """Return the places of two configurations that are the same, if there are any."""
    keys = [_key(config) for config in configs]
    return next(((keys.index(key), place) for place, key in enumerate(keys) if keys.index(key) < place), None)
