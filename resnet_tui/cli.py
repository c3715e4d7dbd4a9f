"""The command line: what commands there are."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from engine.text import one_line
from resnet_tui.commands import (
    compare,
    data,
    doctor,
    evaluate,
    export,
    lr_find,
    presets,
    queue,
    report,
    reproduce,
    runs,
    serve,
    shapes,
    sweep,
    train,
    watch,
)
from resnet_tui.commands.options import Ascii
from resnet_tui.commands.train import RunsDir
from resnet_tui.session import has_terminal, open_dashboard

_USAGE_ERROR: Any = typer.BadParameter.__bases__[0]
"""The base of all errors about arguments, which typer keeps to itself."""


class Commands(TyperGroup):
    """Says what is wrong with the arguments in characters that a terminal shows."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Take the arguments apart."""
        with _plain():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        with _plain():
            return super().invoke(ctx)


@contextlib.contextmanager
def _plain() -> Iterator[None]:
    """Clean what an error quotes of the arguments: they can be names of files, which anyone may have chosen."""
    try:
        yield
    except _USAGE_ERROR as error:
        error.message = one_line(error.message)
        raise


app = typer.Typer(
    name="resnet-tui",
    cls=Commands,
    help="Train residual networks in a terminal and watch what happens inside them.",
    epilog="Without a command, the dashboard opens: set up a run, train it, look inside.",
    invoke_without_command=True,
    rich_markup_mode=None,  # plain help: a rich one takes twice as long to appear
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(train.train)
app.command(name="eval")(evaluate.evaluate)
app.command()(export.export)
app.command()(lr_find.lr_find)
app.command()(shapes.shapes)
app.command()(presets.presets)
app.add_typer(data.app, name="data")
app.command()(runs.runs)
app.command()(compare.compare)
app.command()(report.report)
app.add_typer(queue.app, name="queue")
app.command()(reproduce.reproduce)
app.command()(sweep.sweep)
app.command()(watch.watch)
app.command()(watch.replay)
app.command()(serve.serve)
app.command()(doctor.doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"resnet-tui {version('resnet-tui')}")
        raise typer.Exit


@app.callback()
def _session(
    context: typer.Context,
    runs_dir: RunsDir = Path("runs"),
    ascii_only: Ascii = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand is not None:
        # What was given before the command holds for it, too: it looks here for what it is not given itself.
        os.environ |= {"RESNET_TUI_RUNS": str(runs_dir), "RESNET_TUI_ASCII": str(int(ascii_only))}
        return
    if not has_terminal():
        typer.echo(context.get_help())
        raise typer.Exit(2)
    raise typer.Exit(open_dashboard(runs_dir, None, ascii_only=ascii_only))
