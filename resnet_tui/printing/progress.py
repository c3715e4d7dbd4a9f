"""A bar of progress on standard error for work that yields progress and returns something."""

import sys
from collections.abc import Generator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from engine.events import Progress

T = TypeVar("T")


def shown(work: Generator[Progress, None, T]) -> T:
    """Run ``work`` to its end, with a bar where standard error is a terminal, and return its result."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[amount]}"))
    console = Console(stderr=True)
    with Bar(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=not sys.stderr.isatty()
    ) as bar:
        task = bar.add_task("", total=None, amount="")
        while True:
            try:
                event = next(work)
            except StopIteration as end:
                result: T = end.value
                return result
            bar.update(
                task,
                description=event.activity,
                completed=event.done,
                total=event.total or None,
                amount=_amount(event),
            )


def _amount(event: Progress) -> str:
    scale, unit = (1_000_000, "MB") if event.unit == "bytes" else (1, event.unit)
    done = f"{event.done // scale:,}"
    return f"{done}/{event.total // scale:,} {unit}" if event.total else (f"{done} {unit}" if event.done else "")
