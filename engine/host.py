"""The process that a run lives in: its main thread takes signals and messages while the engine thread trains.

Headless training runs it in the foreground. ``python -m engine.host RUNS`` runs it for a dashboard, and lives on
without it. It can be started before it is known what to train: it makes torch ready, and then waits on stdin for an
``engine.order``; where stdin ends without one, so does it. What it says, as lines of JSON on stdout:

- ``progress`` events until the run's folder is there;
- ``{"kind": "run_dir", "path": "<absolute>"}`` once it is, and nothing more: the run's own files say the rest.

From then on whatever it or its workers print goes to the run's ``log.txt``. Before that, stderr has what went wrong,
as ``error: …`` lines.
"""

import argparse
import io
import json
import logging
import os
import signal
import sys

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is there to be saved before a run begins: no traceback

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import BinaryIO, NoReturn

from engine import order, run_dir
from engine.allocator import keep_freed_memory
from engine.config import RunConfig, TrainConfig
from engine.config_file import build_config
from engine.control import Control, ControlFile, StopNow
from engine.courtesy import give_way_no_longer
from engine.data import sources
from engine.errors import UserError, WorldError
from engine.events import Outcome
from engine.order import STOPPED, Order
from engine.parallel.ranks import Rank, this_rank
from engine.resume import check_unfinished
from engine.run_dir import HEARTBEAT_SECONDS, RunDir
from engine.signals import heeded
from engine.sinks import Sink
from engine.sinks.json_lines import JsonLinesSink
from engine.thread import EngineThread, StoppedBeforeStart

EXIT_OK, EXIT_FAILED, EXIT_DIVERGED, EXIT_MISSED = 0, 1, 3, 4
_EXIT: dict[Outcome, int] = {
    "completed": EXIT_OK,
    "stopped": EXIT_OK,
    "failed": EXIT_FAILED,
    "diverged": EXIT_DIVERGED,
}
_POLL_SECONDS = 0.1
_BEFORE_BEGIN_SECONDS = 0.3
"""How long a run that has not begun may take to notice that it is to end: importing torch takes longer."""
_RANK_BEFORE_BEGIN_SECONDS = 3.0
"""The same for a rank: where another's end is behind the signal, it notices that and says it."""
_ORDER = "RESNET_TUI_ORDER"
"""The variable in which a host that starts several processes hands its order on to them."""
_RANK_0_SECONDS = 1.0
"""How long a rank that cannot begin stays, so that its end does not keep rank 0 from saying why."""


def run_in_foreground(
    config: RunConfig,
    *,
    runs: Path,
    resume: RunDir | None = None,
    sinks: Sequence[Sink] = (),
    on_run_dir: Callable[[RunDir], None] | None = None,
) -> int:
    """Train to the end and return the exit status that the command line promises.

    Args:
        config: the run.
        runs: the folder that gets the run's.
        resume: the run to go on with instead.
        sinks: listeners besides the run's own files.
        on_run_dir: told when the run's folder is there.

    The first SIGINT, SIGTERM or SIGHUP saves a checkpoint and ends the run; where it has not begun and does not end
    soon, the process. A second signal ends the process at once. After a signal the process ends with the run.

    Where ``config`` wants several processes, this one only starts them, each with its own command line, and ends with
    them. One of them, as torchrun may have started it as well, never returns: the process ends with the run.

    Raises:
        UserError: the run could not begin.
    """
    rank = this_rank()
    if rank is None and config.train.processes > 1:
        return _launch(config.train)
    parent = os.getppid()
    keep_freed_memory()
    control = Control()
    # Before anybody can see that it is alive, so that no message is missed.
    begun = [(resume, ControlFile(resume.control))] if resume is not None else []

    def begin(run: RunDir) -> None:
        _log_to(run)
        if run is not resume:
            begun.append((run, ControlFile(run.control)))
        if on_run_dir is not None:
            on_run_dir(run)

    thread = EngineThread(config, runs=runs, resume=resume, sinks=sinks, control=control, on_run_dir=begin, rank=rank)
    with _signals_stop(control) as received:
        thread.start()
        _attend(thread, control, begun, received, rank, parent)
        if rank is not None:  # before torch's launcher, seeing another rank end, has a signal for this one
            try:
                _end(_status_of(thread, received, rank))
            except UserError as error:
                _say(error)
                _end(error.exit_status)
    return _status_of(thread, received, rank)


def follow(rank: Rank) -> int:
    """Train as a rank above 0 what rank 0 was given, and say nothing; the process ends with the run."""
    parent = os.getppid()
    keep_freed_memory()
    control = Control()

    def log(run: RunDir) -> None:
        _log_to(run)
        _print_to(run.log)

    thread = EngineThread(RunConfig(), control=control, on_run_dir=log, rank=rank)
    with _signals_stop(control) as received:
        thread.start()
        _attend(thread, control, [], received, rank, parent)
        if isinstance(thread.error, UserError):
            time.sleep(_RANK_0_SECONDS)
            _end(thread.error.exit_status)
        if thread.error is not None or thread.finished is None or thread.finished.outcome == "failed":
            _end(128 + received[0] if received else EXIT_FAILED)
        _end(EXIT_OK)  # how it ended says rank 0


def _launch(train: TrainConfig) -> int:
    """Start the processes of a run, each with the command line of this one."""
    from engine.devices import check_processes
    from engine.parallel.launcher import launch

    check_processes(train.device, train.processes)
    return launch(train.processes, [sys.executable, *sys.orig_argv[1:]])


def _status_of(thread: EngineThread, received: list[signal.Signals], rank: Rank | None) -> int:
    """Return the exit status for how the run ended; after a signal, end the process at once."""
    try:
        finished = thread.result()
    except StoppedBeforeStart:
        if received:
            _end(_status_before_begin(received[0], rank))
        _say_stopped()
        return EXIT_OK
    if received and finished.outcome == "stopped":
        _end(128 + received[0])
    if finished.outcome == "completed" and finished.target_missed:
        return EXIT_MISSED
    return _EXIT[finished.outcome]


def _status_before_begin(ended_by: signal.Signals, rank: Rank | None) -> int:
    """Say why there is no run, and return the exit status: a signal, or the end of another rank behind it."""
    if rank is not None:
        from engine.parallel.group import how_another_ended

        if reason := how_another_ended():
            if rank.number == 0:
                _say(WorldError(reason))
            return EXIT_FAILED
    if rank is None or rank.number == 0:
        _say_stopped()
    return 128 + ended_by


def _log_to(run: RunDir) -> None:
    """Send what this process logs and warns of, tracebacks with it, to the run's ``log.txt``."""
    handler = logging.FileHandler(run.log, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.captureWarnings(True)
    for name in ("engine", "py.warnings"):
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False


def _attend(
    thread: EngineThread,
    control: Control,
    begun: list[tuple[RunDir, ControlFile]],
    received: list[signal.Signals],
    rank: Rank | None,
    parent: int,
) -> None:
    """Until the run ends: say that it is alive, and pass on what other processes ask of it.

    Args:
        thread: trains.
        control: what is passed on goes there.
        begun: has the run once its folder is there.
        received: gets the signals that come.
        rank: which of several processes this is.
        parent: the process that started this one; a rank ends with it.
    """
    beaten = 0.0
    told: float | None = None
    patience = _BEFORE_BEGIN_SECONDS if rank is None else _RANK_BEFORE_BEGIN_SECONDS
    while thread.is_alive():
        thread.join(_POLL_SECONDS)
        if received and not thread.begins:
            told = told or time.monotonic()
            if time.monotonic() - told > patience:  # not counted in polls: importing torch holds them up
                _end(_status_before_begin(received[0], rank))
        if rank is not None and os.getppid() != parent and not control.stop_wanted:
            control.send(StopNow(source="the end of its launcher"))
        for run, messages in begun:  # where nothing is resumed, none until the data is ready
            for message in messages.read():
                control.send(message)
            if thread.run_dir is not None and time.monotonic() - beaten >= HEARTBEAT_SECONDS:
                beaten = time.monotonic()
                run.beat()


def _say(error: UserError) -> None:
    for line in str(error).splitlines():
        print(f"error: {line}", file=sys.stderr)


def _say_stopped() -> None:
    with suppress(OSError, ValueError):  # nobody hears it: the terminal has gone
        print(STOPPED, file=sys.stderr, flush=True)


def _end(status: int) -> NoReturn:
    """End the process now: Python would wait for an import to end, and takes long to take torch apart."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # closed, or nobody reads it
            stream.flush()
    os._exit(status)


@contextmanager
def _signals_stop(control: Control) -> Iterator[list[signal.Signals]]:
    """Turn the first signal into a message to stop; the second ends the process, also on its last way."""
    received: list[signal.Signals] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        name = signal.Signals(number)
        if received:
            os._exit(128 + number)
        received.append(name)
        control.send(StopNow(source=f"signal {name.name}"))

    before = {number: signal.signal(number, handle) for number in heeded()}
    try:
        yield received
    finally:
        for number, handler in before.items() if not received else ():
            signal.signal(number, handler)


def main() -> int:
    """Run as a process of its own; the module's docstring says what it tells its parent."""
    give_way_no_longer()  # as the dashboard does, which started this
    try:
        rank = this_rank()
    except UserError as error:
        _say(error)
        return error.exit_status
    if rank is not None and rank.number > 0:
        return follow(rank)
    parser = argparse.ArgumentParser(prog="python -m engine.host")
    parser.add_argument("runs", type=Path, help="Folder that holds the runs.")
    runs = parser.parse_args().runs
    stdout = _own_stdout()
    told = JsonLinesSink(stdout)

    def hand_over(run: RunDir) -> None:
        _print_to(run.log)
        told.write(json.dumps({"kind": "run_dir", "path": str(run.path.absolute())}).encode() + b"\n")
        told.close()
        stdout.close()

    try:
        ordered = _ordered()
        if ordered is None:
            return EXIT_OK
        config = build_config(ordered.config, {}, "standard input")
        resume = None
        if ordered.resume is not None:
            resume = run_dir.find(runs, ordered.resume)
            check_unfinished(resume, config, epochs_given=config.train.epochs != resume.config().train.epochs)
        sources.check(config.data)
        if rank is None and config.train.processes > 1:
            os.environ[_ORDER] = order.encode(config, resume).decode()
            os.dup2(stdout.fileno(), 1)  # for rank 0, which tells
        return run_in_foreground(config, runs=runs, resume=resume, sinks=[told], on_run_dir=hand_over)
    except UserError as error:
        _say(error)
        return error.exit_status


def _ordered() -> Order | None:
    """Return what to train; None where the parent ended without wanting anything."""
    import engine.loop  # noqa: F401 - torch and all that training needs, while a person is choosing still

    said = os.environ.pop(_ORDER, "").encode() or sys.stdin.buffer.read()
    return order.decode(said) if said else None


def _own_stdout() -> BinaryIO:
    """Keep stdout for what this module writes; what anything else prints there goes to stderr instead."""
    own = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return own


def _print_to(log: Path) -> None:
    """Let everything that this process prints, and what C libraries and worker processes print, end in ``log``.

    Raises:
        OSError: it cannot be opened.
    """
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    if descriptor > 2:
        os.close(descriptor)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # there is none where the process began with it closed
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)


if __name__ == "__main__":
    sys.exit(main())
