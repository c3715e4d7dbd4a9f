"""The process that one run of the queue lives in: ``python -m engine.queue.one RUNS NUMBER DEVICE``.

It holds the lock of its device for as long as it lives, so that nothing else of the queue trains there, also where
who started it was killed; and it says in the queue which run it began, or why it could not.
"""

import argparse
import contextlib
import signal
import sys

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is there to be saved before a run begins: no traceback

from collections.abc import Iterator
from pathlib import Path

from engine.config import RunConfig
from engine.data import sources
from engine.errors import UserError, WorldError
from engine.headless import train_on_console
from engine.queue.file import Queue
from engine.queue.locks import lock, run_lock
from engine.queue.possible import check_processes
from engine.run_dir import RunDir
from engine.text import one_line

_LOCK_SECONDS = 5.0
"""Who asks whether a lock is held has a share of it for an instant."""


def main() -> int:
    """Train the run and return the exit status that ``train --headless`` would have."""
    parser = argparse.ArgumentParser(prog="python -m engine.queue.one")
    parser.add_argument("runs", type=Path, help="Folder that holds the runs and the queue.")
    parser.add_argument("number", type=int, help="Of the run in the queue.")
    parser.add_argument("device", help="Where it trains.")
    given = parser.parse_args()
    queue = Queue(given.runs)
    try:
        with _alone(queue, given.device):
            return _train(queue, given.number, given.device)
    except UserError as raised:
        error = raised
    with contextlib.suppress(UserError):  # the queue itself may be what is wrong
        queue.change(given.number, problem=one_line(str(error)))
    for line in str(error).splitlines():
        print(f"error: {line}", file=sys.stderr)
    return error.exit_status


@contextlib.contextmanager
def _alone(queue: Queue, device: str) -> Iterator[None]:
    """Be the only run of the queue on this device."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(lock(run_lock(queue.runs, device), seconds=_LOCK_SECONDS))
        except TimeoutError:
            raise WorldError(f"another run of the queue trains on {one_line(device)}") from None
        except OSError as error:
            why = one_line(error.strerror or str(error))
            raise WorldError(f"runs folder {one_line(str(queue.runs))} cannot be written: {why}") from error
        yield


def _train(queue: Queue, number: int, device: str) -> int:
    """Begin the run, or go on with it where there is something to go on with."""
    with queue.edit() as draft:
        entry = draft.find(number)
    run = RunDir(queue.runs / entry.run) if entry.run else None
    if run is not None and any(path.is_file() for path in (run.last, run.previous, run.best)):
        config = _placed(run.config(), device)
        check_processes(config)
        sources.check(config.data)
        return train_on_console(config, runs=queue.runs, resume=run, say_resume=False)
    check_processes(entry.config)
    sources.check(entry.config.data)

    def begun(made: RunDir) -> None:
        queue.change(number, run=made.path.name)

    return train_on_console(_placed(entry.config, device), runs=queue.runs, on_run_dir=begun, say_resume=False)


def _placed(config: RunConfig, device: str) -> RunConfig:
    return config.model_copy(update={"train": config.train.model_copy(update={"device": device})})


if __name__ == "__main__":
    sys.exit(main())
