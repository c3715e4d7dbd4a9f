"""How a run that is wanted stands: told by its folder, and by the queue only for as long as there is none."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.config import RunConfig
from engine.errors import WorldError
from engine.queue.file import Entry
from engine.queue.locks import is_worked_on
from engine.run_dir import RunDir
from engine.summary import RunSummary, read_summary
from engine.text import one_line

State = Literal["waiting", "running", "done", "interrupted", "failed", "diverged", "gone"]
OVER: frozenset[State] = frozenset({"done", "diverged", "failed", "gone"})
"""States that nobody waits for any more; gone: its folder was deleted."""


@dataclass(frozen=True)
class Standing:
    """A run that is wanted, and what came of it so far."""

    config: RunConfig
    state: State
    run: RunDir | None = None
    """None before it has begun."""
    summary: RunSummary | None = None
    """Without the steps; None where there is nothing to read."""
    reason: str = ""
    """Why it ended early or could not begin."""
    entry: Entry | None = None
    """Where it stands in the queue; None: it was trained without it."""

    @property
    def epochs_done(self) -> int:
        """Epochs trained and evaluated."""
        return self.summary.rows[-1].epoch if self.summary is not None and self.summary.rows else 0

    @property
    def device(self) -> str:
        """Where it trains, trained last, or is to train."""
        if self.entry is not None and self.state == "running" and self.entry.device:
            return self.entry.device
        return one_line(self.summary.device) if self.summary is not None and self.summary.device else ""


def stands(runs: Path, entry: Entry) -> Standing:
    """Look how an entry of the queue of ``runs`` stands."""
    worked_on = bool(entry.device) and is_worked_on(runs, entry.device)
    run = RunDir(runs / entry.run) if entry.run else None
    if run is None or not run.config_file.is_file():
        state: State = "running" if worked_on else "failed" if entry.problem else "waiting" if run is None else "gone"
        return Standing(entry.config, state, reason=entry.problem, entry=entry)
    found = run_stands(entry.config, run, entry)
    if worked_on:
        return Standing(entry.config, "running", run, found.summary, entry=entry)
    if entry.problem and found.state not in {"running", "done"}:
        return Standing(entry.config, "failed", run, found.summary, entry.problem, entry)
    return found


def run_stands(config: RunConfig, run: RunDir, entry: Entry | None = None) -> Standing:
    """Look how a run that has begun stands by itself."""
    alive = run.is_alive()  # before its log: a run that ends in between is not taken for interrupted
    try:
        summary = read_summary(run.events, steps=False)
    except (WorldError, OSError) as error:
        return Standing(config, "running" if alive else "failed", run, reason=one_line(str(error)), entry=entry)
    state: State = "interrupted"  # stopped, or killed
    if alive:
        state = "running"
    elif summary.outcome == "completed":
        state = "done"
    elif summary.outcome in {"failed", "diverged"}:
        state = summary.outcome
    reason = "" if state == "running" else one_line(summary.reason)
    return Standing(config, state, run, summary, reason, entry)
