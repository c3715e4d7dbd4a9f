"""Training in the foreground with what a person sees of it in a terminal. Imports no torch."""

from collections.abc import Callable
from pathlib import Path

from engine.config import RunConfig
from engine.host import run_in_foreground
from engine.run_dir import RunDir
from engine.summary import read_summary


def train_on_console(
    config: RunConfig,
    *,
    runs: Path,
    resume: RunDir | None = None,
    on_run_dir: Callable[[RunDir], None] | None = None,
    say_resume: bool = True,
) -> int:
    """Train to the end, print a line an epoch, and return the exit status (``host.run_in_foreground``).

    Args:
        config: the run.
        runs: the folder that gets the run's.
        resume: the run to go on with instead.
        on_run_dir: told when the run's folder is there.
        say_resume: whether the command that goes on with a run that was stopped is printed.

    Raises:
        UserError: the run could not begin.
    """
    from rich.console import Console

    from engine.sinks.console import ConsoleSink

    console = ConsoleSink(Console(), history=read_summary(resume.events) if resume else None, say_resume=say_resume)

    def begin(run: RunDir) -> None:
        console.set_run(run.path)
        if on_run_dir is not None:
            on_run_dir(run)

    return run_in_foreground(config, runs=runs, resume=resume, sinks=[console], on_run_dir=begin)
