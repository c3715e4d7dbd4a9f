"""Playing a recorded run: its clock, seeking, and logs that are no good."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from made_run import MadeRun, reading

from engine.events import Event, Step, encode
from engine.run_dir import RunDir
from resnet_tui.run.replay import LONGEST_GAP, ReplayFeed
from resnet_tui.run.state import RunState

Play = Callable[..., "Player"]


class Player:
    """Plays a log and keeps the state that a screen would show."""

    def __init__(self, lines: bytes, folder: Path, *, speed: float = 1.0, paused: bool = True) -> None:
        run = RunDir(folder)
        run.events.write_bytes(lines)
        self.feed = ReplayFeed(run, speed)
        self.feed.pause(paused)
        self.state, self.events = RunState(), list[Event]()
        self.restarts, self.alive = 0, True
        self.feed.begin(lambda: None)

    def until(self, wanted: Callable[[], object], timeout: float = 20) -> None:
        """Take what is played until ``wanted`` holds."""
        deadline = time.monotonic() + timeout
        while not wanted():
            while batch := self.feed.take():
                self.alive = batch.alive
                if batch.restart:
                    self.state, self.events = RunState(), []
                    self.restarts += 1
                for event in batch.events:
                    self.state.apply(event)
                    self.events.append(event)
            assert time.monotonic() < deadline, f"never came; {len(self.events)} events at {self.feed.position}"
            time.sleep(0.005)

    def seek(self, position: float) -> None:
        """Go to ``position`` and wait until it is there."""
        self.until(lambda: self.feed.length)
        self.feed.seek(position)
        self.until(lambda: self.feed.position == min(position, self.feed.length))

    @property
    def steps(self) -> list[int]:
        return [event.step for event in self.events if isinstance(event, Step)]


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    """Return what plays events, standing still at their first unless told otherwise, until the test is over."""
    players: list[Player] = []

    def begin(events: Iterable[Event] | bytes, **options: float | bool) -> Player:
        lines = events if isinstance(events, bytes) else b"".join(map(encode, events))
        players.append(Player(lines, tmp_path, **options))  # type: ignore[arg-type]  # see Player
        return players[-1]

    yield begin
    for player in players:
        player.feed.stop()
        player.feed.join(5)
        assert not player.feed.is_alive()


def made() -> list[Event]:
    """Two epochs of ten seconds."""
    return list(MadeRun(2).whole([0.5, 0.6]))


def test_played_to_its_end_it_is_the_run(play: Play) -> None:
    events = made()
    player = play(events, speed=512.0, paused=False)
    player.until(lambda: player.feed.ended and len(player.events) == len(events))
    assert player.events == events


def test_a_lost_run_is_lost_at_its_end_and_not_before(play: Play) -> None:
    player = play(made()[:-3])
    player.seek(5.0)
    player.until(lambda: player.steps)
    assert player.alive
    player.seek(1000.0)
    player.until(lambda: not player.alive)


def test_it_goes_to_any_place_and_stays_there_while_it_stands_still(play: Play) -> None:
    player = play(made())
    player.seek(4.0)
    player.until(lambda: player.steps == [1, 2, 3, 4])
    player.seek(7.5)
    player.until(lambda: player.steps == [1, 2, 3, 4, 5, 6, 7])
    assert player.feed.position == 7.5  # no time passed
    assert player.restarts == 0
    player.seek(2.0)
    player.until(lambda: player.restarts == 1 and player.steps == [1, 2])
    assert player.state.summary.step == 2
    player.seek(1e9)
    player.until(lambda: player.state.summary.outcome == "completed")
    assert player.feed.ended
    player.seek(0.0)
    player.until(lambda: player.restarts == 2 and player.steps == [] and player.events)
    assert not player.feed.ended


def test_it_goes_on_from_where_it_stood_at_the_speed_that_is_wanted(play: Play) -> None:
    player = play(made(), speed=0.25)
    player.seek(3.0)
    player.feed.set_speed(512.0)
    player.until(lambda: player.steps)
    assert player.steps == [1, 2, 3]
    player.feed.pause(False)
    player.until(lambda: player.feed.ended)
    assert player.restarts == 0


def test_a_long_gap_is_shortened_and_a_clock_that_was_set_back_costs_nothing(play: Play) -> None:
    times = (100.0, 101.0, 101.0 + 86_400, 102.0 + 86_400, 50.0, 52.0)
    (start, *_), events = list(MadeRun(2).begin()), [
        replace(reading(step), time=at) for step, at in enumerate(times, 1)
    ]  # fmt: skip
    player = play([replace(start, time=100.0), *events])
    player.until(lambda: player.feed.length)
    assert player.feed.length == 1 + LONGEST_GAP + 1 + 0 + 2
    player.seek(2.0)
    player.until(lambda: player.steps == [1, 2])
    player.seek(1 + LONGEST_GAP)
    player.until(lambda: player.steps == [1, 2, 3])
    player.seek(2 + LONGEST_GAP)
    player.until(lambda: player.steps == [1, 2, 3, 4, 5])


def test_one_event_is_all_there_is(play: Play) -> None:
    player = play(list(MadeRun(1).begin())[:1], paused=False)
    player.until(lambda: player.events)
    assert player.feed.ended
    assert player.feed.length == 0


def test_an_empty_log_is_told_to_be_one(play: Play) -> None:
    player = play(b"", paused=False)
    player.until(lambda: player.feed.problem)
    assert "empty" in player.feed.problem


def test_damaged_lines_are_passed_over_in_their_place(play: Play) -> None:
    events = made()
    lines = b""
    for index, event in enumerate(events):
        line = encode(event)
        junk = (b"\n", line[:40] + b"\n", b'{"seq":0,"time":-5.0,"kind":"step"}\n', b"\xff\n", b"{\n")
        lines += junk[index % len(junk)] + line
    player = play(lines)
    player.seek(4.0)
    player.until(lambda: player.steps == [1, 2, 3, 4])
    player.seek(2.0)
    player.until(lambda: player.restarts and player.steps == [1, 2])
    player.seek(1e9)
    player.until(lambda: len(player.events) == len(events))
    assert player.events == events


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    feed = ReplayFeed(RunDir(tmp_path / "none"))
    feed.begin(lambda: None)
    feed.join(20)
    assert "events.jsonl" in feed.problem


def test_going_to_and_fro_ends_at_the_same_state(play: Play) -> None:
    player = play(made())
    for place in (9.0, 3.0, 15.0, 0.0, 12.0, 4.0):
        player.seek(place)
    player.until(lambda: player.steps == [1, 2, 3, 4])
    straight = RunState()
    for event in player.events:
        straight.apply(event)
    assert player.state.loss.by_step() == straight.loss.by_step()
    assert player.state.summary.rows == straight.summary.rows
