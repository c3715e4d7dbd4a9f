"""Who works off the queue takes what nobody else has, on its own device, and stops when it is told."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from made_run import MadeRun
from runs_support import keep
from support import tiny

from engine.errors import UserError
from engine.queue import one, work
from engine.queue.file import Entry, Queue
from engine.queue.locks import lock, run_lock
from engine.queue.standing import Standing, stands
from engine.queue.work import Turn, Worker

REFUSED = """
import sys
from pathlib import Path
from engine.queue.file import Queue
Queue(Path(sys.argv[1])).change(int(sys.argv[2]), problem="refused")
"""
VANISHES = """
import sys
from pathlib import Path
from engine.queue.file import Queue
with Queue(Path(sys.argv[1])).edit() as draft:
    draft.remove([int(sys.argv[2])])
"""
WAITS = "import time; time.sleep(60)"


def instead(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let the process of a run do something else than train."""
    monkeypatch.setattr(work, "module_command", lambda _, *arguments: [sys.executable, "-c", code, *arguments])


def filled(runs: Path, *devices: str) -> Queue:
    queue = Queue(runs)
    with queue.edit() as draft:
        for device in devices:
            draft.add("", tiny(train__device=device))
    return queue


def nothing(_: Turn) -> None:
    pass


def at_first(act: Callable[[], object]) -> Callable[[Turn], None]:
    """Do something as the first run is about to begin."""

    def announce(turn: Turn) -> None:
        if turn.place == 1:
            act()

    return announce


def test_two_at_once_take_different_runs_that_fit_their_devices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    instead(monkeypatch, REFUSED)
    queue = filled(tmp_path, "auto", "cpu", "auto", "cuda", "cuda:1")
    first, other = Worker(queue, "cpu"), Worker(queue, "cuda:0")
    first.run(at_first(lambda: other.run(nothing)))
    assert (first.tried, other.tried) == ([1, 2], [3, 4])
    assert [entry.problem for entry in queue.entries()] == ["refused"] * 4 + [""]
    assert {entry.device for entry in queue.entries()} == {""}


def test_nobody_else_works_on_the_same_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    instead(monkeypatch, REFUSED)
    queue = filled(tmp_path, "auto")
    refused = []

    def try_too() -> None:
        with pytest.raises(UserError, match="another process works off the queue") as raised:
            Worker(queue, "cpu").run(nothing)
        refused.append(raised.value)

    Worker(queue, "cpu").run(at_first(try_too))
    assert refused


def test_a_run_that_outlived_its_queue_keeps_the_device(tmp_path: Path) -> None:
    queue = filled(tmp_path, "auto")
    with (
        lock(run_lock(tmp_path, "cpu"), seconds=0),
        pytest.raises(UserError, match="a run of the queue still trains on it"),
    ):
        Worker(queue, "cpu").run(nothing)


def test_what_one_that_was_killed_had_in_hand_waits_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    instead(monkeypatch, REFUSED)
    queue = filled(tmp_path, "auto")
    queue.change(1, device="cpu")
    worker = Worker(queue, "cpu")
    worker.run(nothing)
    assert worker.tried == [1]


def test_one_that_is_only_refused_is_tried_again_where_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    instead(monkeypatch, REFUSED)
    queue = filled(tmp_path, "auto", "auto")
    Worker(queue, "cpu").run(nothing)
    again, named = Worker(queue, "cpu"), Worker(queue, "cpu", plan=lambda: {2})
    again.run(nothing)
    named.run(nothing)
    assert (again.tried, named.tried) == ([], [2])


def test_a_process_that_ends_by_itself_before_its_run_began_is_said_to_have_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    instead(monkeypatch, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    queue = filled(tmp_path, "auto")
    Worker(queue, "cpu").run(nothing)
    assert "ended by signal 9 before the run began" in queue.entries()[0].problem


def test_one_that_vanishes_while_it_trains_ends_no_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    instead(monkeypatch, VANISHES)
    queue = filled(tmp_path, "auto", "auto")
    worker = Worker(queue, "cpu")
    worker.run(nothing)
    assert worker.tried == [1, 2]
    assert queue.entries() == ()


def test_a_log_of_what_is_done_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    instead(monkeypatch, REFUSED)
    made = MadeRun(1)
    keep(tmp_path, "done", made.whole([0.5]), made)
    queue = filled(tmp_path, "auto", "auto", "auto")
    queue.change(1, run="done")
    looked = []

    def counted(runs: Path, entry: Entry) -> Standing:
        looked.append(entry.number)
        return stands(runs, entry)

    monkeypatch.setattr(work, "stands", counted)
    worker = Worker(queue, "cpu")
    worker.run(nothing)
    assert worker.tried == [2, 3]
    assert looked.count(1) == 1


@contextlib.contextmanager
def in_the_way(runs: Path) -> Iterator[None]:
    """Let there be a folder where the lock is to be."""
    run_lock(runs, "cpu").mkdir()
    yield


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda runs: lock(run_lock(runs, "cpu"), seconds=0), "another run of the queue trains on cpu"),
        (in_the_way, "cannot be written"),
    ],
)
def test_why_a_device_could_not_be_had_is_in_the_queue(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    break_it: Callable[[Path], contextlib.AbstractContextManager[None]],
    said: str,
) -> None:
    queue = filled(tmp_path, "auto")
    monkeypatch.setattr(one, "_LOCK_SECONDS", 0.05)
    monkeypatch.setattr(sys, "argv", ["one", str(tmp_path), "1", "cpu"])
    with break_it(tmp_path):
        assert one.main() == 1
    assert said in queue.entries()[0].problem


def test_several_processes_are_refused_also_where_they_wait_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Queue(tmp_path)
    with queue.edit() as draft:
        draft.add("", tiny(train__processes=2))
    monkeypatch.setattr(sys, "argv", ["one", str(tmp_path), "1", "cpu"])
    assert one.main() == 2
    assert "one process a device; train.processes = 2: use" in queue.entries()[0].problem


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_handed_on_and_ends_the_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    instead(monkeypatch, WAITS)
    queue = filled(tmp_path, "auto", "auto")
    before = signal.getsignal(number)
    worker = Worker(queue, "cpu")
    worker.run(at_first(lambda: os.kill(os.getpid(), number)))
    assert (worker.stopped_by, worker.tried) == (number, [1])
    assert [(entry.device, entry.problem) for entry in queue.entries()] == [("", "")] * 2
    assert signal.getsignal(number) == before
