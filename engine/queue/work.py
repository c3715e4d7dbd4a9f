"""Working off the queue on one device: a run after another, each in a process of its own.

A run that diverges, fails or crashes ends its process and not the queue. A signal is handed on to the run in hand,
which saves a checkpoint and stops; then the queue ends.
"""

import contextlib
import signal
import subprocess
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from types import FrameType

from engine.child import module_command
from engine.errors import UserError, WorldError
from engine.queue.device import fits
from engine.queue.file import Draft, Entry, Queue
from engine.queue.locks import is_held, lock, run_lock, worker_lock
from engine.queue.standing import stands
from engine.run_dir import cannot_be_written
from engine.signals import heeded
from engine.text import one_line

_LOCK_SECONDS = 2.0


@dataclass(frozen=True)
class Turn:
    """A run whose turn has come."""

    entry: Entry
    goes_on: bool
    """Whether it began before."""
    place: int
    """From 1, among those of ``of`` that are worked off in one go."""
    of: int


@dataclass
class Worker:
    """Works off the runs of a queue on one device."""

    queue: Queue
    device: str
    """By its full name, such as ``cuda:0``."""
    plan: Callable[[], Collection[int] | None] = lambda: None
    """Asked once nobody else works on the device: the numbers of the runs to train, those that failed included; None:
    all that wait or were interrupted."""
    quiet: bool = False
    """Whether what runs print goes to standard error, so that standard output is left to the caller."""
    stopped_by: signal.Signals | None = None
    """What ended it early."""
    tried: list[int] = field(default_factory=list)
    """Numbers of the runs it has had in hand, in order; each has one turn."""
    _only: Collection[int] | None = None
    _over: set[int] = field(default_factory=set)
    """Numbers of runs that were seen to be done or diverged: their logs need not be read before every turn."""
    _process: subprocess.Popen[bytes] | None = None

    def run(self, announce: Callable[[Turn], object]) -> None:
        """Work until nothing is left to be done here, or a signal comes.

        Args:
            announce: told of each run before it is started.

        Raises:
            UserError: somebody else works on this device.
            WorldError: the queue cannot be read or written, or a process cannot be started.
        """
        with self._alone(), self._signals():
            self._only = self.plan()
            while self.stopped_by is None and (turn := self._next()) is not None:
                announce(turn)
                self._train(turn.entry.number)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Be the only one on this device, and let go of what one that was killed had in hand."""
        runs, name = self.queue.runs, self.device
        with contextlib.ExitStack() as held:
            try:
                runs.mkdir(parents=True, exist_ok=True)
                held.enter_context(lock(worker_lock(runs, name), seconds=_LOCK_SECONDS))
            except TimeoutError:
                raise UserError(
                    f"device {name}: another process works off the queue of {one_line(str(runs))} on it, one run "
                    "at a time; wait for it, or give another device"
                ) from None
            except OSError as error:
                raise cannot_be_written(runs, error) from error
            if is_held(run_lock(runs, name)):
                raise UserError(self._orphan())
            with self.queue.edit() as draft:
                for entry in [one for one in draft.entries if one.device == name]:
                    draft.change(entry.number, device="")
            yield

    def _orphan(self) -> str:
        """Word that a run outlived who started it."""
        working = [stands(self.queue.runs, entry) for entry in self.queue.entries() if entry.device == self.device]
        run = next((standing.run for standing in working if standing.run is not None), None)
        which = f"{run.name} (process {run.process()})" if run is not None else "one that begins"
        return (
            f"device {self.device}: a run of the queue still trains on it, though who started it has gone: {which}"
            "; wait for its end, stop it, or give another device"
        )

    def _next(self) -> Turn | None:
        """Take the first run whose turn has come."""
        waiting = [entry for entry in self.queue.entries() if self._may_take(entry)]
        for entry in waiting:
            with self.queue.edit() as draft:
                now = next((one for one in draft.entries if one.number == entry.number), None)
                if now is None or not self._may_take(now):  # somebody else was first
                    continue
                taken = draft.change(now.number, device=self.device, problem="")
            done = len(self.tried)
            self.tried.append(taken.number)
            return Turn(taken, bool(taken.run), done + 1, done + len(waiting))
        return None

    def _may_take(self, entry: Entry) -> bool:
        if entry.number in self._over or entry.number in self.tried or not fits(entry.config, self.device):
            return False
        if self._only is not None and entry.number not in self._only:
            return False
        state = stands(self.queue.runs, entry).state
        if state == "done" or (state == "diverged" and self._only is None):
            self._over.add(entry.number)
        return state in {"waiting", "interrupted"} or (self._only is not None and state not in {"running", "done"})

    def _train(self, number: int) -> None:
        runs = str(self.queue.runs)
        try:
            self._process = subprocess.Popen(
                module_command("engine.queue.one", runs, str(number), self.device),
                stdin=subprocess.DEVNULL,
                stdout=2 if self.quiet else None,
                start_new_session=True,  # the terminal's Ctrl-C is for this process, which hands it on once
            )
        except (OSError, ValueError) as error:
            self.queue.change(number, device="")
            raise WorldError(f"the run's process could not be started: {one_line(str(error))}") from error
        if self.stopped_by is not None:  # it came before there was anybody to hand it on to
            self._process.send_signal(self.stopped_by)
        status = self._process.wait()
        self._process = None
        with self.queue.edit() as draft:
            self._note_end(draft, number, status)

    def _note_end(self, draft: Draft, number: int, status: int) -> None:
        """Let go of a run, and say so where it ended without having begun; unless somebody has taken it out."""
        if not any(entry.number == number for entry in draft.entries):
            return
        entry = draft.change(number, device="")
        if status and not entry.run and not entry.problem and self.stopped_by is None:
            how = f"with status {status}" if status > 0 else f"by signal {-status}"
            draft.change(number, problem=f"its process ended {how} before the run began")

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Hand signals on to the run in hand; the second one ends it at once."""

        def handle(number: int, _frame: FrameType | None) -> None:
            self.stopped_by = self.stopped_by or signal.Signals(number)
            if self._process is not None and self._process.poll() is None:
                self._process.send_signal(number)

        before = {number: signal.signal(number, handle) for number in heeded()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
