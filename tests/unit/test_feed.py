"""Following the log of a run, whoever writes it and whatever becomes of it; nothing is slept for."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from made_run import MadeRun, reading
from runs_support import keep

from engine.events import Event, RunFinished, RunStarted, Step, encode
from engine.run_dir import RunDir
from resnet_tui.run.feed import BATCH, Batch, LogFeed


class Follower:
    """Follows a run and keeps what came."""

    def __init__(self, run: RunDir) -> None:
        self.run, self.feed = run, LogFeed(run)
        self.batches: list[Batch] = []
        self.feed.begin(lambda: None)

    @property
    def events(self) -> list[Event]:
        return [event for batch in self.batches for event in batch.events]

    @property
    def last(self) -> Batch | None:
        return self.batches[-1] if self.batches else None

    def until(self, wanted: Callable[[], object], timeout: float = 20) -> None:
        """Take batches until ``wanted`` holds."""
        deadline = time.monotonic() + timeout
        while not wanted():
            while batch := self.feed.take():
                self.batches.append(batch)
            assert time.monotonic() < deadline, f"never came; {len(self.events)} events, last {self.last}"
            time.sleep(0.005)


@pytest.fixture
def follow() -> Iterator[Callable[[RunDir], Follower]]:
    """Return what follows a run until the test is over."""
    followers: list[Follower] = []

    def begin(run: RunDir) -> Follower:
        followers.append(Follower(run))
        return followers[-1]

    yield begin
    for follower in followers:
        follower.feed.stop()
        follower.feed.join(5)
        assert not follower.feed.is_alive()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunDir]:
    """The folder of a run, held by a process: this one."""
    run = keep(tmp_path, "run", [])
    run.acquire()
    yield run
    run.release()


def append(run: RunDir, *events: Event) -> None:
    with run.events.open("ab") as file:
        file.writelines(map(encode, events))


def steps(events: Iterable[Event]) -> list[int]:
    return [event.step for event in events if isinstance(event, Step)]


def test_a_run_is_followed_from_before_its_first_event_to_its_end(
    run: RunDir, follow: Callable[[RunDir], Follower]
) -> None:
    follower = follow(run)
    follower.until(lambda: follower.batches)
    assert follower.batches == [Batch((), alive=True)]  # so that one may say that it is alive
    events = list(MadeRun(2).whole([0.5, 0.6]))
    for begin, end in pairwise((0, 1, 2, 9, len(events))):
        append(run, *events[begin:end])
        follower.until(lambda end=end: len(follower.events) == end)  # type: ignore[misc]
    run.release()
    follower.until(lambda: follower.last is not None and not follower.last.alive)
    assert follower.events == events


def test_a_finished_run_is_read_at_once_and_half_a_line_waits_for_its_other_half(
    run: RunDir, follow: Callable[[RunDir], Follower]
) -> None:
    run.release()
    events = list(MadeRun(1).whole([0.5]))
    lines = b"".join(map(encode, events))
    run.events.write_bytes(lines[:-7])
    follower = follow(run)
    follower.until(lambda: len(follower.events) == len(events) - 1)
    with run.events.open("ab") as file:
        file.write(lines[-7:])
    follower.until(lambda: len(follower.events) == len(events))
    assert isinstance(follower.events[-1], RunFinished)
    assert not any(batch.alive for batch in follower.batches)


def test_a_killed_run_is_told_to_be_over_although_it_never_said_so(
    run: RunDir, follow: Callable[[RunDir], Follower]
) -> None:
    made = MadeRun(3)
    append(run, *made.begin(), *made.epoch(1))
    follower = follow(run)
    follower.until(lambda: len(follower.events) == 13)
    assert follower.last is not None
    assert follower.last.alive
    append(run, *made.epoch(2, last=3))  # what it wrote in its last moment
    run.release()
    follower.until(lambda: not follower.last.alive, timeout=5)  # type: ignore[union-attr]
    assert steps(follower.events) == list(range(1, 14))
    assert not isinstance(follower.events[-1], RunFinished)


def test_a_run_that_another_process_goes_on_with_comes_back_to_life(
    run: RunDir, follow: Callable[[RunDir], Follower]
) -> None:
    made = MadeRun(3)
    append(run, *made.begin(), *made.epoch(1), made.finish("stopped", "a person"))
    run.release()
    follower = follow(run)
    follower.until(lambda: follower.events and isinstance(follower.events[-1], RunFinished))
    before = len(follower.batches)
    run.acquire()
    append(run, *made.begin(resumed_at=10), *made.epoch(2))
    follower.until(lambda: len(follower.events) == 14 + 13)
    follower.until(lambda: follower.last is not None and follower.last.alive)
    assert any(isinstance(event, RunStarted) for batch in follower.batches[before:] for event in batch.events)


def test_a_run_that_goes_on_is_never_told_to_be_without_a_process(
    run: RunDir, follow: Callable[[RunDir], Follower]
) -> None:
    made = MadeRun(3)
    append(run, *made.begin(), *made.epoch(1), made.finish("stopped", "a person"))
    run.release()
    follower = follow(run)
    follower.until(lambda: len(follower.events) == 14)
    run.acquire()
    append(run, *made.begin(resumed_at=10))
    follower.until(lambda: len(follower.events) == 16)
    told = [batch for batch in follower.batches if any(map(resumed, batch.events))]
    assert [batch.alive for batch in told] == [True]


def resumed(event: Event) -> bool:
    return isinstance(event, RunStarted) and event.resumed_at is not None


def test_damaged_lines_cost_only_themselves(run: RunDir, follow: Callable[[RunDir], Follower]) -> None:
    events = list(MadeRun(1).whole([0.5]))
    junk = [b"\n", b"{}\n", b"\xff\xfe\x00\n", b'{"kind":"step","step":"x"}\n', b"[" * 5000 + b"\n"]
    lines = [line for index, event in enumerate(events) for line in (junk[index % len(junk)], encode(event))]
    run.events.write_bytes(b"".join(lines))
    follower = follow(run)
    follower.until(lambda: len(follower.events) == len(events))
    assert follower.events == events


def test_a_folder_that_is_deleted_while_it_is_followed_is_said_to_be_gone(
    run: RunDir, follow: Callable[[RunDir], Follower]
) -> None:
    made = MadeRun(3)
    append(run, *made.begin(), *made.epoch(1))
    follower = follow(run)
    follower.until(lambda: len(follower.events) == 13)
    run.release()
    shutil.rmtree(run.path)
    follower.until(lambda: follower.feed.problem)
    assert "gone" in follower.feed.problem


def test_another_log_in_the_place_of_the_one_that_is_followed_begins_anew(
    run: RunDir, follow: Callable[[RunDir], Follower]
) -> None:
    append(run, *MadeRun(2).whole([0.5, 0.6]))
    follower = follow(run)
    follower.until(lambda: len(follower.events) == 29)
    other = list(MadeRun(2, start=2e6).begin())
    run.events.write_bytes(b"".join(map(encode, other)))
    follower.until(lambda: any(batch.restart for batch in follower.batches))
    begun = next(index for index, batch in enumerate(follower.batches) if batch.restart)
    del follower.batches[:begun]
    follower.until(lambda: len(follower.events) == len(other))
    assert follower.events == other


def test_what_cannot_be_read_is_told_and_raises_nothing(run: RunDir, follow: Callable[[RunDir], Follower]) -> None:
    run.events.unlink()
    run.events.mkdir()  # permissions would not keep an administrator out
    follower = follow(run)
    follower.until(lambda: follower.feed.problem)
    assert str(run.events) in follower.feed.problem


def test_a_flood_waits_on_disk_and_comes_whole_and_in_order(
    run: RunDir, follow: Callable[[RunDir], Follower]
) -> None:
    flood = 50_000
    append(run, *MadeRun(flood).begin())
    follower = follow(run)
    follower.until(lambda: len(follower.events) == 2)
    append(run, *map(reading, range(1, flood + 1)))
    deadline = time.monotonic() + 20
    while not follower.feed._queue.full():  # an interface that is slower than the reader
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert 2 <= follower.feed._queue.maxsize <= 8
    follower.until(lambda: len(follower.events) == 2 + flood)
    assert steps(follower.events) == list(range(1, flood + 1))
    assert max(len(batch.events) for batch in follower.batches) <= BATCH
    assert all(batch.behind for batch in follower.batches if len(batch.events) == BATCH)
    follower.until(lambda: not follower.last.behind)  # type: ignore[union-attr]


def test_a_run_that_ends_while_its_log_is_read_is_never_told_to_be_lost(
    run: RunDir, follow: Callable[[RunDir], Follower], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = MadeRun(1)
    append(run, *made.begin())
    follower = follow(run)
    follower.until(lambda: len(follower.events) == 2)
    is_alive, ended = RunDir.is_alive, False

    def ends_meanwhile(self: RunDir) -> bool:
        nonlocal ended
        if not ended:
            ended = True
            append(run, made.finish("completed", ""))
            run.release()
        return is_alive(self)

    monkeypatch.setattr(RunDir, "is_alive", ends_meanwhile)
    append(run, reading(1))
    follower.until(lambda: follower.last is not None and not follower.last.alive)
    assert isinstance(follower.events[-1], RunFinished)
    assert next(batch for batch in follower.batches if not batch.alive).events == ()


def test_stopping_does_not_wait_for_the_reader_even_where_nobody_takes_what_it_read(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(run, *MadeRun(1000).begin(), *map(reading, range(1, 10_001)))
    feed = LogFeed(run)
    feed.begin(lambda: None)
    deadline = time.monotonic() + 20
    while not feed._queue.full():  # it stands in the middle of putting one more
        assert time.monotonic() < deadline
        time.sleep(0.005)
    with monkeypatch.context() as patch:
        patch.setattr(feed, "join", lambda _timeout=None: pytest.fail("it waits"))
        feed.stop()
    feed.join(20)
    assert not feed.is_alive()
