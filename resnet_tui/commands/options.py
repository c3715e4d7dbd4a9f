"""Flags that several commands take, and what they set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

Dataset = Annotated[
    str | None, typer.Option("--dataset", help="digits, iris, cifar10, cifar100, imagefolder, synthetic.")
]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Where the dataset lies.")]
Device = Annotated[str | None, typer.Option("--device", help="auto, cpu, mps, cuda, cuda:0, …")]
Epochs = Annotated[
    str | None, typer.Option("--epochs", help="Epochs; the schedule scales with them.", metavar="INTEGER")
]
BatchSize = Annotated[str | None, typer.Option("--batch-size", help="Images a step.", metavar="INTEGER")]
LearningRate = Annotated[str | None, typer.Option("--lr", help="Peak learning rate.", metavar="FLOAT")]
Seed = Annotated[str | None, typer.Option("--seed", help="Seed of all randomness.", metavar="INTEGER")]
Arch = Annotated[
    str | None, typer.Option("--arch", help="resnet, highway, densenet, inception-resnet, residual-mlp.")
]
Depth = Annotated[str | None, typer.Option("--depth", help="Number of layers.", metavar="INTEGER")]
Shortcut = Annotated[
    str | None, typer.Option("--shortcut", help="A, B, C, or none for a plain network.", metavar="KIND")
]
Block = Annotated[str | None, typer.Option("--block", help="basic or bottleneck.", metavar="KIND")]
StemOption = Annotated[
    str | None,
    typer.Option("--stem", help="cifar (3x3), stride2 (3x3, stride 2), imagenet (7x7 and pooling).", metavar="KIND"),
]
Width = Annotated[str | None, typer.Option("--width", help="Multiplies the channels.", metavar="FLOAT")]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Any setting: section.key=value; wins over other options. May be repeated.", metavar="KEY=VALUE"
    ),
]
Ascii = Annotated[bool, typer.Option("--ascii", envvar="RESNET_TUI_ASCII", help="Draw with ASCII only.")]
Flags = dict[str, tuple[str, Any]]
"""Dotted key to (the flag as the person wrote it, value)."""


_SETTINGS = {
    "weights": "weights.source",
    "allow_partial": "weights.allow_partial",
    "dataset": "data.dataset",
    "data_dir": "data.dir",
    "depth": "model.depth",
    "device": "train.device",
    "epochs": "train.epochs",
    "batch_size": "train.batch_size",
    "lr": "optim.lr",
    "seed": "train.seed",
    "target_accuracy": "train.target_accuracy",
    "tensorboard": "telemetry.tensorboard",
}
"""What flags of a run set, by their names in Python."""


def run_flags(**given: object) -> Flags:
    """Return what flags set; those that are None were not given."""
    return {
        _SETTINGS[name]: (f"--{name.replace('_', '-')}", value) for name, value in given.items() if value is not None
    }


def model_flags(
    arch: str | None,
    depth: str | None,
    shortcut: str | None,
    block: str | None,
    stem: str | None,
    width: str | None,
    assignments: list[str] | None,
) -> Flags:
    """Return what the flags set; ``--set`` wins over the others.

    Raises:
        ConfigError: an assignment is not ``section.key=value``.
    """
    given = {"arch": arch, "depth": depth, "shortcut": shortcut, "block": block, "stem": stem, "width": width}
    flags: Flags = {f"model.{key}": (f"--{key}", value) for key, value in given.items() if value is not None}
    return flags | assigned(assignments)


def assigned(assignments: list[str] | None) -> Flags:
    """Return what ``--set`` sets.

    Raises:
        ConfigError: an assignment is not ``section.key=value``.
    """
    from engine.config_file import parse_assignment

    flags: Flags = {}
    for assignment in assignments or []:
        key, value = parse_assignment(assignment)
        flags[key] = (f"--set {assignment}", value)
    return flags
