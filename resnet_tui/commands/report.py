"""``resnet-tui report``: what runs are and reached, as tables, Markdown, a page, or JSON."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resnet_tui.commands.train import RunsDir

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resnet_tui.run.compared import Compared

_FORMATS = {"text": ".txt", "markdown": ".md", "html": ".html", "json": ".json"}
_SPELT = {".htm": ".html", ".markdown": ".md"}


def report(
    runs: Annotated[list[str], typer.Argument(help="Runs: the folder of each, its name, or last.", metavar="RUN…")],
    file_format: Annotated[
        str | None,
        typer.Option("--format", help="text, markdown, html or json. [default: as --output's name ends, else text]"),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file instead of the terminal.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Report what runs are and reached: settings, every epoch, errors with what each means, published figures.

    Of several runs, first what they reached and in which settings they differ. The HTML page has charts and needs
    nothing else: no network, no script.
    """
    chosen = _format(file_format, output)
    if output is not None:
        from resnet_tui.printing.output import check_output

        check_output(output, force=force)

    from resnet_tui.run.compared import find_all, read_all

    read = read_all(find_all(runs_dir, runs))
    if output is None and chosen == "text":
        _print(read)
        return
    text = _written(chosen, read)
    if output is None:
        sys.stdout.write(text)
        return

    from engine.files import write_text
    from engine.text import one_line

    write_text(output, text)
    what = read[0].listed.entry.name if len(read) == 1 else f"{len(read)} runs"
    print(f"{one_line(str(output))}: report of {what}")


def _format(given: str | None, output: Path | None) -> str:
    """Return the format that is asked for, by name or by the name of the file."""
    from engine.config_file import nearest
    from engine.errors import UserError
    from engine.text import one_line

    if given is not None and given not in _FORMATS:
        allowed = ", ".join(_FORMATS)
        raise UserError(f"--format {one_line(given)!r}: allowed: {allowed}{nearest(given, _FORMATS)}")
    ending = _SPELT.get(output.suffix.lower(), output.suffix.lower()) if output is not None else ""
    of_name = next((name for name, end in _FORMATS.items() if ending == end), None)
    if ending and of_name is None and given is None:
        raise UserError(
            f"--output {one_line(str(output))}: let the name end in {', '.join(_FORMATS.values())}, or give --format"
        )
    if given is not None and of_name not in {None, given}:
        raise UserError(
            f"--output {one_line(str(output))}: the format is {given}; let the name end in {_FORMATS[given]}, "
            "or leave --format out"
        )
    return given or of_name or "text"


def _print(read: Sequence[Compared]) -> None:
    from resnet_tui.printing.console import on_stdout
    from resnet_tui.report.contents import report as contents
    from resnet_tui.report.terminal import WIDTH, print_blocks

    console = on_stdout(WIDTH)
    print_blocks(console, contents(read, console.width))


def _written(chosen: str, read: Sequence[Compared]) -> str:
    if chosen == "json":
        from resnet_tui.report.data import report_json

        return report_json(read)

    from resnet_tui.report.contents import report as contents

    if chosen == "text":
        from resnet_tui.report.terminal import WIDTH, as_text

        return as_text(contents(read, WIDTH))
    if chosen == "markdown":
        from resnet_tui.report.markdown import as_markdown

        return as_markdown(contents(read))

    from resnet_tui.report.html import as_html

    return as_html(contents(read))
