"""``resnet-tui runs``: the runs of a folder, with state, progress and best accuracy."""

from __future__ import annotations

import json as json_module
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resnet_tui.commands.train import RunsDir

if TYPE_CHECKING:
    from engine.run_dir import RunDir
    from engine.summary import RunSummary

_STYLES = {
    "running": "green",
    "paused": "yellow",
    "completed": "",
    "stopped": "yellow",
    "failed": "red",
    "diverged": "red",
    "lost": "red",
    "damaged": "red",
}
_SHOWN_FROM = {
    "run": 0,
    "state": 0,
    "network": 120,
    "dataset": 90,
    "epochs": 60,
    "best": 0,
    "last": 100,
    "time": 80,
}
"""Columns, and the terminal's width from which each is shown."""
_WIDTH_OF_A_PIPE = 200


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One run in the list."""

    name: str
    state: str
    """running, paused, completed, stopped, failed, diverged; lost: killed; damaged: cannot be read."""
    network: str = ""
    dataset: str = ""
    epochs_done: int = 0
    epochs: int = 0
    best_accuracy: float | None = None
    best_epoch: int | None = None
    last_accuracy: float | None = None
    split: str = ""
    """Which split the accuracies are of."""
    seconds: float = 0.0
    """Spent on it by all its processes, without pauses."""
    started: str | None = None
    """ISO 8601 with the offset from UTC; None before it started."""
    reason: str = ""


def runs(
    runs_dir: RunsDir = Path("runs"),
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List the runs, the newest last."""
    from engine import run_dir
    from engine.errors import UserError
    from engine.text import one_line

    if runs_dir.exists() and not runs_dir.is_dir():
        raise UserError(f"--runs-dir {one_line(str(runs_dir))!r}: not a folder; give the folder that holds the runs")
    entries = [_entry(run) for run in run_dir.iterate(runs_dir)]
    if json:
        print(json_module.dumps([asdict(entry) for entry in entries], indent=2))
    elif not entries:
        print(f"no runs in {one_line(str(runs_dir))} yet; start one with: resnet-tui train --headless")
    else:
        _print_table(entries, runs_dir)


def _entry(run: RunDir) -> Entry:
    """Read one run; one that is damaged says so and hides no other."""
    from engine import words
    from engine.errors import UserError
    from engine.summary import read_summary
    from engine.text import one_line

    try:
        config = run.config()
        summary = read_summary(run.events, steps=False)
        alive = run.is_alive()
    except (UserError, OSError) as error:
        return Entry(name=run.name, state="damaged", reason=one_line(str(error)))
    best = summary.best()
    split = summary.choosing_split
    return Entry(
        name=run.name,
        state=_state(summary, alive=alive),
        network=words.network(config),
        dataset=config.data.dataset,
        epochs_done=summary.rows[-1].epoch if summary.rows else 0,
        epochs=summary.epochs or config.train.epochs,
        best_accuracy=best.accuracy(split) if best else None,
        best_epoch=best.epoch if best else None,
        last_accuracy=summary.rows[-1].accuracy(split) if summary.rows else None,
        split=split,
        seconds=summary.elapsed,
        started=_iso(summary.started) if summary.config else None,
        reason=one_line(summary.reason),
    )


def _state(summary: RunSummary, *, alive: bool) -> str:
    """Word the state; a resumed run that makes its data ready is alive after an earlier ``run_finished``."""
    if alive:
        return "paused" if summary.state == "paused" else "running"
    return summary.outcome or "lost"


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).astimezone().isoformat(timespec="seconds")


def _print_table(entries: list[Entry], runs_dir: Path) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from engine import words
    from engine.sinks.report import resume_command

    console = Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_PIPE)
    table = Table(box=None, padding=(0, 2, 0, 0))
    columns = [name for name, width in _SHOWN_FROM.items() if console.width >= width]
    for name in columns:
        number = name in {"epochs", "best", "last", "time"}
        table.add_column(name, justify="right" if number else "left", overflow="fold", no_wrap=name != "run")
    for entry in entries:
        cells = {
            "run": Text(entry.name, "bold"),
            "state": Text(entry.state, _STYLES.get(entry.state, "")),
            "network": Text(entry.network.replace(", shortcut ", " ")),
            "dataset": Text(entry.dataset),
            "epochs": Text(f"{entry.epochs_done}/{entry.epochs}"),
            "best": Text(words.percent(entry.best_accuracy)),
            "last": Text(words.percent(entry.last_accuracy)),
            "time": Text(words.duration(entry.seconds)),
        }
        table.add_row(*(cells[name] for name in columns))
    console.print(table)
    for entry in entries:
        if entry.state in {"damaged", "failed", "diverged"}:
            console.print(Text(f"{entry.name}: {entry.reason}", "red"), soft_wrap=True)
    lost = [entry.name for entry in entries if entry.state == "lost"]
    if lost:
        console.print(
            Text(f"{lost[-1]} was killed; go on with: {resume_command(runs_dir / lost[-1])}", "dim"),
            soft_wrap=True,
        )
