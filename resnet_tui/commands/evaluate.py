"""``resnet-tui eval``: loss, accuracy, accuracy a class and confusion matrix of the weights that a run kept."""

from __future__ import annotations

import json as json_module
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from resnet_tui.commands.train import RunsDir

if TYPE_CHECKING:
    from collections.abc import Generator

    from rich.table import Table

    from engine.events import Evaluated, Progress

_WIDEST_CONFUSION = 20
_CONFUSED_PAIRS = 10


def evaluate(
    run: Annotated[str, typer.Argument(help="A run: its folder, its name, or last.", metavar="RUN")],
    checkpoint: Annotated[str, typer.Option(help="best or last.")] = "best",
    split: Annotated[str, typer.Option(help="test or val.")] = "test",
    data_dir: Annotated[Path | None, typer.Option(help="Where the dataset lies, if it has moved.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, mps, cuda, cuda:0, …")] = None,
    runs_dir: RunsDir = Path("runs"),
    json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
) -> None:
    """Evaluate the weights that a run kept."""
    from engine import run_dir
    from engine.config_file import build_config, read_toml
    from engine.errors import UserError

    if checkpoint not in {"best", "last"}:
        raise UserError(f"--checkpoint {checkpoint!r}: allowed: best, last")
    if split not in {"test", "val"}:
        raise UserError(f"--split {split!r}: allowed: test, val")
    found = run_dir.find(runs_dir, run)
    flags: dict[str, tuple[str, Any]] = {}
    if data_dir is not None:
        flags["data.dir"] = ("--data-dir", data_dir)
    if device is not None:
        flags["train.device"] = ("--device", device)
    config = build_config(read_toml(found.config_file), flags, str(found.config_file))

    from engine import data
    from engine.evaluate_run import evaluate_run

    data.check(config.data)
    evaluating = evaluate_run(
        found, config, "best" if checkpoint == "best" else "last", "val" if split == "val" else "test"
    )
    scores, classes = _shown(evaluating)
    if json:
        print(json_module.dumps(_as_json(scores, classes, found.name, checkpoint)))
    else:
        _print(scores, classes, f"{found.name}, {checkpoint} checkpoint (epoch {scores.epoch})")


def _shown(
    evaluating: Generator[Progress, None, tuple[Evaluated, tuple[str, ...]]],
) -> tuple[Evaluated, tuple[str, ...]]:
    """Evaluate, with a bar of progress on standard error where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=None)
        while True:
            try:
                event = next(evaluating)
            except StopIteration as end:
                result: tuple[Evaluated, tuple[str, ...]] = end.value
                return result
            bar.update(task, description=event.activity, completed=event.done, total=event.total or None)


def _as_json(scores: Evaluated, classes: tuple[str, ...], run: str, checkpoint: str) -> dict[str, Any]:
    return {
        "run": run,
        "checkpoint": checkpoint,
        "split": scores.split,
        "epoch": scores.epoch,
        "images": scores.images,
        "loss": scores.loss if math.isfinite(scores.loss) else None,
        "accuracy": scores.accuracy,
        "top5": scores.top5,
        "per_class": {
            name: value if math.isfinite(value) else None
            for name, value in zip(classes, scores.per_class, strict=True)
        },
        "confusion": scores.confusion,
    }


def _print(scores: Evaluated, classes: tuple[str, ...], title: str) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console()
    top5 = "" if scores.top5 is None else f", top-5 accuracy {scores.top5:.2%}"
    console.print(Text(title, "bold"))
    console.print(
        Text(
            f"{scores.split}: loss {scores.loss:.4f}, accuracy {scores.accuracy:.2%}{top5}, "
            f"{scores.images:,} images in {scores.seconds:.1f} s"
        )
    )
    console.print(_class_table(scores, classes))
    if len(classes) <= _WIDEST_CONFUSION:
        console.print(_confusion_table(scores, classes))
    console.print(_confused_table(scores, classes))


def _class_table(scores: Evaluated, classes: tuple[str, ...]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title="accuracy a class", title_justify="left", box=None)
    table.add_column("class")
    table.add_column("accuracy", justify="right")
    table.add_column("right of", justify="right")
    for index, (name, accuracy) in enumerate(zip(classes, scores.per_class, strict=True)):
        row = scores.confusion[index]
        shown = f"{accuracy:.2%}" if math.isfinite(accuracy) else "-"
        table.add_row(Text(name), shown, f"{row[index]:,} of {sum(row):,}")
    return table


def _confusion_table(scores: Evaluated, classes: tuple[str, ...]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title="confusion (rows: true class, columns: predicted)", title_justify="left", box=None)
    table.add_column("")
    short = [name[:5] for name in classes]
    if len(set(short)) < len(short):
        short = [str(index + 1) for index in range(len(classes))]  # in the order of the rows
    for name in short:
        table.add_column(Text(name), justify="right", no_wrap=True)
    for index, (name, row) in enumerate(zip(classes, scores.confusion, strict=True)):
        cells = [Text(str(count), "bold green" if i == index else "") for i, count in enumerate(row)]
        table.add_row(Text(name), *cells)
    return table


def _confused_table(scores: Evaluated, classes: tuple[str, ...]) -> Table:
    from rich.table import Table
    from rich.text import Text

    pairs = sorted(
        (
            (count, classes[true], classes[predicted])
            for true, row in enumerate(scores.confusion)
            for predicted, count in enumerate(row)
            if true != predicted and count
        ),
        reverse=True,
    )
    table = Table(title="most confused", title_justify="left", box=None)
    table.add_column("true")
    table.add_column("predicted")
    table.add_column("images", justify="right")
    for count, true, predicted in pairs[:_CONFUSED_PAIRS]:
        table.add_row(Text(true), Text(predicted), str(count))
    return table
