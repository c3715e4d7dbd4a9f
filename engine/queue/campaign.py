"""A set of runs that a command wants done: what is done already is not done again, what was interrupted goes on.

A run counts as done where one in the folder has the whole configuration, seed included; only where it is trained
does not matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

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
    preset: str = ""
    """As a person typed it."""
    cases: tuple[str, ...] = ()
    """What is tried, one of each run, in a sweep."""

    def plan(self) -> set[int]:
        """Put into the queue what is not done and not there yet; return the numbers of what is left to do.

        Raises:
            WorldError: the queue cannot be read or written.
            OSError: the runs folder cannot be read.
        """
        known = self._known_runs()
        with self.queue.edit() as draft:
            there = _by_key(draft.entries)
            return {
                self._entry(draft, there, place, found).number
                for place, found in enumerate(known)
                if found is None or found.state not in {"done", "diverged"}
            }

    def standings(self) -> list[Standing]:
        """Return how each of the runs stands, in order.

        Raises:
            WorldError: the queue cannot be read.
            OSError: the runs folder cannot be read.
        """
        there = _by_key(self.queue.entries())
        standings = []
        for key, config, found in zip(self._keys, self.configs, self._known_runs(), strict=True):
            entry = next((one for one in there.get(key, []) if self._belongs(one, found)), None)
            waits = stands(self.queue.runs, entry) if entry is not None else Standing(config, "waiting")
            known = [standing for standing in (found, waits) if standing is not None]
            standings.append(min(known, key=lambda standing: _BEST_FIRST.index(standing.state)))
        return standings

    @cached_property
    def _keys(self) -> list[str]:
        return [_key(config) for config in self.configs]

    def _entry(self, draft: Draft, there: dict[str, list[Entry]], place: int, found: Standing | None) -> Entry:
        """Return the run's place in the queue; an interrupted one is gone on with, whoever began it."""
        run = found.run.path.name if found is not None and found.run is not None else ""
        config, case = self.configs[place], self.cases[place] if self.cases else ""
        for entry in there.get(self._keys[place], []):
            if self._belongs(entry, found):
                return draft.change(  # the device may be another, and so may be what asked for it
                    entry.number,
                    run=run or entry.run,
                    config=config,
                    preset=self.preset or entry.preset,
                    case=case or entry.case,
                )
        return draft.add(self.group, config, run, preset=self.preset, case=case)

    def _belongs(self, entry: Entry, found: Standing | None) -> bool:
        """Whether an entry of the same configuration is of this run, and not of one that was changed by hand."""
        path = self.queue.runs / entry.run
        own = found is not None and found.run is not None and found.run.path == path
        return not entry.run or own or not path.exists()

    def _known_runs(self) -> list[Standing | None]:
        """Return of each configuration the run in the folder that has come furthest."""
        configs = dict(zip(self._keys, self.configs, strict=True))
        found: dict[str, list[Standing]] = {key: [] for key in configs}
        for run in iterate(self.queue.runs):
            try:
                key = _key(run.config())
            except (UserError, OSError):  # damaged, and so nobody's
                continue
            if key in configs and not _changed_by_hand(run):
                found[key].append(run_stands(configs[key], run))
        return [
            min(reversed(found[key]), key=lambda standing: _BEST_FIRST.index(standing.state)) if found[key] else None
            for key in self._keys
        ]


def _key(config: RunConfig) -> str:
    """Return what is the same of two configurations of one run, wherever it is trained, and of no others."""
    return config.model_dump_json(exclude={"train": {"device"}})


def _by_key(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(_key(entry.config), []).append(entry)
    return found


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
    seen: dict[str, int] = {}
    for place, config in enumerate(configs):
        first = seen.setdefault(_key(config), place)
        if first < place:
            return first, place
    return None
