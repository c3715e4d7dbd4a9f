"""The event log can be read after any crash; a damaged line costs one event and nothing else."""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from made_run import MadeRun
from runs_support import keep
from support import train

from engine import event_log
from engine.config_file import build_config
from engine.control import Control, ControlMessage, EvaluateNow, Pause, Resume, SetLearningRate, StopNow
from engine.errors import WorldError
from engine.event_log import EventLog, EventReader, read_events
from engine.events import Event, GradNorms, Step, System, Warned, decode_line, encode
from engine.run_dir import RunDir, iterate
from engine.summary import RunSummary, read_summary
from resnet_tui.charts.curves import curves
from resnet_tui.run.feed import LogFeed
from resnet_tui.run.listing import read
from resnet_tui.run.state import RunState
from resnet_tui.view import View

if TYPE_CHECKING:
    from support import Cases, Cli

IRIS = {
    "name": "iris",
    "model": {"arch": "residual-mlp"},
    "data": {"dataset": "iris"},
    "train": {"device": "cpu", "epochs": 4, "batch_size": 64},
    "telemetry": {"every_steps": 1, "system_seconds": 0.1},
    "prune": {"amount": 0.5, "after_epochs": 1},
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The log of a run that was paused, changed, pruned, evaluated when asked to, stopped and resumed."""
    folder, control = tmp_path_factory.mktemp("runs"), Control()
    asked: dict[int, list[ControlMessage]] = {
        2: [SetLearningRate(lr=0.02), Pause(), Resume()],
        4: [EvaluateNow()],
        7: [StopNow()],
    }

    def ask(event: Event) -> None:
        if isinstance(event, Step):
            for message in asked.pop(event.step, ()):
                control.send(message)

    config = build_config(IRIS, {})
    train(config, folder, control=control, on_event=ask)
    (run,) = iterate(folder)
    train(config, resume=run)
    return run.events.read_bytes()


# Cut -------------------------------------------------------------------------------------------------------------


def test_a_log_that_stops_at_any_byte_is_read_up_to_there_and_gone_on_with(
    whole: bytes, tmp_path: Path, cases: Cases, figure: Callable[[str], None]
) -> None:
    events = [decode_line(line) for line in whole.splitlines()]
    ends = [match.end() for match in re.finditer(b"\n", whole)]
    path = tmp_path / "events.jsonl"
    cuts = range(len(whole) + 1)
    chosen = (
        set(random.Random(3).sample(cuts, min(len(cuts), cases(150, 6000)))) | {end - 1 for end in ends} | {*ends}
    )
    following, followed = EventReader(path), list[Event | None]()
    with path.open("wb", buffering=0) as file:
        for cut in cuts:
            file.write(whole[max(0, cut - 1) : cut])
            followed += following.read()  # at every byte, as who watches the run while it is written
            kept = sum(end <= cut for end in ends[len(followed) - 1 : len(followed) + 1]) + max(0, len(followed) - 1)
            assert followed == events[:kept] if cut in chosen else len(followed) == kept
    for cut in sorted(chosen):
        path.write_bytes(whole[:cut])
        kept = sum(end <= cut for end in ends)
        assert list(read_events(path)) == events[:kept]
        assert len(read_summary(path, steps=False).rows) <= 4
        log = EventLog(path)
        log.emit(Warned(message="after", seq=log.next_seq))
        log.close()
        *before, after = read_events(path)
        assert before in (
            events[:kept],
            events[: kept + 1],
        )  # a line that lacked its line feed alone counts after all
        assert isinstance(after, Warned)
        assert after.seq > max((event.seq for event in before), default=-1)
    figure(
        f"followed through all {len(cuts):,} byte offsets of a log; at {len(chosen):,} of them cut, "
        "read anew and gone on with"
    )


# Fuzzed ----------------------------------------------------------------------------------------------------------

NUMBERS = [
    *b"-1 0 0.5 1e308 -1e308 1e400 1e-320 1e11 9223372036854775807 -9223372036854775808".split(),
    *b'NaN "NaN" "Infinity" "-Infinity" true null "" [] "7"'.split(),
    *(b"1" + b"0" * 30, b"1" + b"0" * 400, b"1" * 5000),  # the second is a number that no float can hold
]
JUNK = [
    *(b"", b"{}", b"null", b"\r", b"\xff\xfe\x00", b"\x1b]52;c;aGk=\x07", b'{"kind":"step"}'),
    *(b"[" * 5000, b'{"a":' * 5000, b"\x00" * 100_000, b'"' + b"x" * 70_000),
    b'{"kind":"progress","activity":"\\ud800","done":1,"total":2}',
]
STRINGS = [b'"\\u001b[2J"', b'"\\ud800"', b'"[/red][@click=app.exit]x"', b'""', b'"' + b"y" * 20_000 + b'"', b"7"]

Line = tuple[bytes, bool]
"""A line, and whether it is as it was written."""


def mutate(lines: list[Line], chance: random.Random) -> None:
    """Do to one line what a broken disk, a broken program or a hostile hand would."""
    at = chance.randrange(len(lines))
    line = lines[at][0] or b"?"
    match chance.randrange(10):
        case 0:
            bit = chance.randrange(8 * len(line))
            changed = bytearray(line)
            changed[bit // 8] ^= 1 << bit % 8
            lines[at] = bytes(changed), False
        case 1:
            other = chance.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        case 2:
            lines.insert(chance.randrange(len(lines)), lines[at])
        case 3:
            lines[at] = line[: chance.randrange(len(line))], False
        case 4:
            del lines[at]
        case 5:
            lines.insert(at, (chance.choice(JUNK), False))
        case 6:
            lines[at] = replaced(line, rb"(?<=[:,\[])-?\d[\d.e+-]*", chance.choice(NUMBERS), chance), False
        case 7:
            lines[at] = replaced(line, rb'(?<=[:,\[])"[^"]*"', chance.choice(STRINGS), chance), False
        case 8:
            lines[at] = replaced(line, rb'"[a-z_]+":[^,{}\[\]]+,', b"", chance), False
        case 9:
            other_line = lines[chance.randrange(len(lines))][0]
            lines[at] = line[: len(line) // 2] + other_line[len(other_line) // 2 :], False


def replaced(line: bytes, pattern: bytes, new: bytes, chance: random.Random) -> bytes:
    """Put ``new`` in the place of one of what ``pattern`` matches."""
    found = list(re.finditer(pattern, line))
    if not found:
        return new
    match = chance.choice(found)
    return line[: match.start()] + new + line[match.end() :]


def is_subsequence(wanted: Iterable[Event], found: Iterable[Event]) -> bool:
    left = iter(found)
    return all(any(event == other for other in left) for event in wanted)


def test_whatever_happens_to_its_lines_every_other_event_is_read_and_nothing_fails(
    whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cases: Cases, figure: Callable[[str], None]
) -> None:
    count_as_long(monkeypatch)
    run = keep(tmp_path, "run", [])
    chance, count, lost = random.Random(4), cases(1000, 20_000), 0
    written = {line: decode_line(line) for line in whole.splitlines()}
    for number in range(count):
        lines: list[Line] = [(line, True) for line in whole.splitlines()]
        for _ in range(chance.choice((1, 1, 2, 5, 20))):
            mutate(lines, chance)
        run.events.write_bytes(b"".join(line + b"\n" for line, _ in lines))
        untouched = [event for line, intact in lines if intact and (event := written[line]) is not None]
        reader = EventReader(run.events)
        events = list(reader.read())
        assert is_subsequence(untouched, events)
        # A line feed among the damage makes two lines of one; none is lost without being counted.
        assert len(events) + reader.damaged == sum(map(bool, run.events.read_bytes().split(b"\n")))
        lost += reader.damaged
        condensed = list(EventReader(run.events, condense=True).read())
        kept = [event for event in untouched if not isinstance(event, Step | GradNorms | System)]
        assert is_subsequence(kept, condensed)
        for shown in (events, condensed):
            state = folded(shown)
            if number % 10 == 0:
                assert_drawn(state)
        assert_listed(run, events)
    figure(f"{count:,} damaged logs read: {lost:,} lines counted as damaged, every other event found")


def count_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every log here count as a long one, with lines that end in other pieces than they are read in."""
    monkeypatch.setattr(event_log, "_PLAIN_BYTES", 1 << 12)
    monkeypatch.setattr(event_log, "_END_BYTES", 1 << 10)
    monkeypatch.setattr(event_log, "_CHUNK", 1 << 11)


@pytest.mark.parametrize("field", ["seq", "time", "step", "epoch", "steps", "images"])
def test_a_damaged_reading_of_a_long_log_costs_only_itself(
    field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    """Neighbouring readings of a long log are read as one, of which a single one may not spoil the others."""
    count_as_long(monkeypatch)
    run, _ = (keep(tmp_path / "runs", name, MadeRun(9).whole([0.5] * 9), MadeRun(9)) for name in "ab")
    lines = run.events.read_bytes().splitlines(keepends=True)
    readings = [at for at, line in enumerate(lines) if b'"kind":"step"' in line]
    for at, value in zip(readings[15::20], (b"1" + b"0" * 400, b"1e300", b"1" + b"0" * 30), strict=False):
        lines[at] = re.sub(rb'"%b":[\d.]+' % field.encode(), b'"%b":%b' % (field.encode(), value), lines[at])
    run.events.write_bytes(b"".join(lines))
    events = list(EventReader(run.events, condense=True).read())
    assert len(events) < len(lines) - 20, "none were read as one"
    assert sum(event.steps for event in events if isinstance(event, Step)) == len(readings) - 3
    for command in (("report", "a"), ("report", "a", "--format", "html"), ("compare", "a", "b", "--print")):
        said = cli(*command)
        assert (said.returncode, said.stderr) == (0, "")


def folded(events: list[Event]) -> RunState:
    """Fold ``events`` as the dashboard does."""
    state = RunState()
    for event in events:
        state.apply(event)
    assert_asked(state.summary)
    return state


def assert_drawn(state: RunState) -> None:
    for curve in curves(state):
        curve.build(state, View())


def assert_listed(run: RunDir, events: list[Event]) -> None:
    """Read the run as the lists and a process that goes on with it do."""
    try:
        assert_asked(read_summary(run.events))
    except WorldError:
        assert not events
    listed = read(run)
    assert (listed.entry.state == "damaged") == (not events), listed.entry.reason
    json.dumps(asdict(listed.entry))
    assert isinstance(listed.curve, tuple)


def assert_asked(summary: RunSummary) -> None:
    """Ask everything that lists and screens ask."""
    for now in (0.0, 2e9, time.time()):
        summary.eta(now)
    summary.best()
    assert summary.average_error is None or isinstance(summary.average_error, float)
    assert (summary.state, summary.total_steps, summary.images_per_second, summary.splits) is not None


# Watched ---------------------------------------------------------------------------------------------------------


def test_a_log_that_is_cut_and_written_on_while_it_is_watched_is_shown_as_it_is(
    whole: bytes, tmp_path: Path, cases: Cases, figure: Callable[[str], None]
) -> None:
    run = keep(tmp_path, "run", [])
    feed, shown, restarts = LogFeed(run), list[Event](), 0
    feed.begin(lambda: None)

    def take_until(wanted: Callable[[], bool]) -> None:
        nonlocal restarts
        deadline = time.monotonic() + 30
        while not wanted():
            while batch := feed.take():
                if batch.restart:
                    shown.clear()
                    restarts += 1
                shown.extend(batch.events)
            assert not feed.problem
            assert time.monotonic() < deadline, "it never came"
            time.sleep(0.005)

    def matches() -> bool:
        return shown == list(read_events(run.events))

    chance, rounds = random.Random(5), cases(12, 150)
    for number in range(rounds):
        with run.events.open("ab", buffering=0) as file:  # in pieces that end anywhere, some of them damaged
            for _ in range(3):
                begin = chance.randrange(len(whole))
                file.write(whole[begin : begin + chance.randrange(4000)] + chance.choice((b"", b"\n", b"\xff\n")))
            file.write(b"\n" + encode(Warned(message="the end of this round", seq=number)))
        take_until(matches)
        before, size = restarts, run.events.stat().st_size
        if number % 2:
            os.truncate(run.events, chance.randrange(size))
        else:  # replaced, by a shorter one
            other = tmp_path / "other"
            other.write_bytes(whole[: chance.randrange(min(len(whole), size))])
            other.replace(run.events)
        take_until(lambda before=before: restarts > before)  # type: ignore[misc]
        take_until(matches)
    feed.stop()
    feed.join(10)
    assert not feed.is_alive()
    figure(f"{rounds} times written in pieces, cut or replaced, and shown each time as it was on disk")
