"""``resnet-tui presets``: what presets and groups of them there are, and what one says."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from engine.presets import Group


@dataclass(frozen=True)
class Entry:
    """One preset in the list."""

    name: str
    description: str
    network: str
    dataset: str
    epochs: int
    own: bool
    """Saved by a person, not shipped with the project."""


def presets(
    name: Annotated[
        str | None, typer.Argument(help="Print this preset's file, or what is in this group.", metavar="NAME")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List the presets and groups of them, or print one to copy and change."""
    from engine import presets as files

    if name is not None and (group := files.group(name)) is not None:
        if json:
            print(json_module.dumps(asdict(group), indent=2))
        else:
            _print_group(group)
    elif name is not None:
        path = files.locate(name)
        if json:
            from engine.config_file import build_config

            tree, source = files.load(name)
            print(build_config(tree, {}, source).model_dump_json(indent=2, ensure_ascii=True))
        else:
            print(_text(path), end="")
    elif json:
        print(json_module.dumps({entry.name: asdict(entry) for entry in _entries()}, indent=2))
    else:
        _print_list(list(_entries()))


def _print_group(group: Group) -> None:
    print(f"{group.name}: {group.description}\n")
    for member in group.presets:
        print(f"  {member}")
    print(f"\nresnet-tui queue add {group.name} lets them wait; resnet-tui queue run trains them in turn.")


def _text(path: Path) -> str:
    """Return a preset's file as it may go to a terminal; its tabs stay.

    Raises:
        ConfigError: it cannot be read, or is not text.
    """
    from engine.errors import ConfigError
    from engine.regular import read_regular
    from engine.text import clean, one_line
    from engine.toml_file import MOST_BYTES

    try:
        text = read_regular(path, MOST_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{one_line(str(path))}: not UTF-8 text, at byte {error.start:,}") from error
    except OSError as error:
        raise ConfigError(f"{one_line(str(path))}: {one_line(error.strerror or str(error))}") from error
    return "\t".join(clean(part, len(part)) for part in text.split("\t"))


def _entries() -> Iterator[Entry]:
    from engine import presets as files
    from engine.errors import ConfigError

    own = set(files.user_names())
    for name in files.names():
        try:
            yield _entry(name, own=name in own)
        except ConfigError as error:
            if name not in own:
                raise
            for line in str(error).splitlines():  # a file that a person broke must not hide the others
                print(f"warning: {line}", file=sys.stderr)


def _entry(name: str, *, own: bool) -> Entry:
    from engine import presets as files
    from engine import words
    from engine.config_file import build_config
    from engine.text import one_line

    tree, source = files.load(name)
    config = build_config(tree, {}, source)
    return Entry(
        name=name,
        description=one_line(files.description(files.locate(name)).partition("\n")[0]),
        network=words.network(config),
        dataset=config.data.dataset,
        epochs=config.train.epochs,
        own=own,
    )


def _print_list(entries: list[Entry]) -> None:
    from rich.table import Table
    from rich.text import Text

    from engine import presets as files
    from resnet_tui.printing.console import on_stdout

    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("preset", no_wrap=True, min_width=max(len(entry.name) for entry in entries))
    table.add_column("epochs", no_wrap=True, min_width=6, justify="right")
    table.add_column("what it is", overflow="fold")
    for entry in entries:
        about = f"(yours) {entry.description or entry.network}" if entry.own else entry.description
        table.add_row(Text(entry.name, "bold"), Text(str(entry.epochs)), Text(about))
    console = on_stdout()
    console.print(table)
    for group in map(files.group, files.group_names()):
        if group is not None:
            console.print(Text(f"\ngroup {group.name}: {', '.join(group.presets)}"), soft_wrap=True)
    hint = (
        "resnet-tui presets NAME prints one; resnet-tui train --headless --preset NAME trains it; "
        "resnet-tui queue add NAME lets one, or a group, wait for its turn."
    )
    console.print(Text(f"\n{hint}", "dim"))
