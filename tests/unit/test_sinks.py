"""What listeners write of a made run: the console's two faces, metrics.csv, log.txt, lines of JSON."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_run import EVALUATION, STEPS, MadeRun
from rich.console import Console

from engine.config import RunConfig, TelemetryConfig
from engine.events import ControlApplied, Evaluated, Event, Progress, Warned, decode
from engine.sinks import Sink
from engine.sinks.console import ConsoleSink
from engine.sinks.json_lines import JsonLinesSink
from engine.sinks.log_file import LogFileSink
from engine.sinks.metrics import MetricsSink
from engine.sinks.report import opening
from engine.sinks.table import fit
from engine.summary import RunSummary

RUN = Path("runs/20260101-000000-made-s1")
ESCAPE = "\x1b"


class Screen:
    """A console sink with its two streams kept, and a clock that a test moves."""

    def __init__(self, *, terminal: bool, width: int = 80, err_terminal: bool = False, **settings: Any) -> None:
        self.now = 1_000_000.0
        self.out = self._console(terminal, width)
        self.err = self._console(err_terminal, width)
        self.sink = ConsoleSink(self.out, messages=self.err, clock=lambda: self.now, **settings)

    @staticmethod
    def _console(terminal: bool, width: int) -> Console:
        environment = {"TERM": "xterm-256color"}
        return Console(file=io.StringIO(), force_terminal=terminal, width=width, height=24, _environ=environment)

    def feed(self, events: Iterable[Event]) -> None:
        for event in events:
            self.now = event.time or self.now
            self.sink.emit(event)

    @property
    def stdout(self) -> str:
        return self._written(self.out)

    @property
    def stderr(self) -> str:
        return self._written(self.err)

    @staticmethod
    def _written(console: Console) -> str:
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def feed(sink: Sink, events: Iterable[Event]) -> None:
    for event in events:
        sink.emit(event)


# The console, not a terminal ------------------------------------------------------------------------------------


def test_plain_output_is_a_table_and_a_summary_without_escapes() -> None:
    screen = Screen(terminal=False)
    screen.sink.set_run(RUN)
    screen.feed(MadeRun(3).whole([0.5, 0.9, 0.8]))
    text = screen.stdout
    assert ESCAPE not in text
    assert screen.stderr == ""
    lines = text.splitlines()
    header = next(i for i, line in enumerate(lines) if line.split()[:1] == ["epoch"])
    rows = lines[header + 1 : header + 4]
    assert [row.split()[0] for row in rows] == ["1", "2", "3"]
    assert len({row.removesuffix(" best").__len__() for row in rows}) == 1, "columns are aligned"
    assert [row.endswith(" best") for row in rows] == [True, True, False]
    assert rows[1].split()[1:7] == ["15.5000", "0.1000", "15.50", "%", "90.00", "%"]


def test_the_table_has_a_line_every_so_many_epochs_and_the_last() -> None:
    class Sparse(MadeRun):
        @property
        def config(self) -> RunConfig:
            return super().config.model_copy(update={"telemetry": TelemetryConfig(table_every_epochs=2)})

    screen = Screen(terminal=False)
    screen.feed(Sparse(5).whole([0.5, 0.9, 0.8, 0.7, 0.6]))
    lines = screen.stdout.splitlines()
    header = next(i for i, line in enumerate(lines) if line.split()[:1] == ["epoch"])
    assert re.search(r"^table +a line every 2 epochs$", screen.stdout, re.MULTILINE)
    assert [line.split()[0] for line in lines[header + 1 : header + 4]] == ["2", "4", "5"]
    assert lines[header + 4] == ""
    early = Screen(terminal=False)
    events = list(Sparse(5).whole([0.5, 0.9, 0.8, 0.7, 0.6]))
    third = next(i for i, event in enumerate(events) if isinstance(event, Evaluated) and event.epoch == 3)
    early.feed([*events[: third + 1], events[-1]])
    rows = [line.split()[0] for line in early.stdout.splitlines()[header + 1 : header + 3]]
    assert rows == ["2", "3"], "the last epoch of a run that ended early"


def test_the_closing_summary_says_last_best_average_and_where() -> None:
    screen = Screen(terminal=False)
    screen.sink.set_run(RUN)
    screen.feed(MadeRun(3).whole([0.5, 0.9, 0.8]))
    closing = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in screen.stdout.split("\n\n")[-1].splitlines())
    assert closing["completed"] == "all epochs trained"
    assert closing["last accuracy"] == "80.00 % test, epoch 3"
    assert closing["best accuracy"].startswith("90.00 % test, epoch 2: the highest test accuracy of all epochs")
    assert closing["average error"].startswith("26.67 %, as the ResNet20 document defines it: the mean of")
    assert closing["parameters"] == "1,234"
    assert "8.0 images/s" in closing["time"]
    assert closing["run"] == str(RUN)
    assert "resume" not in closing


def test_with_a_split_the_best_is_validations_and_the_best_on_test_is_labelled() -> None:
    screen = Screen(terminal=False)
    screen.feed(MadeRun(2, val=True).whole([0.9, 0.8], val=[0.6, 0.7]))
    assert re.search(r"best accuracy +70.00 % validation, 80.00 % test, epoch 2: chosen by validation", screen.stdout)
    assert re.search(r"best test +90.00 % at epoch 1: .*test set", screen.stdout)
    assert "val loss" in screen.stdout


@pytest.mark.parametrize(
    ("folder", "argument"),
    [
        (RUN, RUN.name),
        (Path("elsewhere") / RUN.name, f"elsewhere/{RUN.name}"),
        (Path("my runs") / "a", "'my runs/a'"),
    ],
)
def test_a_stopped_run_tells_how_to_go_on(folder: Path, argument: str) -> None:
    run = MadeRun(2)
    screen = Screen(terminal=False)
    screen.sink.set_run(folder)
    screen.feed([*run.begin(), *run.epoch(1, last=4), run.checkpoint(4, 0), run.finish("stopped", "by signal")])
    assert f"resnet-tui train --headless --resume {argument}\n" in screen.stdout


def test_a_run_without_a_checkpoint_promises_no_resume() -> None:
    run = MadeRun(2)
    screen = Screen(terminal=False)
    screen.sink.set_run(RUN)
    screen.feed([*run.begin(), run.finish("failed", "no memory")])
    assert re.search("failed +no memory", screen.stdout)
    assert "--resume" not in screen.stdout


def test_what_is_no_data_goes_to_stderr() -> None:
    run = MadeRun(1)
    screen = Screen(terminal=False)
    screen.feed([*run.begin(), *run.epoch(1, last=3), run.at(Warned(message="mind the [red]gap[/red]"))])
    change = ControlApplied(step=3, command="set_learning_rate", value=0.05, source="viewer", id="1")
    screen.feed([run.at(change), run.evaluated(1, "test", 0.25, step=3)])
    assert screen.stderr.splitlines() == [
        "warning: mind the [red]gap[/red]",
        "set learning rate 0.05, asked by viewer, at step 3",
        "evaluated test at step 3: loss 0.7500, accuracy 25.00 %",
    ]
    assert "gap" not in screen.stdout


def test_preparing_is_told_at_most_every_ten_seconds() -> None:
    screen = Screen(terminal=False)
    for second in range(25):
        screen.now += 1
        screen.sink.emit(Progress(activity="decoding images", done=second, total=25))
    screen.sink.emit(Progress(activity="downloading", done=1, total=0, unit="bytes"))
    assert screen.stderr.splitlines() == [
        "decoding images: 0 of 25 images",
        "decoding images: 10 of 25 images",
        "decoding images: 20 of 25 images",
        "downloading: 1 bytes",
    ]


def test_text_from_outside_cannot_steer_the_terminal() -> None:
    run = MadeRun(1)
    for terminal in (False, True):
        screen = Screen(terminal=terminal, err_terminal=terminal)
        hostile = "evil\x1b]52;c;aGk=\x07\u202e\nnext [bold]line[/bold]"
        screen.sink.set_run(Path("runs") / hostile)
        screen.feed([*run.begin(), run.at(Warned(message=hostile)), run.finish("failed", hostile)])
        text = screen.stdout + screen.stderr
        assert "\x1b]52" not in text
        assert "\u202e" not in text
        assert "[bold]line[/bold]" in plain(text)


def test_an_ascii_console_is_written_to_all_the_same() -> None:
    for terminal in (False, True):
        stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        console = Console(file=stream, force_terminal=terminal, width=80, _environ={"TERM": "xterm-256color"})
        sink = ConsoleSink(console, messages=console)
        sink.set_run(Path("runs/größe"))
        feed(sink, [Progress(activity="reading the images of größe", done=1, total=2), *MadeRun(1).whole([0.5])])
        stream.seek(0)
        text = plain(stream.read())
        assert "runs/gr??e" in text
        assert ("reading the im?" if terminal else "reading the images of gr??e: 1 of 2") in text, "a label is cut"


# The console, a terminal ----------------------------------------------------------------------------------------


def test_a_terminal_shows_epochs_above_and_the_run_below() -> None:
    run = MadeRun(3)
    screen = Screen(terminal=True)
    screen.feed([*run.begin(), *run.epoch(1), *run.end_epoch(1, 0.5), *run.epoch(2, last=5)])
    text = plain(screen.stdout)
    assert "epoch  train loss" in text
    last_picture = text[text.rindex("epoch 2/3") :]
    for part in ("step 5/10", "50 %", "training", "loss 15.0000", "left", "done at", "best 50.00 % (epoch 1)"):
        assert part in last_picture, part
    assert screen.stderr == ""


def test_a_pause_is_shown_at_once_though_nothing_follows() -> None:
    run = MadeRun(3)
    screen = Screen(terminal=True)
    screen.feed([*run.begin(), *run.epoch(1, last=5)])
    screen.sink.emit(ControlApplied(step=5, command="pause", value=None, source="viewer", id="1", time=run.now))
    assert "paused" in plain(screen.stdout)[-500:]


def test_evaluation_has_a_bar() -> None:
    run = MadeRun(3)
    screen = Screen(terminal=True)
    screen.feed([*run.begin(), *run.epoch(1)])
    screen.now += 1
    screen.sink.emit(Progress(activity="evaluating test", done=7, total=16))
    picture = plain(screen.stdout)[-600:]
    assert "evaluating test" in picture
    assert "7/16 images" in picture


def test_the_picture_is_drawn_at_most_five_times_a_second() -> None:
    run = MadeRun(1)
    screen = Screen(terminal=True)
    screen.feed([*run.begin(), *run.epoch(1, last=1)])
    before = screen.stdout.count("whole run")
    for millisecond in range(1000):
        step = replace(list(MadeRun(1).epoch(1, last=1))[1], time=run.now + millisecond / 1000)
        screen.feed([step])
    assert 3 <= screen.stdout.count("whole run") - before <= 5


def test_the_terminal_is_given_back_with_its_cursor() -> None:
    run = MadeRun(2)
    screen = Screen(terminal=True)
    screen.feed([*run.begin(), *run.epoch(1, last=3)])
    hidden, shown = (screen.stdout.rfind(f"{ESCAPE}[?25{letter}") for letter in "lh")
    assert shown > hidden >= 0
    screen.sink.close()
    screen.sink.close()
    length = len(screen.stdout)
    screen.sink.emit(run.finish("stopped"))
    assert "stopped" in plain(screen.stdout[length:])


def test_into_a_file_from_a_terminal_the_table_is_data_and_the_picture_is_not() -> None:
    screen = Screen(terminal=False, err_terminal=True)
    screen.feed(MadeRun(2).whole([0.5, 0.6]))
    assert ESCAPE not in screen.stdout
    assert "whole run" not in screen.stdout
    assert "whole run" in plain(screen.stderr)
    assert "epoch  train loss" not in plain(screen.stderr)


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 200])
@pytest.mark.parametrize("val", [False, True])
def test_no_line_is_wider_than_the_terminal(width: int, val: bool) -> None:
    screen = Screen(terminal=True, width=width)
    screen.feed(MadeRun(3, val=val).whole([0.5, 1.0, 0.7]))
    text = plain(screen.stdout)
    table = [line for line in text.splitlines() if re.match(r" +[123] .*%", line) or "test acc" in line]
    assert len(table) >= 4
    assert max(map(len, table)) <= width


@pytest.mark.parametrize(
    ("width", "val", "titles"),
    [
        (80, False, "epoch train loss test loss train acc test acc lr images/s time"),
        (80, True, "epoch train loss val loss test loss train acc val acc test acc time"),
        (40, False, "epoch train loss test loss test acc"),
        (200, True, "epoch train loss val loss test loss train acc val acc test acc lr images/s time"),
    ],
)
def test_columns_are_dropped_where_they_do_not_fit(width: int, val: bool, titles: str) -> None:
    table = fit(width, with_val=val)
    assert " ".join(column.title for column in table.columns) == titles


def test_a_resumed_run_says_what_was_reached_and_counts_earlier_epochs() -> None:
    run = MadeRun(3)
    history = RunSummary()
    for event in [*run.begin(), *run.epoch(1), *run.end_epoch(1, 0.5), run.finish("stopped")]:
        history.apply(event)
    screen = Screen(terminal=False, history=history)
    rest = [*run.begin(resumed_at=STEPS), *run.epoch(2), *run.end_epoch(2, 0.4)]
    screen.feed([*rest, *run.epoch(3), *run.end_epoch(3, 0.3), run.finish()])
    assert "after step 10 of 30; best so far 50.00 % test, epoch 1" in screen.stdout
    assert "best accuracy  50.00 % test, epoch 1" in screen.stdout
    assert "60.00 %, as the ResNet20 document" in screen.stdout
    assert [line.split()[0] for line in screen.stdout.splitlines() if re.match(r" +\d+ ", line)] == ["2", "3"]
    assert len(history.rows) == 1, "the history is left as it is"


def test_what_was_reached_when_a_run_was_resumed_is_told_long_after_too() -> None:
    run = MadeRun(2)
    summary = RunSummary()
    for event in [*run.begin(), *run.epoch(1), *run.end_epoch(1, 0.5), run.finish("stopped")]:
        summary.apply(event)
    for event in [*run.begin(resumed_at=STEPS), *run.epoch(2), *run.end_epoch(2, 0.9), run.finish()]:
        summary.apply(event)
    assert dict(opening(summary, None))["resumed"] == "after step 10 of 20; best so far 50.00 % test, epoch 1"


class Broken(io.StringIO):
    def __init__(self, error: OSError) -> None:
        super().__init__()
        self._error = error

    def write(self, text: str, /) -> int:
        raise self._error


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), OSError(28, "No space left on device")])
@pytest.mark.parametrize("terminal", [True, False])
def test_training_goes_on_when_the_console_is_gone(error: OSError, terminal: bool) -> None:
    console = Console(file=Broken(error), force_terminal=terminal, _environ={"TERM": "xterm"})
    sink = ConsoleSink(console, messages=console)
    feed(sink, MadeRun(2).whole([0.5, 0.6]))
    sink.close()


# metrics.csv ----------------------------------------------------------------------------------------------------


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_metrics_hold_a_line_an_epoch_in_full_precision(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    third = 1 / 3
    feed(MetricsSink(path), MadeRun(2).whole([third, 0.6]))
    first, second = rows(path)
    assert float(first["test_accuracy"]) == third
    assert (second["epoch"], second["step"], second["val_loss"]) == ("2", "20", "")
    assert path.read_bytes().count(b"\n") == 3


def test_metrics_are_there_as_soon_as_an_epoch_ended(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    run = MadeRun(2)
    sink = MetricsSink(path)
    feed(sink, [*run.begin()])
    assert rows(path) == []
    feed(sink, [*run.epoch(1), *run.end_epoch(1, 0.5)])
    assert [row["epoch"] for row in rows(path)] == ["1"]


def test_metrics_of_a_resumed_run_lose_what_is_trained_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    run = MadeRun(3)
    before: list[Event] = [*run.begin(), *run.epoch(1), *run.end_epoch(1, 0.5), *run.epoch(2, last=4)]
    before.append(run.checkpoint(STEPS + 4, 1))
    lost = [*run.epoch(2, first=5), run.evaluated(2, "test", 0.1)]
    feed(MetricsSink(path), before + lost)
    assert [row["test_accuracy"] for row in rows(path)] == ["0.5", "0.1"]
    history = RunSummary()
    for event in before + lost:
        history.apply(event)
    sink = MetricsSink(path, history)
    feed(sink, run.begin(resumed_at=STEPS + 4))
    assert [row["test_accuracy"] for row in rows(path)] == ["0.5"]
    feed(sink, [*run.epoch(2, first=5), *run.end_epoch(2, 0.7)])
    assert [(row["epoch"], row["test_accuracy"]) for row in rows(path)] == [("1", "0.5"), ("2", "0.7")]
    assert float(rows(path)[1]["train_loss"]) == pytest.approx(15.5), "the steps before the resume count"


# log.txt --------------------------------------------------------------------------------------------------------


def test_the_log_says_what_a_person_was_told_with_the_time(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    run = MadeRun(1)
    sink = LogFileSink(path)
    feed(sink, [*run.begin(), *run.epoch(1, last=3), run.at(Warned(message="two\nlines"))])
    feed(sink, [run.at(ControlApplied(step=3, command="pause", value=None, source="viewer", id="1"))])
    feed(sink, [*run.epoch(1, first=4), *run.end_epoch(1, 0.5), run.finish()])
    sink.close()
    lines = path.read_text().splitlines()
    stamped = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d (.+)")
    said = [match.group(1) for line in lines if (match := stamped.fullmatch(line))]
    assert len(said) == len(lines)
    for words in (
        "network: ResNet-20",
        "warning: two lines",
        "pause, asked by viewer, at step 3",
        "saved checkpoints/last at step 10",
        "epoch 1 of 1: train loss 5.5000",
        "completed: all epochs trained",
        "average error: 50.00 %",
    ):
        assert sum(line.startswith(words) for line in said) == 1, words


def test_the_log_of_a_resumed_run_goes_on_in_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    for message in ("one", "two"):
        sink = LogFileSink(path)
        sink.emit(Warned(message=message))
        sink.close()
    assert [line.split()[-1] for line in path.read_text().splitlines()] == ["one", "two"]


# Lines of JSON --------------------------------------------------------------------------------------------------


def test_json_lines_are_the_events() -> None:
    stream = io.BytesIO()
    events = list(MadeRun(2).whole([0.5, 0.6]))
    feed(JsonLinesSink(stream), events)
    assert [decode(line) for line in stream.getvalue().splitlines()] == events


def test_a_closed_pipe_ends_the_lines_and_not_the_run() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as stream:
        sink = JsonLinesSink(stream)
        feed(sink, MadeRun(1).whole([0.5]))
        sink.close()
    # Leaving the block flushes what was buffered: it must not raise either.


def test_the_made_run_takes_the_seconds_that_it_says() -> None:
    events = list(MadeRun(1).whole([0.5]))
    assert events[-1].time - events[0].time == STEPS + 0.5 + EVALUATION
