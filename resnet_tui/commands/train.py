"""``resnet-tui train``: flags, preset and defaults become a run, which trains in the foreground."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from resnet_tui.commands.options import (
    Arch,
    Assignments,
    Block,
    Depth,
    Flags,
    Shortcut,
    StemOption,
    Width,
    model_flags,
)

if TYPE_CHECKING:
    from engine.config import RunConfig
    from engine.run_dir import RunDir
    from engine.sinks import Sink

DEFAULT_PRESET = "quickstart"
_RESUME_KEYS = {"train.epochs", "train.device", "train.target_accuracy", "data.dir"}
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
    dataset: Annotated[
        str | None, typer.Option(help="digits, iris, cifar10, cifar100, imagefolder, synthetic.")
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the dataset lies.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, mps, cuda, cuda:0, …")] = None,
    epochs: Annotated[
        str | None, typer.Option(help="Epochs; the schedule scales with them.", metavar="INTEGER")
    ] = None,
    batch_size: Annotated[str | None, typer.Option(help="Images a step.", metavar="INTEGER")] = None,
    lr: Annotated[str | None, typer.Option(help="Peak learning rate.", metavar="FLOAT")] = None,
    seed: Annotated[str | None, typer.Option(help="Seed of all randomness.", metavar="INTEGER")] = None,
    target_accuracy: Annotated[
        str | None,
        typer.Option(help="Stop at this accuracy (0.95 for 95 %); exit 4 if missed.", metavar="FLOAT"),
    ] = None,
    assignments: Assignments = None,
    resume: Annotated[
        str | None, typer.Option(help="Go on with a run: its folder, its name, or last.", metavar="RUN")
    ] = None,
    runs_dir: RunsDir = Path("runs"),
    json: Annotated[bool, typer.Option("--json", help="Print the events, one a line.")] = False,
) -> None:
    """Train a network and record everything it does.

    Flags win over the preset, which wins over the defaults. `resnet-tui presets NAME` prints a preset.
    Beside --resume stand only --epochs, --device, --data-dir and --target-accuracy.

    Exit status: 0 success; 1 failure; 2 wrong usage or configuration; 3 diverged; 4 target missed;
    128+n ended by signal n, with a checkpoint saved.
    """
    from engine import data

    flags: Flags = {
        key: (flag, value)
        for key, flag, value in (
            ("weights.source", "--weights", weights),
            ("weights.allow_partial", "--allow-partial", allow_partial or None),
            ("data.dataset", "--dataset", dataset),
            ("data.dir", "--data-dir", data_dir),
            ("train.device", "--device", device),
            ("train.epochs", "--epochs", epochs),
            ("train.batch_size", "--batch-size", batch_size),
            ("optim.lr", "--lr", lr),
            ("train.seed", "--seed", seed),
            ("train.target_accuracy", "--target-accuracy", target_accuracy),
        )
        if value is not None
    }
    flags |= model_flags(arch, depth, shortcut, block, stem, width, assignments)
    run = _run_to_resume(resume, runs_dir, preset, flags) if resume is not None else None
    config = _resumed_config(run, flags) if run is not None else _new_config(preset, flags, runs_dir)
    data.check(config.data)
    if not headless:
        print("note: this version has no dashboard yet; training as with --headless", file=sys.stderr)
    raise typer.Exit(_train(config, runs_dir, run, as_json=json))


def _new_config(preset: str | None, flags: Flags, runs: Path) -> RunConfig:
    from engine import presets
    from engine.config_file import build_config
    from engine.errors import UserError

    if "weights.source" in flags and flags["weights.source"][1] == "":
        raise UserError(f"{flags['weights.source'][0]} is empty: give a run, a file, or a published name")
    tree, file = presets.load(preset or DEFAULT_PRESET)
    names_network = any(key.startswith("model.") for key in flags)
    if "weights.source" in flags and preset is None and not names_network:
        tree["model"] = _network_of(str(flags["weights.source"][1]), runs)
        names_network = True
    config = build_config(tree, flags, file)
    if "name" not in flags and (names_network or "data.dataset" in flags):
        config = config.model_copy(update={"name": f"{config.model.slug}-{config.data.dataset}"})
    if config.weights.source:
        source = _absolute_source(config.weights.source, runs)
        config = config.model_copy(update={"weights": config.weights.model_copy(update={"source": source})})
    return config


def _network_of(source: str, runs: Path) -> dict[str, Any]:
    """Return the network that weights belong to, for a run that names none itself."""
    from engine.weights import load_weights
    from resnet_tui.progress import shown

    return shown(load_weights(source, runs)).model.model_dump(mode="json")


def _absolute_source(source: str, runs: Path) -> str:
    """Make a run or file absolute, so that the run's own configuration holds wherever and whenever it is read."""
    from engine import run_dir
    from engine.errors import UserError

    try:
        return str(run_dir.find(runs, source).path.absolute())
    except UserError:  # a published name, a file, or nothing; who loads it says so
        try:
            return str(Path(source).absolute()) if Path(source).exists() else source
        except OSError:
            return source


def _run_to_resume(resume: str, runs_dir: Path, preset: str | None, flags: Flags) -> RunDir:
    from engine import run_dir
    from engine.errors import UserError

    refused = [flag for key, (flag, _) in flags.items() if key not in _RESUME_KEYS]
    if preset is not None:
        refused.append("--preset")
    if refused:
        raise UserError(
            f"--resume goes on with the run's own configuration, so {', '.join(refused)} cannot be given; "
            "allowed beside it: --epochs, --device, --data-dir, --target-accuracy; without --resume a new run starts"
        )
    return run_dir.find(runs_dir, resume)


def _resumed_config(run: RunDir, flags: Flags) -> RunConfig:
    from engine.config_file import build_config, read_toml
    from engine.errors import UserError
    from engine.summary import read_summary

    config = build_config(read_toml(run.config_file), flags, str(run.config_file))
    done = read_summary(run.events)
    if "train.epochs" in flags and config.train.epochs < len(done.rows):
        raise UserError(
            f"--epochs {config.train.epochs}: the run has {len(done.rows)} finished epochs already; give more"
        )
    target, best = config.train.target_accuracy, done.best()
    if target and best is not None and (best.accuracy(done.choosing_split) or 0.0) >= target:
        raise UserError(
            f"run {run.name} has reached its target accuracy of {target:g}; train it further with a higher "
            "--target-accuracy, or with 0 for none"
        )
    if done.outcome == "completed" and config.train.epochs <= len(done.rows):
        raise UserError(
            f"run {run.name} is complete ({len(done.rows)} epochs); train it further with "
            f"--epochs {2 * len(done.rows)}, or start a new run without --resume"
        )
    return config


def _train(config: RunConfig, runs: Path, run: RunDir | None, *, as_json: bool) -> int:
    """Train in this process and return the exit status."""
    from engine.host import run_in_foreground

    if as_json:
        from engine.sinks.json_lines import JsonLinesSink

        sinks: list[Sink] = [JsonLinesSink(sys.stdout.buffer)]
        return run_in_foreground(config, runs=runs, resume=run, sinks=sinks)

    from rich.console import Console

    from engine.sinks.console import ConsoleSink
    from engine.summary import read_summary

    console = ConsoleSink(Console(), history=read_summary(run.events) if run is not None else None)
    return run_in_foreground(
        config,
        runs=runs,
        resume=run,
        sinks=[console],
        on_run_dir=lambda made: console.set_run(made.path),
    )
