"""The dashboard behind a page of ``resnet_tui.serve.server``, as a process of its own a page.

It speaks textual-serve's protocol on stdin and stdout instead of a terminal's, so there is none to be put back and no
guardian for it, and it ends when its page has gone or the server has. Runs that it started go on.
"""

import argparse
import contextlib
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual import events
from textual.drivers.web_driver import WebDriver

from resnet_tui.session import conduct

if TYPE_CHECKING:
    from resnet_tui.app import Dashboard

_PATIENCE = 1.5
"""Seconds after which a dashboard whose page has gone ends all the same."""


class PageDriver(WebDriver):
    """Draws in a page, gives it neither files nor addresses to open, and ends the dashboard with it."""

    def start_application_mode(self) -> None:
        """Begin as what has the keys: the page gives them to the dashboard, maybe before Textual says it has none."""
        super().start_application_mode()
        self._app.call_later(self._app.post_message, events.AppFocus())

    def run_input_thread(self) -> None:
        """Take what the page sends; nothing comes any more once it or the server has gone."""
        super().run_input_thread()
        if not self.exit_event.is_set():
            self._end()

    def on_meta(self, packet_type: str, payload: dict[str, object]) -> None:
        """Take what the server says of the page."""
        if packet_type == "quit":
            self._end()
        else:
            super().on_meta(packet_type, payload)

    def open_url(self, url: str, new_tab: bool = True) -> None:
        """Open nothing."""

    def _deliver_file(self, *_arguments: Any, **_options: Any) -> None:
        """Deliver nothing."""

    def _end(self) -> None:
        """End in order; where that takes too long, as with a pipe that nobody reads any more, at once."""
        last = threading.Timer(_PATIENCE, os._exit, (1,))
        last.daemon = True
        last.start()
        with contextlib.suppress(RuntimeError):  # it has ended already
            self._app.call_later(self._app.exit)


def arguments(runs: Path, run: Path | None, *, control: bool, ascii_only: bool) -> list[str]:
    """Return what `main` is to be called with.

    Args:
        runs: the folder of runs.
        run: the folder of the run to begin with; None: where a session usually begins.
        control: whether runs may be started, changed, stopped and deleted.
        ascii_only: whether to draw with nothing but ASCII.
    """
    flags = [*(["--allow-control"] if control else []), *(["--ascii"] if ascii_only else [])]
    return [*flags, *([f"--run={run.absolute()}"] if run is not None else []), "--", str(runs.absolute())]


def main() -> int:
    """Run as a process of its own; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m resnet_tui.serve.page", description=__doc__)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--allow-control", action="store_true")
    parser.add_argument("--ascii", action="store_true")
    given = parser.parse_args()

    def make() -> "Dashboard":
        from engine.run_dir import RunDir
        from resnet_tui.app import Dashboard
        from resnet_tui.run.source import WatchedRun

        readonly = not given.allow_control
        source = WatchedRun(RunDir(given.run), readonly=readonly) if given.run is not None else None
        app = Dashboard(given.runs, source, ascii_only=given.ascii, readonly=readonly)
        app.driver_class = PageDriver
        return app

    return conduct(make).return_code or 0


if __name__ == "__main__":
    sys.exit(main())
