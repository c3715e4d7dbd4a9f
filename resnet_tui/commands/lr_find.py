"""``resnet-tui lr-find``: the learning-rate range test, with its curve and what it suggests."""

from __future__ import annotations

import json as json_module
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from resnet_tui.commands.options import (
    Arch,
    Ascii,
    Assignments,
    BatchSize,
    Block,
    DataDir,
    Dataset,
    Depth,
    Device,
    Seed,
    Shortcut,
    StemOption,
    Width,
    model_flags,
    run_flags,
)
from resnet_tui.commands.train import RunsDir, new_config

if TYPE_CHECKING:
    from collections.abc import Generator

    from engine.config import RunConfig
    from engine.events import Progress
    from engine.lr_range import RangeTest, Reading

_INTERRUPTED = 130


def lr_find(
    preset: Annotated[str | None, typer.Option(help="A preset's name or a .toml file. [default: quickstart]")] = None,
    arch: Arch = None,
    depth: Depth = None,
    shortcut: Shortcut = None,
    block: Block = None,
    stem: StemOption = None,
    width: Width = None,
    weights: Annotated[
        str | None, typer.Option(help="Begin with these, as train does, not with a fresh network.", metavar="SOURCE")
    ] = None,
    dataset: Dataset = None,
    data_dir: DataDir = None,
    device: Device = None,
    batch_size: BatchSize = None,
    seed: Seed = None,
    assignments: Assignments = None,
    steps: Annotated[int, typer.Option(help="Batches to train, at most.")] = 100,
    low: Annotated[float, typer.Option("--from", help="The first learning rate.")] = 1e-6,
    high: Annotated[float, typer.Option("--to", help="The last one.")] = 10.0,
    runs_dir: RunsDir = Path("runs"),
    json: Annotated[bool, typer.Option("--json", help="Print rates, losses and suggestion as JSON.")] = False,
    ascii_only: Ascii = False,
) -> None:
    """Find a learning rate: train for some batches while it rises, and see where the loss falls and explodes.

    The range test of Smith (2015). Network, data, batch and optimiser are those that `train` would have with the same
    flags; no run is made. The test ends where the smoothed loss is 1 above where it began. Ctrl-C ends it early and
    shows what is known by then.
    """
    from engine.lr_range import RangeTest

    test = RangeTest(low, high, steps)
    flags = run_flags(
        weights=weights, dataset=dataset, data_dir=data_dir, device=device, batch_size=batch_size, seed=seed
    )
    flags |= model_flags(arch, depth, shortcut, block, stem, width, assignments)
    config = new_config(preset, flags, runs_dir)

    from resnet_tui.printing.progress import shown

    readings: list[Reading] = []
    interrupted = False
    try:
        shown(_readings(config, test, runs_dir, readings))
    except KeyboardInterrupt:
        if not readings:
            raise
        interrupted = True
    if json:
        print(json_module.dumps(_as_json(config, test, readings, interrupted=interrupted), allow_nan=False))
    else:
        from resnet_tui.printing.lr_curve import print_curve

        print_curve(config, test, readings, interrupted=interrupted, ascii_only=ascii_only)
    if interrupted:
        raise typer.Exit(_INTERRUPTED)
    from engine.errors import WorldError
    from engine.lr_range import suggest

    if suggest(readings, test) is None:
        raise WorldError(
            "the loss did not fall, so there is nothing to suggest: try other rates with --from and --to, or more "
            "batches with --steps"
        )


def _readings(
    config: RunConfig, test: RangeTest, runs: Path, readings: list[Reading]
) -> Generator[Progress, None, None]:
    """Make everything ready and train, adding to ``readings``."""
    from engine.events import Progress
    from engine.lr_find import load_and_find_lr

    for told in load_and_find_lr(config, test, runs):
        if isinstance(told, Progress):
            yield told
        else:
            readings.append(told)
            yield Progress(activity=f"rate {told.lr:.2g}", done=len(readings), total=test.steps, unit="batches")


def _as_json(config: RunConfig, test: RangeTest, readings: list[Reading], *, interrupted: bool) -> dict[str, Any]:
    from dataclasses import asdict

    from engine.lr_range import smoothed, suggest

    found = suggest(readings, test)
    return {
        "preset": config.name,
        "config": config.model_dump(mode="json"),
        "test": asdict(test),
        "interrupted": interrupted,
        "exploded": not interrupted and len(readings) < test.steps,
        "suggestion": found and asdict(found) | {"tenth": found.tenth, "lr": found.lr(config.schedule)},
        "lr": [reading.lr for reading in readings],
        "loss": [_finite(reading.loss) for reading in readings],
        "smoothed": [_finite(loss) for loss in smoothed(readings, test)],
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
