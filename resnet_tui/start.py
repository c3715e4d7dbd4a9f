"""Where the program begins: the dashboard at once where nothing else is asked for, else the command line.

Typer and the commands take a tenth of a second to import, which a person who just wants the dashboard need not wait.
"""

import os
import signal
import sys

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # while modules are imported: no traceback

from collections.abc import Callable
from typing import NoReturn

from engine.errors import UserError
from engine.text import one_line, refuse_nothing
from resnet_tui.session import has_terminal, open_dashboard

_OPTIONS = {"RESNET_TUI_RUNS", "RESNET_TUI_ASCII"}
"""Variables that the command line reads."""


def main() -> NoReturn:
    """Run the program; a ``UserError`` becomes its message and its exit status."""
    refuse_nothing(sys.stdout)
    alone = len(sys.argv) == 1 and not _OPTIONS & os.environ.keys()
    if alone and has_terminal():
        sys.exit(_guarded(lambda: open_dashboard(None, None, ascii_only=False)))
    from resnet_tui.cli import app

    sys.exit(_guarded(app))


def _guarded(run: Callable[[], int | None]) -> int:
    """Run, wording what goes wrong for a person; return the exit status."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return run() or 0
    except UserError as error:
        sys.stdout.flush()
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return error.exit_status
    except OSError as error:
        where = f"{one_line(str(error.filename))}: " if error.filename else "output: "
        print(f"error: {where}{error.strerror or error}", file=sys.stderr)
        os._exit(1)  # a stream that cannot be flushed would complain once more
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one says nothing new
        print("interrupted", file=sys.stderr)
        # Nothing runs here that would have to be saved: a run's host has handlers of its own.
        os._exit(130)
