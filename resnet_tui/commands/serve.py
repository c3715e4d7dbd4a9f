"""``resnet-tui serve``: the dashboard in a browser on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from resnet_tui.commands.options import Ascii
from resnet_tui.commands.train import RunsDir


def serve(
    run: Annotated[
        str | None, typer.Argument(help="A run's folder, its name, or last, to begin with. [default: all runs]")
    ] = None,
    port: Annotated[int, typer.Option(help="Where to listen, on 127.0.0.1; 0: any port that is free.")] = 8000,
    allow_control: Annotated[
        bool,
        typer.Option("--allow-control", help="Let the page start, change, stop and delete runs, and keep settings."),
    ] = False,
    runs_dir: RunsDir = Path("runs"),
    ascii_only: Ascii = False,
) -> None:
    """Show the dashboard in a browser on this machine, to look at unless --allow-control is given.

    Nothing beyond this machine reaches it, and nothing on it without the address that is printed, which has a key in
    it. Each page has a dashboard of its own, which ends with the page; runs go on. Ctrl-C ends all pages.

    From another machine: ssh -L 8000:127.0.0.1:8000 HOST, with the same port on both sides, then open the address
    there.
    """
    from engine import run_dir
    from engine.errors import UserError

    if not 0 <= port <= 65535:
        raise UserError(f"--port {port}: allowed: 1 to 65535, or 0 for any that is free")
    found = run_dir.find(runs_dir, run) if run is not None else None
    try:
        from resnet_tui.serve import server
    except ModuleNotFoundError as error:
        raise UserError(
            f"serve needs the package {error.name}: uv sync --extra serve, or pip install '.[serve]'"
        ) from None
    from resnet_tui.serve.page import arguments

    page = arguments(runs_dir, found.path if found else None, control=allow_control, ascii_only=ascii_only)
    # -P: a folder that happens to hold a random.py must not take the place of Python's own modules.
    command = [sys.executable, "-P", "-m", "resnet_tui.serve.page", *page]
    server.serve(command, port, lambda address: _tell(address, control=allow_control))
    print("ended; runs go on", file=sys.stderr)


def _tell(address: str, *, control: bool) -> None:
    print(f"the dashboard is at {address}")
    rights = "whoever has this address can start, change, stop and delete runs" if control else "only to look at"
    print(f"{rights}; Ctrl-C ends it, runs go on", flush=True)
