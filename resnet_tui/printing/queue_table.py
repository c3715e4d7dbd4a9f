"""The queue as a person sees it, and as JSON."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from engine import words
from engine.findings import reached
from engine.queue.hint import hint
from engine.queue.standing import Standing
from resnet_tui.charts.comparison import COLOURS
from resnet_tui.printing.console import on_stdout

_STYLES = {"running": "green", "interrupted": "yellow", "failed": "red", "diverged": "red", "gone": "dim"}
_SHOWN_FROM = {
    "no": 0,
    "state": 0,
    "group": 100,
    "case": 0,
    "run": 0,
    "seed": 60,
    "epochs": 0,
    "last test": 80,
    "device": 110,
}
"""Columns, and the terminal's width from which each is shown."""
_NUMBERS = {"no", "seed", "epochs", "last test"}
_WIDTH_OF_A_PIPE = 160


def print_queue(standings: Sequence[Standing]) -> None:
    """Print a line a run, and below why those ended early that did."""
    console = on_stdout(_WIDTH_OF_A_PIPE)
    swept = any(standing.entry is not None and standing.entry.case for standing in standings)
    columns = [name for name, width in _SHOWN_FROM.items() if console.width >= width and (swept or name != "case")]
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(
            name,
            justify="right" if name in _NUMBERS else "left",
            overflow="fold",
            no_wrap=name not in {"run", "group", "case"},
        )
    for standing in standings:
        cells = _cells(standing)
        table.add_row(*(cells[name] for name in columns))
    console.print(table)
    for standing in standings:
        if standing.reason and standing.state in {"failed", "diverged"}:
            line = f"{_number(standing)}: {standing.reason}"
            console.print(Text(line, _STYLES[standing.state]), soft_wrap=True)


def print_comparisons(standings: Sequence[Standing], tried: Collection[int], runs: Path) -> None:
    """Print the command that compares the runs of a group, for each that has been worked at and is all done."""
    groups: dict[str, list[Standing]] = {}
    for standing in standings:
        if standing.entry is not None and standing.entry.group:
            groups.setdefault(standing.entry.group, []).append(standing)
    for group, members in groups.items():
        done = all(one.state == "done" for one in members)
        worked = any(one.entry is not None and one.entry.number in tried for one in members)
        if done and worked and 1 < len(members) <= len(COLOURS):
            command = compare_command([one.run.path for one in members if one.run], runs)
            print(f"\n{group} is done; compare its runs with:\n{command}")


def compare_command(paths: Sequence[Path], runs: Path) -> str:
    """Return the command that compares the runs of these folders."""
    return hint(runs, "compare", *(path.name for path in paths))


def as_json(standing: Standing) -> dict[str, Any]:
    """Return what is known of a run that is wanted."""
    found = reached(standing.summary) if standing.summary is not None else None
    entry, name = standing.entry, standing.config.name
    return {
        "number": entry.number if entry is not None else None,
        "group": entry.group if entry is not None else "",
        "case": entry.case if entry is not None else "",
        "state": standing.state,
        "preset": (entry.preset if entry is not None else "") or name,
        "name": name,
        "seed": standing.config.train.seed,
        "run": standing.run.path.name if standing.run is not None else None,
        "epochs_done": standing.epochs_done,
        "epochs": standing.config.train.epochs,
        "last_test_accuracy": found.last if found is not None else None,
        "best_test_accuracy": found.best if found is not None else None,
        "best_epoch": found.best_epoch if found is not None else None,
        "best_validation_accuracy": found.validation if found is not None else None,
        "seconds": found.seconds if found is not None else None,
        "device": standing.device or standing.config.train.device,
        "reason": standing.reason,
    }


def _cells(standing: Standing) -> dict[str, Text]:
    config, entry = standing.config, standing.entry
    found = reached(standing.summary) if standing.summary is not None else None
    return {
        "no": Text(_number(standing)),
        "state": Text(standing.state, _STYLES.get(standing.state, "")),
        "group": Text(entry.group if entry is not None else ""),
        "case": Text(entry.case if entry is not None else ""),
        "run": Text(_run(standing), "bold"),
        "seed": Text(str(config.train.seed)),
        "epochs": Text(f"{standing.epochs_done}/{config.train.epochs}"),
        "last test": Text(words.percent(found.last if found is not None else None)),
        "device": Text(standing.device.partition(" ")[0] or config.train.device),
    }


def _number(standing: Standing) -> str:
    return str(standing.entry.number) if standing.entry is not None else "-"


def _run(standing: Standing) -> str:
    """Name the run; before it has begun, what it is to be."""
    if standing.run is not None:
        return standing.run.name
    return standing.entry.called if standing.entry is not None else standing.config.name
