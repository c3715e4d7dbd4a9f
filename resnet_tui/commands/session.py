"""Opening the dashboard from a command: what needs a terminal, and how it ends."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from resnet_tui.run.source import RunSource

Ascii = Annotated[
    bool, typer.Option("--ascii", envvar="RESNET_TUI_ASCII", help="Draw the dashboard with ASCII only.")
]


def has_terminal() -> bool:
    """Whether there is a terminal to draw on and to read keys from."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def need_terminal(command: str) -> None:
    """Refuse what is of no use without a terminal.

    Raises:
        UserError: there is none.
    """
    from engine.errors import UserError

    if not has_terminal():
        raise UserError(
            f"{command} needs a terminal: input or output is a file or a pipe; "
            "resnet-tui runs lists runs, resnet-tui train --headless trains without a terminal"
        )


def open_dashboard(runs: Path, source: RunSource | None, *, ascii_only: bool) -> int:
    """Run a session and return its exit status."""
    gc.disable()  # until the first frame is there
    from resnet_tui.app import Dashboard

    app = Dashboard(runs, source, ascii_only=ascii_only)
    app.run()
    return app.return_code or 0
