"""A headless run in a terminal or in plain lines: a table with a line an epoch, and what became of it.

The table and the closing summary are data and go to ``console``; everything else goes to a terminal where there
is one, else to ``messages``. So ``resnet-tui train --headless > log`` leaves the table in ``log`` and still shows
how far the run has come.
"""

import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table as Grid
from rich.text import Text

from engine.epochs import EpochRow
from engine.events import ControlApplied, Evaluated, Event, ModelBuilt, Progress, Pruned, RunFinished, Warned
from engine.sinks import live, report, say_silent
from engine.sinks.table import Table, fit
from engine.summary import RunSummary
from engine.text import one_line, refuse_nothing

REFRESH_SECONDS = 0.2
"""Between two pictures of the live view: drawing takes processor time from training."""
PLAIN_PROGRESS_SECONDS = 10.0
"""Between two lines of progress where there is no terminal."""
_PLAIN_WIDTH = 1000
"""Room for every column: a log is not cut to a terminal's width."""


class ConsoleSink:
    """Shows one run. It draws only inside ``emit``, in the caller's thread."""

    def __init__(
        self,
        console: Console,
        *,
        messages: Console | None = None,
        history: RunSummary | None = None,
        clock: Callable[[], float] = time.time,
        say_resume: bool = True,
    ) -> None:
        """Show a run on ``console``, which decides by its terminal how; what its encoding lacks is replaced.

        Args:
            console: where the table goes: standard output.
            messages: where progress and warnings go when ``console`` is no terminal; standard error if None.
            history: what the log of a run that is resumed holds (``read_summary``); left as it is.
            clock: seconds since the epoch.
            say_resume: whether the command that goes on with the run is printed where it was stopped.
        """
        self._out = console
        self._messages = messages or Console(stderr=True)
        for shown in (self._out, self._messages):
            refuse_nothing(shown.file)
        self._summary = deepcopy(history) if history else RunSummary()
        self._clock = clock
        self._say_resume = say_resume
        self._path: Path | None = None
        self._table: Table | None = None
        self._printed = len(self._summary.rows)
        self._held_back: EpochRow | None = None
        self._drawn = 0.0
        self._said: tuple[str, float] = ("", 0.0)
        self._gone = False
        screen = next((c for c in (console, self._messages) if _is_screen(c)), None)
        self._live = (
            Live(
                console=screen,
                auto_refresh=False,  # no thread of its own
                transient=True,
                redirect_stdout=False,  # the streams are the whole process's, not this sink's
                redirect_stderr=False,
            )
            if screen
            else None
        )
        self._notes = screen or self._messages

    def set_run(self, path: Path) -> None:
        """Tell where the run is kept, as soon as that is known and before it starts."""
        self._path = path

    def emit(self, event: Event) -> None:
        """Show what is new with ``event``.

        Training goes on when nobody can be shown anything any more: a pipe's reader left, the terminal closed, the
        disk is full.
        """
        self._summary.apply(event)
        if self._gone:
            return
        try:
            self._say(event)
            self._draw()
        except SystemExit:  # rich makes that of a broken pipe, after it silenced the console
            self._gone = True
        except OSError as error:
            self._gone = True
            say_silent(error)

    def close(self) -> None:
        """Give the terminal back; may be called more than once, and without a ``run_finished``."""
        try:
            if self._live:
                self._live.stop()
        except (OSError, SystemExit):
            self._gone = True

    def _say(self, event: Event) -> None:
        """Print the lines that stay."""
        match event:
            case Progress() if not self._live and not self._summary.epoch:
                self._say_progress(event)
            case ModelBuilt():
                name = self._summary.config.name if self._summary.config else ""
                self._print(Text.assemble(("resnet-tui", "bold"), " · ", (name, "bold cyan")))
                rows = [("table", f"a line every {self._every} epochs")] if self._every > 1 else []
                self._print_facts([*report.opening(self._summary, self._path), *rows])
                self._print(Text())
            case ControlApplied():
                self._note(report.control(event), "cyan")
            case Evaluated() if not self._summary.ends_epoch(event):
                self._note(f"evaluated {report.evaluation(event)}", "cyan")
            case Pruned():
                self._note(report.pruning(event), "cyan")
            case Warned():
                self._note(f"warning: {event.message}", "yellow")
            case RunFinished():
                self.close()
                if self._held_back is not None:  # the last epoch of a run that ended early
                    self._print_row(self._held_back)
                self._print(Text())
                self._print_facts(report.closing(self._summary, self._path, say_resume=self._say_resume))
        for row in self._summary.rows[self._printed :]:
            if row.epoch % self._every == 0 or row.epoch == self._summary.last_epoch:
                self._print_row(row)
                self._held_back = None
            else:
                self._held_back = row
        self._printed = len(self._summary.rows)

    @property
    def _every(self) -> int:
        """How many epochs there are to a line."""
        return self._summary.config.telemetry.table_every_epochs if self._summary.config else 1

    def _draw(self) -> None:
        """Draw the live view if it is time to; a pause is drawn at once, for nothing may follow it soon."""
        now = self._clock()
        if self._live is None or self._summary.outcome or not (self._summary.progress or self._summary.epoch):
            return
        paused = self._summary.state == "paused"
        if paused or not 0 <= now - self._drawn < REFRESH_SECONDS:  # also after the clock was set back
            if not self._live.is_started:
                with self._live.console:  # in one write: rich hides the cursor, which who is killed cannot undo
                    self._live.start()
                    self._live.console.show_cursor()
            self._live.update(live.view(self._summary, now), refresh=True)
            self._drawn = now

    def _print_row(self, row: EpochRow) -> None:
        width = self._out.width if self._out.is_terminal else _PLAIN_WIDTH
        table = fit(width, with_val=bool(self._summary.val_images))
        if table != self._table:  # at the start, and when the terminal was resized
            self._print(Text(table.header(), "bold"))
            self._table = table
        mark = table.mark if row is self._summary.best() else ""
        self._print(Text.assemble(table.row(row), (mark, "bold green")))

    def _say_progress(self, event: Progress) -> None:
        activity, said = self._said
        now = self._clock()
        if event.activity != activity or now - said >= PLAIN_PROGRESS_SECONDS:
            of = f" of {event.total:,}" if event.total else ""
            self._note(f"{event.activity}: {event.done:,}{of} {event.unit}", "")
            self._said = event.activity, now

    def _print_facts(self, facts: report.Facts) -> None:
        label_width = max((len(label) for label, _ in facts), default=0)
        for label, value in facts:
            style = _OUTCOME_STYLES.get(label, "dim")
            if _is_screen(self._out) and label != "resume":  # a command that is to be copied is never broken
                grid = Grid.grid(padding=(0, 2, 0, 0))
                grid.add_column(width=label_width, no_wrap=True)
                grid.add_column(overflow="fold")
                grid.add_row(Text(label, style), Text(value))
                self._out.print(grid)
            else:
                self._print(Text.assemble((label.ljust(label_width), style), "  ", value))

    def _print(self, text: Text) -> None:
        self._out.print(text, soft_wrap=True)

    def _note(self, message: str, style: str) -> None:
        self._notes.print(Text(one_line(message), style), soft_wrap=not self._live)


_OUTCOME_STYLES = {
    "completed": "bold green",
    "stopped": "bold yellow",
    "failed": "bold red",
    "diverged": "bold red",
    "resume": "bold cyan",
}


def _is_screen(console: Console) -> bool:
    return console.is_terminal and not console.is_dumb_terminal
