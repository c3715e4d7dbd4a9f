"""``resnet-tui train``: flags, preset and defaults become a run, which trains in the foreground."""

from __future__ import annotations

import sys
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
    Epochs,
    Flags,
    Seed,
    Shortcut,
    StemOption,
    Width,
    model_flags,
    run_flags,
)
from resnet_tui.commands.processes import Gpus, process_flags
from resnet_tui.session import has_terminal, open_dashboard

if TYPE_CHECKING:
    from engine.config import RunConfig
    from engine.run_dir import RunDir
    from engine.sinks import Sink

DEFAULT_PRESET = "quickstart"
_RESUME_KEYS = {
    "train.epochs",
    "train.device",
    "train.processes",
    "train.target_accuracy",
    "data.dir",
    "telemetry.tensorboard",
}
RunsDir = Annotated[Path, typer.Option("--runs-dir", envvar="RESNET_TUI_RUNS", help="Folder that holds the runs.")]


def train(
    preset: Annotated[str | None, typer.Option(help="A preset's name or a .toml file. [default: quickstart]")] = None,
    headless: Annotated[bool, typer.Option("--headless", help="Train without the dashboard.")] = False,
    arch: Arch = None,
    depth: Depth = None,
    shortcut: Shortcut = None,
    block: Block = None,
    stem: StemOption = None,
    width: Width = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="Begin with these: a run, a file, or a name such as torchvision:resnet34. The network is "
            "theirs, too, unless a preset or a flag names one.",
            metavar="SOURCE",
        ),
    ] = None,
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Let --weights lack tensors or have too many; each is named.")
    ] = False,
    dataset: Dataset = None,
    data_dir: DataDir = None,
    device: Device = None,
    gpus: Gpus = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    lr: Annotated[str | None, typer.Option(help="Peak learning rate.", metavar="FLOAT")] = None,
    seed: Seed = None,
    target_accuracy: Annotated[
        str | None,
        typer.Option(help="Stop at this accuracy (0.95 for 95 %; 0: none); exit 4 if missed.", metavar="FLOAT"),
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write an event file for TensorBoard, too, below the run's folder.")
    ] = False,
    assignments: Assignments = None,
    resume: Annotated[
        str | None, typer.Option(help="Go on with a run: its folder, its name, or last.", metavar="RUN")
    ] = None,
    runs_dir: RunsDir = Path("runs"),
    json: Annotated[bool, typer.Option("--json", help="Print the events, one a line; headless.")] = False,
    ascii_only: Ascii = False,
) -> None:
    """Train a network and record everything it does.

    In the dashboard, or with --headless, and where there is no terminal, as lines of text.

    Flags win over the preset, which wins over the defaults. `resnet-tui presets NAME` prints a preset.
    Beside --resume stand only --epochs, --device, --gpus, --set train.processes=N, --data-dir, --target-accuracy and
    --tensorboard.

    Several GPUs of one machine: --gpus. Several processes on its CPU: --device cpu --set train.processes=2. Several
    machines: torchrun with `-m resnet_tui train --headless`.

    Exit status: 0 success; 1 failure; 2 wrong usage or configuration; 3 diverged; 4 target missed;
    128+n ended by signal n, with a checkpoint saved.
    """
    from engine.data import sources
    from engine.parallel.ranks import this_rank
    from engine.resume import config_to_resume

    if (rank := this_rank()) is not None and rank.number > 0:
        from engine.host import follow

        raise typer.Exit(follow(rank))
    flags = run_flags(
        weights=weights,
        allow_partial=allow_partial or None,
        dataset=dataset,
        data_dir=data_dir,
        device=device,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        seed=seed,
        target_accuracy=target_accuracy,
        tensorboard=tensorboard or None,
    )
    flags |= model_flags(arch, depth, shortcut, block, stem, width, assignments)
    flags |= process_flags(gpus, flags, rank)
    run = _run_to_resume(resume, runs_dir, preset, flags) if resume is not None else None
    config = config_to_resume(run, flags) if run is not None else new_config(preset, flags, runs_dir)
    sources.check(config.data)
    if headless or json or rank is not None or not has_terminal():
        raise typer.Exit(_train(config, runs_dir, run, as_json=json))
    from resnet_tui.run.source import NewRun

    raise typer.Exit(open_dashboard(runs_dir, NewRun(config, run), ascii_only=ascii_only))


def new_config(preset: str | None, flags: Flags, runs: Path) -> RunConfig:
    """Return what a new run trains: flags over the preset over the defaults.

    Args:
        preset: its name or file; None: ``DEFAULT_PRESET``.
        flags: what a person gave.
        runs: the folder of runs, where weights may be.

    Raises:
        UserError: the preset, a flag or the weights are wrong.
    """
    from engine import presets
    from engine.config_file import build_config
    from engine.errors import UserError
    from engine.new_run import as_new

    if "weights.source" in flags and flags["weights.source"][1] == "":
        raise UserError(f"{flags['weights.source'][0]} is empty: give a run, a file, or a published name")
    tree, file = presets.load(DEFAULT_PRESET if preset is None else preset)
    names_network = any(key.startswith("model.") for key in flags)
    if "weights.source" in flags and preset is None and not names_network:
        tree["model"] = _network_of(str(flags["weights.source"][1]), runs)
        names_network = True
    config = build_config(tree, flags, file)
    return as_new(config, {*flags, *(["model.arch"] if names_network else [])}, runs)


def _network_of(source: str, runs: Path) -> dict[str, Any]:
    """Return the network that weights belong to, for a run that names none itself."""
    from engine.weights import load_weights
    from resnet_tui.printing.progress import shown

    return shown(load_weights(source, runs)).model.model_dump(mode="json")


def _run_to_resume(resume: str, runs_dir: Path, preset: str | None, flags: Flags) -> RunDir:
    from engine import run_dir
    from engine.errors import UserError

    refused = [flag for key, (flag, _) in flags.items() if key not in _RESUME_KEYS]
    if preset is not None:
        refused.append("--preset")
    if refused:
        raise UserError(
            f"--resume goes on with the run's own configuration, so {', '.join(refused)} cannot be given; "
            "allowed beside it: --epochs, --device, --gpus, --set train.processes=N, --data-dir, --target-accuracy, "
            "--tensorboard; without --resume a new run starts"
        )
    return run_dir.find(runs_dir, resume)


def _train(config: RunConfig, runs: Path, run: RunDir | None, *, as_json: bool) -> int:
    """Train in this process and return the exit status."""
    if as_json:
        from engine.host import run_in_foreground
        from engine.sinks.json_lines import JsonLinesSink

        sinks: list[Sink] = [JsonLinesSink(sys.stdout.buffer)] if sys.stdout is not None else []  # None: closed
        return run_in_foreground(config, runs=runs, resume=run, sinks=sinks)

    from engine.headless import train_on_console

    return train_on_console(config, runs=runs, resume=run)
