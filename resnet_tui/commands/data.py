"""``resnet-tui data``: where the datasets are, and getting and checking them."""

from __future__ import annotations

import dataclasses
import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from engine.config import DataConfig
    from engine.data.entry import Entry
    from engine.data.verify import Verdict

_MOST_CLASSES = 20
"""More than these are summed up, not listed."""

Folder = Annotated[Path | None, typer.Option("--data-dir", help="Where the data lies. [default: the cache folder]")]
Name = Annotated[str, typer.Argument(help="digits, iris, cifar10, cifar100, imagefolder, synthetic.")]
Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]

app = typer.Typer(help="The datasets: where each is, whether it is complete.", invoke_without_command=True)


@app.callback()
def list_datasets(context: typer.Context, data_dir: Folder = None, json: Json = False) -> None:
    """List the datasets: where each is, whether it is complete, what to do."""
    if context.invoked_subcommand is not None:
        return
    from engine.data.sources import catalogue

    entries = catalogue(data_dir)
    if json:
        print(json_module.dumps([dataclasses.asdict(entry) for entry in entries], indent=2))
    else:
        _print_entries(entries)


@app.command()
def download(name: Annotated[str, typer.Argument(help="cifar10 or cifar100.")], data_dir: Folder = None) -> None:
    """Get a dataset that is not there, unpack it, and check it."""
    from engine.config_file import nearest
    from engine.data import cifar
    from engine.data.published import SPECS
    from engine.errors import UserError
    from engine.text import one_line

    spec = SPECS.get(name)
    if spec is None:
        raise UserError(
            f"NAME = {one_line(name)!r}: there is nothing to download; allowed: {', '.join(SPECS)}"
            f"{nearest(name, SPECS)}"
        )
    from resnet_tui.printing.progress import shown

    root = shown(cifar.make_ready(spec, _config(name, data_dir).dir))
    shown(cifar.verify_batches(spec, root))
    print(root / spec.batches)


@app.command()
def verify(name: Name, data_dir: Folder = None, json: Json = False) -> None:
    """Check every byte: published checksums, or every image decoded."""
    from engine.data.verify import verify as verify_dataset
    from engine.errors import UserError

    config = _config(name, data_dir)
    if config.dataset == "imagefolder" and config.dir is None:
        raise UserError("imagefolder: which folder? Give the one with train/ and test/ (or val/): --data-dir FOLDER")
    from resnet_tui.printing.progress import shown

    verdict = shown(verify_dataset(config))
    if json:
        print(json_module.dumps({"name": name, **dataclasses.asdict(verdict)}, indent=2))
    else:
        _print_verdict(name, verdict)


def _config(name: str, data_dir: Path | None) -> DataConfig:
    """Check ``name`` as a configuration's ``data.dataset`` is checked."""
    from engine.config import DataConfig
    from engine.config_file import build_config

    # Without data.dir, which imagefolder's configuration asks for: here the command says which folder it needs.
    folder = data_dir if data_dir is not None else Path()
    flags: dict[str, tuple[str, Any]] = {"data.dataset": ("NAME", name), "data.dir": ("--data-dir", folder)}
    dataset = build_config({}, flags).data.dataset
    return DataConfig(dataset=dataset, dir=data_dir)


def _print_entries(entries: list[Entry]) -> None:
    from rich.table import Table
    from rich.text import Text

    from resnet_tui.printing.console import on_stdout

    styles = {"absent": "dim", "incomplete": "red", "not usable": "red", "archive only": "yellow"}
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("dataset", "state"):
        table.add_column(heading, no_wrap=True)
    for heading in ("classes", "train", "test"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("where", overflow="fold")
    for entry in entries:
        sizes = [Text("–" if n is None else f"{n:,}") for n in (entry.classes, entry.train, entry.test)]
        state = Text(entry.state, styles.get(entry.state, "green"))
        table.add_row(Text(entry.name), state, *sizes, Text(entry.where))
    console = on_stdout()
    console.print(table)
    console.print()
    for entry in entries:
        if entry.todo:
            # Not wrapped, so that a command can be copied.
            console.print(Text(f"{entry.name}: {entry.todo}"), soft_wrap=True)


def _print_verdict(name: str, verdict: Verdict) -> None:
    from rich.table import Table
    from rich.text import Text

    from resnet_tui.printing.console import on_stdout

    console = on_stdout()
    console.print(Text(f"{name}: in order ({verdict.checked})"))
    table = Table(box=None, header_style="bold", pad_edge=False, show_footer=True)
    table.add_column("class", "total")
    table.add_column("train", f"{sum(verdict.train):,}", justify="right")
    table.add_column("test", f"{sum(verdict.test):,}", justify="right")
    rows = list(zip(verdict.classes, verdict.train, verdict.test, strict=True))
    for label, train, test in rows[:_MOST_CLASSES]:
        table.add_row(Text(label), f"{train:,}", f"{test:,}")
    if len(rows) > _MOST_CLASSES:
        table.add_row(f"… and {len(rows) - _MOST_CLASSES} more", "", "")
    console.print(table)
