"""A session of the dashboard: what it needs, and how it ends."""

from __future__ import annotations

import gc
import shlex
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.run_dir import RunDir
    from resnet_tui.app import Dashboard
    from resnet_tui.run.source import ComparedRuns, RunSource


def has_terminal() -> bool:
    """Whether there is a terminal to draw on and to read keys from."""
    streams = (sys.stdin, sys.stdout, sys.stderr)  # Textual draws on the last; None: closed
    return all(stream is not None and stream.isatty() for stream in streams)


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


def open_dashboard(runs: Path | None, source: RunSource | ComparedRuns | None, *, ascii_only: bool) -> int:
    """Run a session on the folder ``runs``, None for the usual one, and return its exit status."""
    from resnet_tui.guardian import guarded

    return guarded(lambda: _session(runs, source, ascii_only=ascii_only), on_killed=lambda: _tell_of_latest(runs))


def conduct(make: Callable[[], Dashboard]) -> Dashboard:
    """Run the dashboard that ``make`` makes, to its end; of an error that nobody expected, say where it is kept."""
    gc.disable()  # until the first frame is there: what is imported stays, and looking through it takes a while
    from engine.courtesy import give_way
    from resnet_tui.signals import Signals

    give_way()
    app = make()
    app.signals = Signals(app)
    app.run()
    if app.failure is not None:
        from resnet_tui.crash import report

        report(app.failure)
    return app


def _session(runs: Path | None, source: RunSource | ComparedRuns | None, *, ascii_only: bool) -> int:
    def make() -> Dashboard:
        from engine.run_dir import DEFAULT_RUNS
        from resnet_tui.app import Dashboard

        return Dashboard(runs or DEFAULT_RUNS, source, ascii_only=ascii_only)

    app = conduct(make)
    if app.failure is not None:
        _tell_of_latest(runs)
    elif app.left is not None:
        _tell(app.left)
    return app.return_code or 0


def _tell_of_latest(runs: Path | None) -> None:
    """Say of the latest run in ``runs`` that it goes on, if it does."""
    from engine.run_dir import DEFAULT_RUNS, iterate

    if alive := [run for run in iterate(runs or DEFAULT_RUNS) if run.is_alive()]:
        _tell(alive[-1])


def _tell(run: RunDir) -> None:
    print(f"{run.name} trains on; come back with: resnet-tui watch {shlex.quote(_short(run))}")


def _short(run: RunDir) -> str:
    """Return what is enough to find a run from here."""
    from engine.run_dir import DEFAULT_RUNS

    return run.name if run.path.parent == DEFAULT_RUNS.absolute() else str(run.path)
