"""A bar of progress on standard error for work that yields progress and returns something."""

import sys
from collections.abc import Generator
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress as Bar

from engine.events import Progress

T = TypeVar("T")


def shown(working: Generator[Progress, None, T]) -> T:
    """Work to the end, with a bar where standard error is a terminal, and return the result."""
    with Bar(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=None)
        while True:
            try:
                event = next(working)
            except StopIteration as end:
                result: T = end.value
                return result
            bar.update(task, description=event.activity, completed=event.done, total=event.total or None)
