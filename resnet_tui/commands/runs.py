"""``resnet-tui runs``: the runs of a folder, with state, progress and best accuracy."""

from __future__ import annotations

import json as json_module
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resnet_tui.commands.train import RunsDir

if TYPE_CHECKING:
    from resnet_tui.run.listing import Entry

_STYLES = {
    "running": "green",
    "paused": "yellow",
    "waiting": "yellow",
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


def runs(
    runs_dir: RunsDir = Path("runs"),
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List the runs, the newest last."""
    from engine.errors import UserError
    from engine.text import one_line
    from resnet_tui.run.kept_entries import entries

    if runs_dir.exists() and not runs_dir.is_dir():
        raise UserError(f"--runs-dir {one_line(str(runs_dir))!r}: not a folder; give the folder that holds the runs")
    listed = entries(runs_dir)
    if json:
        print(json_module.dumps([asdict(entry) for entry in listed], indent=2))
    elif not listed:
        print(f"no runs in {one_line(str(runs_dir))} yet; start one with: resnet-tui train --headless")
    else:
        _print_table(listed, runs_dir)


def _print_table(entries: list[Entry], runs_dir: Path) -> None:
    from rich.table import Table
    from rich.text import Text

    from engine import words
    from engine.sinks.report import resume_command
    from resnet_tui.printing.console import on_stdout

    console = on_stdout()
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
        if entry.state in {"damaged", "failed", "diverged", "waiting"}:
            console.print(Text(f"{entry.name}: {entry.reason}", _STYLES[entry.state]), soft_wrap=True)
    lost = [entry.name for entry in entries if entry.state == "lost"]
    if lost:
        console.print(
            Text(f"{lost[-1]} was killed; go on with: {resume_command(runs_dir / lost[-1])}", "dim"),
            soft_wrap=True,
        )
