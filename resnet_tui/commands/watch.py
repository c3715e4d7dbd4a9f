"""``resnet-tui watch`` and ``replay``: the dashboard on a live run, and on a recorded one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resnet_tui.commands.options import Ascii
from resnet_tui.commands.train import RunsDir
from resnet_tui.session import need_terminal, open_dashboard

if TYPE_CHECKING:
    from engine.run_dir import RunDir


def watch(
    run: Annotated[
        str | None, typer.Argument(help="A run's folder, its name, or last. [default: the latest live run]")
    ] = None,
    readonly: Annotated[bool, typer.Option("--readonly", help="Only look; change nothing.")] = False,
    runs_dir: RunsDir = Path("runs"),
    ascii_only: Ascii = False,
) -> None:
    """Watch a run in the dashboard, whoever started it, live or as it ended.

    Any number of viewers may watch the same run. Quitting never ends it unless you say so.
    """
    from engine import run_dir
    from resnet_tui.run.source import WatchedRun

    found = run_dir.find(runs_dir, run) if run is not None else _latest(runs_dir)
    need_terminal("watch")
    raise typer.Exit(open_dashboard(runs_dir, WatchedRun(found, readonly=readonly), ascii_only=ascii_only))


def _latest(runs: Path) -> RunDir:
    """Return the latest run that is alive, else the latest of all."""
    from engine import run_dir

    alive = [run for run in run_dir.iterate(runs) if run.is_alive()]
    return alive[-1] if alive else run_dir.find(runs, "last")


def replay(
    run: Annotated[str, typer.Argument(help="A run's folder, its name, or last.")],
    speed: Annotated[str, typer.Option(help="Recorded seconds a second, 0.1 to 1000.", metavar="FLOAT")] = "8",
    runs_dir: RunsDir = Path("runs"),
    ascii_only: Ascii = False,
) -> None:
    """Play a recorded run as if it were live, with pause, speed and a seek bar.

    What took longer than five seconds without any news, a pause say, is played as five seconds.
    """
    from engine import run_dir
    from resnet_tui.run.source import ReplayedRun

    factor = _speed(speed)
    found = run_dir.find(runs_dir, run)
    need_terminal("replay")
    raise typer.Exit(open_dashboard(runs_dir, ReplayedRun(found, factor), ascii_only=ascii_only))


def _speed(given: str) -> float:
    from engine.errors import UserError
    from engine.text import one_line

    try:
        factor = float(given.removeprefix("x").removeprefix("×"))
    except ValueError:
        factor = 0.0
    if not 0.1 <= factor <= 1000:
        raise UserError(f"--speed {one_line(given)!r}: allowed: a number from 0.1 to 1000, such as 8")
    return factor
