"""``resnet-tui queue``: runs that wait for their turn, and training them one at a time a device."""

from __future__ import annotations

import json as json_module
import os
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
    Seed,
    assigned,
    run_flags,
)
from resnet_tui.commands.train import RunsDir, new_config

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.config import RunConfig
    from engine.queue.file import Queue
    from engine.queue.standing import Standing

Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
Numbers = Annotated[list[int], typer.Argument(help="Numbers of the queue.", metavar="N…")]

app = typer.Typer()


@app.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    runs_dir: RunsDir = Path("runs"),
    json: Json = False,
) -> None:
    """Runs that wait for their turn, trained one at a time a device; without a command, show how they stand.

    A run is waiting, running, done, interrupted, failed, diverged, or gone (its folder was deleted). The queue is
    kept in queue.json of the runs folder.
    """
    if context.invoked_subcommand is None:
        list_(runs_dir, json=json)
        return
    if json:
        from engine.errors import UserError

        command = context.invoked_subcommand
        raise UserError(f"--json before {command} does nothing; resnet-tui queue --json prints how the runs stand")
    os.environ["RESNET_TUI_RUNS"] = str(runs_dir)  # given before the command, it holds for it, too


@app.command(name="list")
def list_(runs_dir: RunsDir = Path("runs"), json: Json = False) -> None:
    """Show how the runs stand, as `queue` does without a command."""
    from engine.queue.hint import hint
    from engine.text import one_line
    from resnet_tui.printing.queue_table import as_json, print_queue

    standings = _standings(runs_dir)
    if json:
        print(json_module.dumps([as_json(standing) for standing in standings], indent=2))
    elif not standings:
        print(
            f"nothing waits in {one_line(str(runs_dir))}; {hint(runs_dir, 'queue', 'add', 'PRESET')} lets a run wait"
        )
    else:
        print_queue(standings)


@app.command()
def add(
    wanted: Annotated[
        str, typer.Argument(help="A preset, its .toml file, or a group of presets.", metavar="PRESET|GROUP")
    ],
    dataset: Dataset = None,
    data_dir: DataDir = None,
    device: Device = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    lr: LearningRate = None,
    depth: Depth = None,
    seed: Seed = None,
    assignments: Assignments = None,
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Let a run wait at the end of the queue, or each run of a group; `resnet-tui presets` lists groups.

    Flags hold for every run of a group; other settings than the flags below are given with --set. A run without
    --device trains wherever the queue is worked off.
    """
    from engine import words
    from engine.queue.file import Queue
    from engine.queue.hint import hint
    from engine.queue.possible import check

    flags = run_flags(
        dataset=dataset,
        data_dir=data_dir,
        device=device,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        depth=depth,
        seed=seed,
    )
    group, configs = _wanted(wanted, flags | assigned(assignments), runs_dir)
    check(list(configs.values()))
    with Queue(runs_dir).edit() as draft:
        added = [draft.add(group, config, preset=preset) for preset, config in configs.items()]
    for entry in added:
        train = entry.config.train
        length = f"{train.epochs} epoch{'' if train.epochs == 1 else 's'}"
        print(f"{entry.number}: {entry.called}, {words.network(entry.config)}, {length}, seed {train.seed}")
    print(f"{hint(runs_dir, 'queue', 'run')} trains what waits, one at a time")


@app.command()
def remove(numbers: Numbers, runs_dir: RunsDir = Path("runs")) -> None:
    """Take runs out of the queue; what they trained stays in their folders."""
    from engine.queue.file import Queue

    queue = Queue(runs_dir)
    _refuse_running(queue, numbers)
    with queue.edit() as draft:
        draft.remove(numbers)
    print(f"{len({*numbers})} removed")


@app.command()
def move(
    number: Annotated[int, typer.Argument(help="Number of the queue.", metavar="N")],
    position: Annotated[int, typer.Argument(help="Where it shall stand; 1 is first.", metavar="POSITION")],
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Let a run have its turn earlier or later."""
    from engine.errors import UserError
    from engine.queue.file import Queue
    from resnet_tui.printing.queue_table import print_queue

    queue = Queue(runs_dir)
    _refuse_running(queue, [number])
    with queue.edit() as draft:
        if not 1 <= position <= len(draft.entries):
            raise UserError(f"POSITION {position}: allowed: 1 (first) to {len(draft.entries)} (last)")
        draft.move(number, position)
    print_queue(_standings(runs_dir))


@app.command()
def clear(runs_dir: RunsDir = Path("runs")) -> None:
    """Take out what is over: done, diverged, failed, or deleted. What was trained stays in its folders."""
    from engine.queue.file import Queue
    from engine.queue.standing import OVER

    queue = Queue(runs_dir)
    if not queue.entries():
        print("0 removed, 0 left")
        return
    over = {one.entry.number: one.entry for one in _standings(runs_dir) if one.entry and one.state in OVER}
    with queue.edit() as draft:
        gone = {entry.number for entry in draft.entries if over.get(entry.number) == entry}  # nobody took it since
        draft.remove(gone)
        left = len(draft.entries)
    print(f"{len(gone)} removed, {left} left")


@app.command()
def run(
    numbers: Annotated[
        list[int] | None,
        typer.Argument(help="Only these, also where they failed. [default: all that wait]", metavar="[N…]"),
    ] = None,
    device: Annotated[
        str, typer.Option("--device", help="Where to train: auto, cpu, mps, cuda, cuda:0, …", metavar="NAME")
    ] = "auto",
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Train what waits, in order, one at a time; each in a process of its own, so that none ends the others.

    Runs that were interrupted are gone on with, finished ones are not run again. Another `queue run` may work on
    another device at the same time. Ctrl-C saves a checkpoint of the run in hand and ends the queue.

    Exit status: 0 all done; 1 a run failed; 2 wrong usage; 3 a run diverged; 128+n ended by signal n.
    """
    from engine.queue.file import Queue, find
    from engine.queue.hint import hint
    from resnet_tui.commands.working import work_off
    from resnet_tui.printing.queue_table import print_comparisons, print_queue

    queue = Queue(runs_dir)
    entries = queue.entries()
    for number in numbers or []:
        find(entries, number, runs_dir)
    if not entries:
        list_(runs_dir)
        return
    worker = work_off(queue, device, lambda: numbers or None, again=hint(runs_dir, "queue", "run"))
    standings = _standings(runs_dir)
    worked = [one for one in standings if one.entry is not None and one.entry.number in worker.tried]
    if worked:
        print()
        print_queue(worked)
        print_comparisons(standings, worker.tried, runs_dir)
    _tell_of_others(standings, worker.device, runs_dir, worked=bool(worked))
    raise typer.Exit(exit_status(worked))


def exit_status(standings: Sequence[Standing]) -> int:
    """Return the status that says how runs ended: 1 where one failed, 3 where one diverged, else 0."""
    from engine.host import EXIT_DIVERGED, EXIT_FAILED, EXIT_OK

    states = {standing.state for standing in standings}
    return EXIT_FAILED if "failed" in states else EXIT_DIVERGED if "diverged" in states else EXIT_OK


def _wanted(wanted: str, flags: Flags, runs: Path) -> tuple[str, dict[str, RunConfig]]:
    """Return the group that a person asked for, if it is one, and the configuration of each preset."""
    from engine import presets
    from engine.config_file import nearest
    from engine.errors import ConfigError
    from engine.text import one_line

    if (group := presets.group(wanted)) is not None:
        return group.name, {preset: new_config(preset, flags, runs) for preset in group.presets}
    try:
        presets.locate(wanted)
    except ConfigError:
        meant = nearest(wanted, [*presets.names(), *presets.group_names()])
        raise ConfigError(
            f"{one_line(wanted)!r}: no such preset, group or file{meant} (resnet-tui presets lists all; or give the "
            "path of a .toml file)"
        ) from None
    return "", {wanted: new_config(wanted, flags, runs)}


def _refuse_running(queue: Queue, numbers: Sequence[int]) -> None:
    """Look whether runs may be taken out or moved, before the queue is locked: it reads their logs."""
    from engine.errors import UserError
    from engine.queue.file import find
    from engine.queue.standing import stands

    entries = queue.entries()
    for number in numbers:
        if stands(queue.runs, find(entries, number, queue.runs)).state == "running":
            raise UserError(f"number {number} is being trained; stop it first (Ctrl-C where its queue runs)")


def _standings(runs: Path) -> list[Standing]:
    from engine.queue.file import Queue
    from engine.queue.standing import stands

    return [stands(runs, entry) for entry in Queue(runs).entries()]


def _tell_of_others(standings: Sequence[Standing], device: str, runs: Path, *, worked: bool) -> None:
    """Say why nothing was done, or what could not be done here."""
    from engine.queue.device import fits
    from engine.queue.hint import hint

    waiting = [one for one in standings if one.state in {"waiting", "interrupted"}]
    elsewhere = {one.config.train.device for one in waiting if not fits(one.config, device)}
    for name in sorted(elsewhere):
        print(f"there are runs that wait for another device: {hint(runs, 'queue', 'run', '--device', name)}")
    if not worked and not elsewhere:
        shows, adds = hint(runs, "queue"), hint(runs, "queue", "add", "PRESET")
        print(f"nothing waits; {shows} shows what is in the queue, {adds} adds a run")
