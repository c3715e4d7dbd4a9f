"""``resnet-tui reproduce``: several seeds of a preset, and whether they reach what is published."""

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
from resnet_tui.commands.train import RunsDir, new_config
from resnet_tui.commands.working import finish

if TYPE_CHECKING:
    from engine.config import RunConfig
    from engine.reproduction import Seeds

MOST_SEEDS = 100


def reproduce(
    preset: Annotated[str, typer.Argument(help="A preset's name or a .toml file.", metavar="PRESET")],
    seeds: Annotated[int, typer.Option("--seeds", help="How many: 1 to N are trained.", metavar="N")] = 3,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    lr: LearningRate = None,
    depth: Depth = None,
    dataset: Dataset = None,
    data_dir: DataDir = None,
    device: Device = None,
    assignments: Assignments = None,
    target: Annotated[
        float | None,
        typer.Option(
            "--target", help="Test accuracy to reach (0.92 for 92 %). [default: the published one]", metavar="ACC"
        ),
    ] = None,
    runs_dir: RunsDir = Path("runs"),
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON; the runs go to stderr.")] = False,
) -> None:
    """Train several seeds of a preset and say whether their mean reaches the published figure.

    Runs go through the queue, one after another. Seeds that are done in this folder of runs, with this very
    configuration, are not run again; interrupted ones are gone on with. So the same command goes on where it was
    stopped, and with more --seeds adds to what is there.

    Other settings than the flags below are given with --set, such as --set optim.weight_decay=1e-4.

    What is judged is the test accuracy after the last epoch. It misses where the upper end of the 95 % confidence
    interval of the mean (Student's t; of one seed, its value) is below the target.

    Exit status: 0 not missed, or there is no target; 1 a seed failed or is not done; 2 wrong usage; 3 a seed
    diverged; 4 missed; 128+n ended by signal n.
    """
    from engine.queue.campaign import Campaign
    from engine.queue.file import Queue
    from engine.queue.possible import check
    from engine.reproduction import Seeds, Target

    check_seeds(seeds)
    goal = Target(_accuracy(target), "--target") if target is not None else None
    flags = run_flags(
        epochs=epochs, batch_size=batch_size, lr=lr, depth=depth, dataset=dataset, data_dir=data_dir, device=device
    )
    configs = seeded(preset, flags | assigned(assignments), seeds, runs_dir)
    check(configs[:1])
    campaign = Campaign(Queue(runs_dir), f"reproduce {configs[0].name}", configs, preset)
    result = Seeds(tuple(finish(campaign, quiet=json)), goal)
    _print(result, preset, as_json=json)
    raise typer.Exit(_status(result))


def check_seeds(seeds: int) -> None:
    """Refuse a number of seeds that cannot be.

    Raises:
        UserError: it is below 1, or more than anybody means.
    """
    from engine.errors import UserError

    if not 1 <= seeds <= MOST_SEEDS:
        raise UserError(f"--seeds {seeds}: allowed: 1 to {MOST_SEEDS}")


def seeded(preset: str, flags: Flags, seeds: int, runs: Path) -> tuple[RunConfig, ...]:
    """Return the configuration of each seed from 1 to ``seeds``.

    Raises:
        UserError: a flag or the preset is wrong, or a flag chooses the seed.
    """
    from engine.errors import UserError

    if "train.seed" in flags:
        raise UserError(f"{flags['train.seed'][0]}: seeds are counted from 1; say with --seeds how many")
    one = new_config(preset, flags, runs)
    return tuple(
        one.model_copy(update={"train": one.train.model_copy(update={"seed": seed})}) for seed in range(1, seeds + 1)
    )


def _accuracy(given: float) -> float:
    from engine.errors import UserError

    if not 0 < given <= 1:
        raise UserError(f"--target {given:g}: allowed: a fraction above 0 and up to 1, such as 0.92 for 92 %")
    return given


def _print(result: Seeds, preset: str, *, as_json: bool) -> None:
    from resnet_tui.printing.reproduction import print_seeds, seeds_json

    notes = list(result.notes(_own_epochs(preset)))
    if as_json:
        print(json_module.dumps(seeds_json(result, notes), indent=2, allow_nan=False))
    else:
        print_seeds(result, notes)


def _own_epochs(preset: str) -> int:
    from engine import presets
    from engine.config_file import build_config

    tree, file = presets.load(preset)
    return build_config(tree, {}, file).train.epochs


def _status(result: Seeds) -> int:
    if not result.complete:
        return exit_status(result.runs) or 1
    from engine.host import EXIT_MISSED

    return EXIT_MISSED if result.verdict is not None and result.verdict.finding == "missed" else 0
