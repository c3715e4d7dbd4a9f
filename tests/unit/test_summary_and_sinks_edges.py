"""Edges of the summary and the sinks; each test fails when the line that it names in a comment is changed."""

from __future__ import annotations

import io
import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from made_run import CHECKPOINT, EVALUATION, IMAGES, STEPS, MadeRun, reading
from rich.console import Console

from engine import words
from engine.events import ControlApplied, Event, Progress, RunStarted, Warned, encode
from engine.sinks.console import ConsoleSink
from engine.sinks.json_lines import JsonLinesSink
from engine.sinks.log_file import LogFileSink
from engine.sinks.metrics import MetricsSink
from engine.summary import RunSummary, read_summary


def fold(events: list[Event], summary: RunSummary | None = None) -> RunSummary:
    summary = summary or RunSummary()
    for event in events:
        summary.apply(event)
    return summary


def applied(run: MadeRun, command: str, *, after: float = 0.0) -> Event:
    return run.at(ControlApplied(step=0, command=command, value=None, source="test", id="1"), after=after)


# Summary -------------------------------------------------------------------------------------------------------


def test_a_pause_stops_the_estimate_and_the_clock() -> None:
    run = MadeRun(2)
    summary = fold([*run.begin(), *run.epoch(1, last=8)])
    left, elapsed = summary.eta(run.now), summary.elapsed
    assert left is not None
    summary.apply(applied(run, "pause", after=0.25))
    assert summary.eta(run.now) == summary.eta(run.now + 5000) == pytest.approx(left)
    summary.apply(applied(run, "resume", after=5000))
    assert summary.eta(run.now) == pytest.approx(left), "the pause is not taken for progress"
    assert summary.elapsed == pytest.approx(elapsed + 0.25)


def test_a_clock_that_was_set_back_does_not_lengthen_the_estimate() -> None:
    run = MadeRun(2)
    summary = fold([*run.begin(), *run.epoch(1, last=8)])
    assert summary.eta(run.now - 5000) == summary.eta(run.now)


def test_the_estimate_counts_steps_not_reports() -> None:
    run = MadeRun(2)
    summary = fold([*run.begin(), *run.epoch(1, last=2)])
    together = replace(reading(8), steps=6, images=6 * IMAGES)  # 6 seconds
    summary.apply(run.at(together, after=6.0))
    evaluations = 2 * (2 * IMAGES) / (3 * IMAGES)
    assert summary.eta(run.now) == pytest.approx(12.0 + evaluations)


def test_the_estimate_follows_a_change_of_speed() -> None:
    run = MadeRun(20)
    events: list[Event] = [*run.begin(), *run.epoch(1), run.evaluated(1, "test", 0.5), *run.epoch(2, last=0)]
    slow = [run.at(replace(reading(STEPS + i), images_per_second=IMAGES / 10), after=10.0) for i in range(1, 10)]
    events += [*slow, run.at(replace(reading(20), images_per_second=IMAGES / 10), after=10.0)]
    events += [run.evaluated(2, "test", 0.5), *run.epoch(3, last=0)]
    events += [run.at(replace(reading(i), images_per_second=IMAGES / 10), after=10.0) for i in range(21, 31)]
    events.append(run.evaluated(3, "test", 0.5))
    assert fold(events).eta(run.now) == pytest.approx(17 * (STEPS * 10.0 + EVALUATION))


def test_an_evaluation_counts_down_although_it_tells_of_its_progress() -> None:
    run = MadeRun(1)
    summary = fold([*run.begin(), *run.epoch(1)])
    left, began = summary.eta(run.now), run.now
    assert left is not None
    summary.apply(run.at(Progress(activity="evaluating test", done=4, total=16), after=0.4))
    assert summary.eta(began + 0.5) == pytest.approx(left - 0.5)


def test_an_evaluation_of_the_training_images_belongs_to_no_row() -> None:
    run = MadeRun(1)
    events: list[Event] = [
        *run.begin(),
        *run.epoch(1),
        run.evaluated(1, "train", 0.99),
        run.evaluated(1, "test", 0.5),
    ]
    (row,) = fold(events).rows
    assert row.test_accuracy == 0.5
    assert row.seconds == pytest.approx(STEPS + 2 * EVALUATION)


def test_a_resumed_run_without_its_checkpoint_in_the_log_begins_the_epoch_anew() -> None:
    run = MadeRun(2)
    events: list[Event] = [*run.begin(), *run.epoch(1, last=7), run.checkpoint(7, 0)]
    events += [*run.begin(resumed_at=0), *run.epoch(1), *run.end_epoch(1, 0.5)]
    (row,) = fold(events).rows
    assert row.train_loss == pytest.approx(5.5)
    assert row.seconds == pytest.approx(STEPS + CHECKPOINT + EVALUATION)


def test_a_run_can_be_resumed_twice_from_the_same_checkpoint() -> None:
    run = MadeRun(2)
    events: list[Event] = [*run.begin(), *run.epoch(1, last=4), run.checkpoint(4, 0)]
    for last in (8, 9, 10):
        events += [*run.begin(resumed_at=4), *run.epoch(1, first=5, last=last)]
    (row,) = fold([*events, run.evaluated(1, "test", 0.5)]).rows
    assert row.train_loss == pytest.approx(5.5)


def test_what_passes_between_two_processes_is_no_time_of_the_run() -> None:
    run = MadeRun(2)
    summary = fold([*run.begin(), *run.epoch(1), *run.end_epoch(1, 0.5)])
    started, elapsed = summary.started, summary.elapsed
    summary.apply(run.at(Progress(activity="decoding images", done=1, total=2), after=5000))
    fold([*run.begin(resumed_at=STEPS)], summary)
    assert (summary.started, summary.elapsed) == (started, elapsed)


def test_a_lost_line_never_breaks_the_fold(tmp_path: Path) -> None:
    run = MadeRun(2, val=True)
    events: list[Event] = [*run.begin(), *run.epoch(1), *run.end_epoch(1, 0.4), applied(run, "pause")]
    events += [applied(run, "resume"), *run.begin(resumed_at=STEPS), *run.epoch(2), *run.end_epoch(2, 0.6)]
    lines = [encode(event) for event in [*events, run.finish()]]
    path = tmp_path / "events.jsonl"
    for lost in range(len(lines)):
        path.write_bytes(b"".join([*lines[:lost], b'{"cut\n', *lines[lost + 1 :]]))
        summary = read_summary(path)
        summary.eta(run.now)
        assert [row.epoch for row in summary.rows] in ([1, 2], [1], [2], [])


# Words ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (words.duration(0), "0.0 s"),
        (words.duration(9.94), "9.9 s"),
        (words.duration(9.96), "10 s"),
        (words.duration(59.4), "59 s"),
        (words.duration(59.6), "1:00"),
        (words.duration(187), "3:07"),
        (words.duration(3599.6), "1:00:00"),
        (words.duration(float("nan")), "?"),
        (words.loss(2.30259), "2.3026"),
        (words.loss(123456.0), "1.23e+05"),
        (words.loss(None), "-"),
        (words.learning_rate(0.1), "0.1"),
        (words.learning_rate(0.00012345), "1.2e-04"),
        (words.learning_rate(0), "0"),
        (words.percent(0.12345), "12.35 %"),
        (words.speed(12345.6), "12,346"),
        (words.speed(3.14), "3.1"),
    ],
)
def test_numbers_are_written_for_a_person(written: str, expected: str) -> None:
    assert written == expected


# Console -------------------------------------------------------------------------------------------------------


def terminal(width: int = 80, term: str = "xterm-256color") -> tuple[io.StringIO, Console]:
    stream = io.StringIO()
    return stream, Console(file=stream, force_terminal=True, width=width, height=24, _environ={"TERM": term})


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_pipe_whose_reader_left_does_not_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)  # rich sends what follows a broken pipe nowhere
        sink = ConsoleSink(Console(file=stream), messages=Console(file=io.StringIO()))
        for event in MadeRun(2).whole([0.5, 0.6]):
            sink.emit(event)
        sink.close()


def test_a_run_that_ends_without_saying_so_leaves_no_picture_behind() -> None:
    run = MadeRun(2)
    stream, console = terminal()
    sink = ConsoleSink(console, clock=lambda: run.now)
    for event in [*run.begin(), *run.epoch(1, last=3)]:
        sink.emit(event)
    assert "whole run" in stream.getvalue().rpartition("\x1b[2K")[2]
    sink.close()
    assert "whole run" not in stream.getvalue().rpartition("\x1b[2K")[2], "the picture is wiped"
    assert sys.stdout is sys.__stdout__ or type(sys.stdout).__name__ != "FileProxy", "and the streams given back"


def test_a_dumb_terminal_gets_plain_lines() -> None:
    stream, console = terminal(term="dumb")
    sink = ConsoleSink(console, messages=console)
    for event in [Progress(activity="decoding images", done=1, total=2), *MadeRun(2).whole([0.5, 0.6])]:
        sink.emit(event)
    assert "decoding images: 1 of 2 images" in stream.getvalue()
    assert "\x1b[2K" not in stream.getvalue()
    assert "whole run" not in stream.getvalue()


def test_a_clock_that_was_set_back_does_not_freeze_the_picture() -> None:
    run = MadeRun(2)
    now = [run.now]
    stream, console = terminal()
    sink = ConsoleSink(console, clock=lambda: now[0])
    for event in [*run.begin(), *run.epoch(1, last=3)]:
        sink.emit(event)
    now[0] -= 5000
    sink.emit(reading(4))
    assert "step 4/10" in plain(stream.getvalue())
    sink.close()


def test_a_command_that_is_to_be_copied_is_never_broken() -> None:
    run = MadeRun(2)
    stream, console = terminal(width=40)
    sink = ConsoleSink(console, clock=lambda: run.now)
    path = Path("runs") / "20260101-000000-a-long-name-indeed-s0"
    sink.set_run(path)
    for event in [*run.begin(), *run.epoch(1, last=3), run.checkpoint(3, 0), run.finish("stopped")]:
        sink.emit(event)
    assert f"resnet-tui train --headless --resume {path.name}\n" in plain(stream.getvalue())


def test_evaluating_is_not_told_line_by_line_where_there_is_no_terminal() -> None:
    run = MadeRun(1)
    messages = io.StringIO()
    sink = ConsoleSink(Console(file=io.StringIO()), messages=Console(file=messages), clock=lambda: run.now)
    for event in [*run.begin(), *run.epoch(1), Progress(activity="evaluating test", done=1, total=16)]:
        sink.emit(event)
    assert messages.getvalue() == ""


def test_a_paused_run_promises_no_time_of_day() -> None:
    run = MadeRun(2)
    stream, console = terminal()
    sink = ConsoleSink(console, clock=lambda: run.now)
    for event in [*run.begin(), *run.epoch(1, last=8)]:
        sink.emit(event)
    before = stream.tell()
    sink.emit(applied(run, "pause"))
    picture = plain(stream.getvalue()[before:])
    assert "left" in picture
    assert "done at" not in picture
    sink.close()


def test_names_of_devices_and_activities_cannot_steer_the_terminal() -> None:
    hostile = "evil\x1b]52;c;aGk=\x07\u202e[bold]"
    run = MadeRun(1)
    for forced in (False, True):
        stream = io.StringIO()
        console = Console(file=stream, force_terminal=forced, width=80, _environ={"TERM": "xterm"})
        sink = ConsoleSink(console, messages=console, clock=lambda: run.now)
        sink.emit(Progress(activity=hostile, done=1, total=2, unit=hostile))
        started, built = run.begin()
        assert isinstance(started, RunStarted)
        for event in (replace(started, device=hostile, precision=hostile), built):
            sink.emit(event)
        sink.emit(ControlApplied(step=1, command=hostile, value=None, source=hostile, id="1"))
        sink.close()
        assert not {"\x07", "\u202e"} & set(stream.getvalue())
        assert "\x1b]" not in stream.getvalue()
        assert "[bold]" in plain(stream.getvalue())


# Files ---------------------------------------------------------------------------------------------------------


def history() -> tuple[MadeRun, RunSummary]:
    run = MadeRun(2)
    return run, fold([*run.begin(), *run.epoch(1), *run.end_epoch(1, 0.5), *run.epoch(2, last=3)])


def test_the_history_is_left_as_it_is(tmp_path: Path) -> None:
    run, before = history()
    sinks = (
        MetricsSink(tmp_path / "metrics.csv", before),
        LogFileSink(tmp_path / "log.txt", before),
        ConsoleSink(Console(file=io.StringIO()), messages=Console(file=io.StringIO()), history=before),
    )
    for sink in sinks:
        for event in run.begin(resumed_at=STEPS):
            sink.emit(event)
        sink.close()
    assert (before.step, before.resumed_at) == (STEPS + 3, None)


def test_the_log_of_a_resumed_run_counts_earlier_epochs_and_can_be_followed(tmp_path: Path) -> None:
    run, before = history()
    path = tmp_path / "log.txt"
    sink = LogFileSink(path, before)
    for event in [*run.begin(resumed_at=STEPS), *run.epoch(2), *run.end_epoch(2, 0.7)]:
        sink.emit(event)
    text = path.read_text()  # not closed yet
    assert "epoch 2 of 2: train loss 15.5000" in text
    assert "val loss" not in text, "there is no such split"
    assert "evaluated" not in text, "an epoch's own evaluation stands in its line"
    sink.emit(run.finish())
    assert "average error: 40.00 %" in path.read_text()
    sink.close()


def test_json_lines_end_for_good_with_the_pipe() -> None:
    class Leaving(io.BytesIO):
        writes = 0

        def write(self, _: object) -> int:
            self.writes += 1
            raise BrokenPipeError

    stream = Leaving()
    sink = JsonLinesSink(stream)
    sink.emit(Warned(message="one"))
    sink.emit(Warned(message="two"))
    assert stream.writes == 1


def test_each_json_line_is_flushed() -> None:
    class Counting(io.BytesIO):
        flushed = b""

        def flush(self) -> None:
            self.flushed = self.getvalue()

    stream = Counting()
    JsonLinesSink(stream).emit(Warned(message="now"))
    assert stream.flushed == encode(Warned(message="now"))
