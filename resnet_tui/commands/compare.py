"""``resnet-tui compare``: several runs side by side, in the dashboard or as tables."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resnet_tui.commands.options import Ascii
from resnet_tui.commands.train import RunsDir
from resnet_tui.session import has_terminal, open_dashboard

if TYPE_CHECKING:
    from engine.run_dir import RunDir


def compare(
    runs: Annotated[
        list[str], typer.Argument(help="Two runs or more: the folder of each, its name, or last.", metavar="RUN RUN…")
    ],
    only_print: Annotated[
        bool, typer.Option("--print", help="Print tables instead of opening the dashboard.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
    runs_dir: RunsDir = Path("runs"),
    ascii_only: Ascii = False,
) -> None:
    """Compare runs: their curves, what each reached, and the settings that are not the same in all.

    In the dashboard, or with --print, and where there is no terminal, as tables.
    """
    from engine.errors import UserError
    from resnet_tui.run.compared import find_all, read_all

    found = find_all(runs_dir, runs)
    if len(found) < 2:
        raise UserError(
            f"to compare takes two runs or more; {found[0].name} is one; resnet-tui runs lists what there is"
        )
    if has_terminal() and not (only_print or json):
        raise typer.Exit(_look(found, runs_dir, ascii_only=ascii_only))
    read = read_all(found)
    if json:
        from resnet_tui.report.data import comparison_json

        sys.stdout.write(comparison_json(read))
        return

    from resnet_tui.printing.console import on_stdout
    from resnet_tui.report.contents import compared
    from resnet_tui.report.terminal import WIDTH, print_blocks

    console = on_stdout(WIDTH)
    print_blocks(console, compared(read))


def _look(found: list[RunDir], runs_dir: Path, *, ascii_only: bool) -> int:
    """Open the dashboard on the comparison; a live run may be at its beginning, since its curves grow there."""
    from engine.errors import UserError
    from resnet_tui.charts.comparison import COLOURS
    from resnet_tui.run.compared import need_epoch
    from resnet_tui.run.listing import read
    from resnet_tui.run.source import ComparedRuns

    if len(found) > len(COLOURS):
        raise UserError(
            f"{len(found)} runs: at most {len(COLOURS)} can be told apart on a chart; give fewer, or --print"
        )
    for run in found:
        if not run.is_alive():
            need_epoch(read(run))
    return open_dashboard(runs_dir, ComparedRuns(tuple(found)), ascii_only=ascii_only)
