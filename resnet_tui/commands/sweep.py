"""``resnet-tui sweep``: a preset with other settings, every combination of a grid or a list of cases."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resnet_tui.commands.options import (
    Assignments,
    BatchSize,
    DataDir,
    Dataset,
    Depth,
    Device,
    Epochs,
    Flags,
    LearningRate,
    assigned,
    run_flags,
)
from resnet_tui.commands.queue import exit_status
from resnet_tui.commands.reproduce import check_seeds, seeded
from resnet_tui.commands.train import RunsDir
from resnet_tui.commands.working import finish

if TYPE_CHECKING:
    from engine.config import RunConfig
    from engine.sweep import Case, Result


def sweep(
    preset: Annotated[str, typer.Argument(help="A preset's name or a .toml file.", metavar="PRESET")],
    grid: Annotated[
        list[str] | None,
        typer.Option("--grid", help="Values of a setting; every combination is tried.", metavar="KEY=VALUE,VALUE…"),
    ] = None,
    case: Annotated[
        list[str] | None, typer.Option("--case", help="Settings to try together.", metavar="'KEY=VALUE KEY=VALUE'")
    ] = None,
    case_list: Annotated[
        Path | None, typer.Option("--list", help="A file with a case a line.", metavar="FILE")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", help="Of each case: 1 to N are trained.", metavar="N")] = 1,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    lr: LearningRate = None,
    depth: Depth = None,
    dataset: Dataset = None,
    data_dir: DataDir = None,
    device: Device = None,
    assignments: Assignments = None,
    runs_dir: RunsDir = Path("runs"),
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON; the runs go to stderr.")] = False,
) -> None:
    """Train a preset with other settings, one run after another, and list what each reached, the best first.

    `--grid optim.lr=0.05,0.1 --grid optim.weight_decay=1e-4,5e-4` are four runs; `--case "optim.lr=0.1
    train.batch_size=64"` is one. The same command goes on where it was stopped.

    Flags hold for all of them; other settings than the flags below are given with --set.

    Exit status: 0 all done; 1 a run failed or is not done; 2 wrong usage; 3 a run diverged; 128+n ended by signal n.
    """
    from engine.queue.campaign import Campaign
    from engine.queue.file import Queue
    from engine.queue.possible import check
    from engine.sweep import results, words

    check_seeds(seeds)
    cases = _cases(grid or [], case or [], case_list)
    flags = run_flags(
        epochs=epochs, batch_size=batch_size, lr=lr, depth=depth, dataset=dataset, data_dir=data_dir, device=device
    )
    configs = _configs(preset, flags | assigned(assignments), cases, seeds, runs_dir)
    check(configs)
    tried = tuple(words(case) for case in cases for _ in range(seeds))
    campaign = Campaign(Queue(runs_dir), f"sweep {configs[0].name}", configs, preset, tried)
    standings = finish(campaign, quiet=json)
    _print(results(cases, standings), as_json=json)
    done = all(standing.state == "done" for standing in standings)
    raise typer.Exit(exit_status(standings) or (0 if done else 1))


def _cases(grid: list[str], case: list[str], case_list: Path | None) -> list[Case]:
    """Return what is to be tried.

    Raises:
        UserError: nothing is, or a grid and a list at once.
    """
    from engine import sweep as settings
    from engine.errors import UserError

    if grid and (case or case_list is not None):
        raise UserError("--grid beside --case or --list: give either every combination, or the cases one by one")
    if grid:
        return settings.grid(grid)
    listed = settings.read_cases(case_list) if case_list is not None else []
    found = [*settings.cases(case), *listed]
    if not found:
        raise UserError(
            'nothing to try: give --grid optim.lr=0.05,0.1 for every combination, or --case "optim.lr=0.1" for each'
        )
    return found


def _configs(preset: str, flags: Flags, cases: list[Case], seeds: int, runs: Path) -> tuple[RunConfig, ...]:
    """Return the configurations of every case and seed.

    Raises:
        UserError: a setting is wrong, or two cases are the same.
    """
    from engine.errors import UserError
    from engine.queue.campaign import twice
    from engine.sweep import check_number

    check_number(len(cases) * seeds)
    configs: list[RunConfig] = []
    for case in cases:
        chosen: Flags = {setting.key: (setting.flag, setting.value) for setting in case}
        if given := [key for key in chosen if key in flags]:
            raise UserError(f"{flags[given[0]][0]}: the sweep itself varies {given[0]}; leave it out")
        configs += seeded(preset, flags | chosen, seeds, runs)
    if (same := twice(configs)) is not None:
        one, other = (place // seeds + 1 for place in same)
        raise UserError(f"cases {one} and {other} are the same run; give each once")
    return tuple(configs)


def _print(found: list[Result], *, as_json: bool) -> None:
    from resnet_tui.printing.sweep import print_results, results_json

    if as_json:
        print(json_module.dumps(results_json(found), indent=2, allow_nan=False))
    else:
        print_results(found)
