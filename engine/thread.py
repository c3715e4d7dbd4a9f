"""The engine thread: makes the data ready, makes the run's folder, trains, and hands every event to the sinks."""

import contextlib
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from engine import run_dir as run_dirs
from engine.config import RunConfig
from engine.config_file import to_toml
from engine.control import Control, ControlMessage, StopNow
from engine.errors import WorldError
from engine.event_log import EventLog
from engine.events import Evaluated, Event, Progress, RunFinished, Step, Warned
from engine.files import write_text
from engine.parallel.ranks import Rank
from engine.patience import Patience
from engine.run_dir import DEFAULT_RUNS, RunDir
from engine.sinks import Sink
from engine.sinks.log_file import LogFileSink
from engine.sinks.metrics import MetricsSink
from engine.sinks.tensorboard import TensorBoardSink
from engine.summary import read_summary
from engine.text import one_line

if TYPE_CHECKING:
    from engine.data.dataset import Dataset
    from engine.loop import Trainer
    from engine.parallel.group import Group
    from engine.weights import Weights

T = TypeVar("T")


class StoppedBeforeStart(Exception):  # noqa: N818 (asked for, not a mistake)
    """A person or a signal ended the run before anything was written."""


class EngineThread(threading.Thread):
    """Trains one run. ``finished`` or ``error`` is set when it ends."""

    def __init__(
        self,
        config: RunConfig,
        *,
        runs: Path | None = None,
        resume: RunDir | None = None,
        sinks: Sequence[Sink] = (),
        control: Control | None = None,
        on_run_dir: Callable[[RunDir], None] | None = None,
        rank: Rank | None = None,
    ) -> None:
        """Prepare the thread; ``start`` begins.

        Args:
            config: the run.
            runs: the folder to keep the run in; None keeps nothing on disk.
            resume: the run to go on with, instead of a new one.
            sinks: listeners besides the run's own files; closed at the end.
            control: where messages come from.
            on_run_dir: called in this thread when the run's folder is there, before ``run_started``.
            rank: which of several processes this is, where they train the run together. Above 0 it trains what rank 0
                was given, writes nothing, and ``on_run_dir`` is told where rank 0 writes.
        """
        super().__init__(name="engine", daemon=True)
        self.config = config
        self.control = control or Control()
        self.run_dir: RunDir | None = None
        self.finished: RunFinished | None = None
        self.error: BaseException | None = None
        self._runs = runs
        self._resume = resume
        self._sinks: list[Sink] = list(sinks)
        self._on_run_dir = on_run_dir
        self._rank = rank
        self._group: Group | None = None
        self.begins = False
        """Whether the run's folder is being made or there: from here on a stop is obeyed by the run itself."""
        self._early: list[ControlMessage] = []
        self._patience = Patience(self.control, self._waits)
        self._own_files = 0
        self._seq, self._numbers_given = 0, False

    def run(self) -> None:
        """Train to the end; an error is kept in ``error`` for whoever waits."""
        try:
            from engine.devices import deterministic  # torch, as all that follows

            self._meet()
            with deterministic(self.config.train.deterministic):
                self._train()
            if self._group is not None and self.finished is not None and self.finished.outcome != "failed":
                self._group.close()
        except BaseException as error:
            self.error = self._explained(error)
        finally:
            for close in (*(sink.close for sink in self._sinks), self._release):
                # What cannot be closed, on a full disk say, must not keep the others open.
                with contextlib.suppress(Exception):
                    close()

    def result(self) -> RunFinished:
        """Wait for the end and return the last event.

        Raises:
            UserError: the run could not begin.
        """
        self.join()
        if self.error is not None:
            raise self.error
        if self.finished is None:
            raise RuntimeError("the run ended without run_finished")
        return self.finished

    def _release(self) -> None:
        if self.run_dir is not None:
            self.run_dir.release()

    def _meet(self) -> None:
        """Meet the other ranks, where there are some, and learn what rank 0 was given."""
        if self._rank is None:
            return
        from engine.parallel.group import Group

        self._group = Group(self._rank)
        self.config = RunConfig.model_validate_json(self._group.from_first(self.config.model_dump_json().encode()))

    def _explained(self, error: BaseException) -> BaseException:
        """Return what to say instead of an error that another rank is behind; tell the others of one's own."""
        if self._group is None or isinstance(error, StoppedBeforeStart):
            return error
        if reason := self._group.lost(error):
            return WorldError(reason)
        self._group.leave_word(one_line(str(error), 2000))
        return error

    def _train(self) -> None:
        # torch is imported here, in the thread, so that a caller's first frame does not wait for it.
        from engine import advice
        from engine.data.sources import load
        from engine.devices import resolve, resolve_precision
        from engine.weights import load_weights

        # Before the data is made ready, which can take minutes.
        device = resolve(self.config.train.device, self._rank)
        resolve_precision(self.config.train.precision, device)
        if self._group is not None:
            self._group.use(device)
        if self._resume is not None:
            self._resume.acquire()
            self.run_dir = self._resume
        weights = None
        with advice.memory_suffices():
            with self._group.in_turn() if self._group is not None else contextlib.nullcontext():
                if self.config.weights.source and self._resume is None:
                    weights = self._load(load_weights(self.config.weights.source, self._runs or DEFAULT_RUNS))
                dataset = self._load(load(self.config.data, self.config.train.seed))
            trainer = self._trainer(dataset, weights)
        del weights  # the network has a copy, which is the one that trains
        self._stop_if_any_asked()  # making it ready can have taken seconds
        self.begins = True
        if self._resume is None and self._runs is not None:
            self.run_dir = run_dirs.create(self._runs, self.config)
        first_seq = 0
        if self.run_dir is not None:
            trainer.run_dir, trainer.patience = self.run_dir, self._patience
            try:
                first_seq = self._add_file_sinks(self.run_dir)
            except OSError as error:
                raise WorldError(f"{self.run_dir.name}: cannot be written: {error.strerror}") from error
        self._tell_folder()
        for message in self._early:
            self.control.send(message)
        self._deliver(trainer.events(), first_seq)

    def _trainer(self, dataset: "Dataset", weights: "Weights | None") -> "Trainer":
        from engine.checkpoint import resumable
        from engine.loop import Trainer

        resumed = resumable(self._resume) if self._resume is not None else None
        if self._group is not None:
            from engine.parallel.resumed import from_rank_0

            resumed = from_rank_0(self._group, resumed)
        return Trainer(self.config, dataset, self.control, resumed, weights, self._group)

    def _load(self, loading: Generator[Progress, None, T]) -> T:
        """Make data or weights ready, telling the sinks how far that is."""
        while True:
            try:
                self._before_start(next(loading))
            except StopIteration as end:
                loaded: T = end.value
                return loaded

    def _before_start(self, event: Event) -> None:
        self._stop_if_asked()
        for sink in self._sinks:
            sink.emit(replace(event, time=time.time()))

    def _stop_if_asked(self) -> None:
        """Take messages that come before the run has begun; all but one to stop wait until it has."""
        while (message := self.control.receive()) is not None:
            if isinstance(message, StopNow):
                raise StoppedBeforeStart
            self._early.append(message)

    def _stop_if_any_asked(self) -> None:
        """Stop all ranks where one of them was asked to, so that none begins without the others."""
        asked = False
        try:
            self._stop_if_asked()
        except StoppedBeforeStart:
            if self._group is None:
                raise
            asked = True
        if self._group is not None and self._group.largest(asked):
            raise StoppedBeforeStart

    def _tell_folder(self) -> None:
        """Let the other ranks know where the run is kept."""
        if self._group is None:
            return
        said = self._group.from_first(str(self.run_dir.path.absolute() if self.run_dir else "").encode())
        path = Path(said.decode())
        if self.run_dir is None and self._on_run_dir is not None and said and path.is_dir():
            self._on_run_dir(RunDir(path))

    def _add_file_sinks(self, run: RunDir) -> int:
        """Open the run's own files and return the number of its next event."""
        if self._resume is not None and self.config != run.config():
            write_text(run.config_file, to_toml(self.config))
        history = read_summary(run.events)
        log = EventLog(run.events, self._patience)
        metrics = MetricsSink(run.metrics, history, self._patience)
        own: list[Sink] = [log, metrics, LogFileSink(run.log, history, self._patience)]
        if self.config.telemetry.tensorboard:
            own.append(TensorBoardSink(run.tensorboard, run.events))
        self._own_files = len(own)
        self._sinks = [*own, *self._sinks]
        if self._on_run_dir is not None:
            self._on_run_dir(run)
        return log.next_seq

    def _waits(self, problem: str) -> None:
        """Say that the run waits for its files, or that it goes on: they themselves cannot be told."""
        if self.run_dir is not None:
            self.run_dir.waits_for = problem
            self.run_dir.beat()
        message = problem or "it goes on"
        # Numbered as the event that waits; before the first, what is shown and not kept is told as progress.
        told: Event = Warned(message=message, seq=self._seq, time=time.time())
        if not self._numbers_given:
            told = Progress(activity=message, done=0, total=0, time=time.time())
        for sink in self._sinks[self._own_files :]:
            with contextlib.suppress(Exception):  # who listens does not hold up what waits
                sink.emit(told)

    def _deliver(self, events: Generator[Event, None, None], seq: int) -> None:
        """Number the events and hand them on; a sink that cannot take one ends the run, which says so itself."""
        failure: Exception | None = None
        self._seq = seq
        while True:
            try:
                event = next(events) if failure is None else events.throw(failure)
            except StopIteration:
                return
            # In an epoch, where a warning may stand.
            notes = self._patience.notes() if isinstance(event, Step | Evaluated | RunFinished) else []
            failure = None
            for new in (*(Warned(message=note) for note in notes), event):
                new = replace(new, seq=self._seq, time=time.time())
                if isinstance(new, RunFinished):
                    self.finished = new
                failure = self._emit(new) or failure
                self._seq += 1
                self._numbers_given = True

    def _emit(self, event: Event) -> Exception | None:
        """Give ``event`` to every sink, also after one failed; return the first failure unless nothing follows."""
        failure: Exception | None = None
        for sink in self._sinks:
            try:
                sink.emit(event)
            except Exception as error:
                failure = failure or error
        return failure if self.finished is None else None
