"""``resnet-tui presets``: what presets there are, and what one says."""

from __future__ import annotations

import json as json_module
from typing import Annotated

import typer


def presets(
    name: Annotated[str | None, typer.Argument(help="Print this preset's file.", metavar="NAME")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List the presets, or print one to copy and change."""
    from engine import presets as files

    if name is not None:
        path = files.locate(name)
        if json:
            from engine.config_file import build_config

            tree, source = files.load(name)
            print(build_config(tree, {}, source).model_dump_json(indent=2))
        else:
            print(path.read_text(encoding="utf-8"), end="")
        return
    first_lines = {known: files.description(files.locate(known)).partition("\n")[0] for known in files.names()}
    if json:
        print(json_module.dumps(first_lines, indent=2, ensure_ascii=False))
        return
    _print_list(first_lines)


def _print_list(first_lines: dict[str, str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("preset", no_wrap=True)
    table.add_column("what it is", overflow="fold")
    for name, line in first_lines.items():
        table.add_row(Text(name, "bold"), Text(line))
    console = Console()
    console.print(table)
    hint = "resnet-tui presets NAME prints one; resnet-tui train --headless --preset NAME trains it."
    console.print(Text(f"\n{hint}", "dim"))
