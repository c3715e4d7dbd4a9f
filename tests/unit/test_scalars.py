"""The numbers of a run by name, and what is written of them, read back, with TensorBoard's own reader, too."""

from __future__ import annotations

import csv
import errno
import json
import logging
import math
import struct
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_run import IMAGES, STEPS, MadeRun, reading
from support import tiny, train
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from engine import files
from engine.event_file import NAME
from engine.events import Evaluated, Event, GradNorms, RunStarted, System, encode
from engine.export_scalars import COLUMNS, export_csv, export_event_file, export_json
from engine.run_dir import iterate
from engine.scalars import LoggedScalars, Reading
from engine.sinks.tensorboard import TensorBoardSink

Numbers = list[tuple[str, int, float, float]]
"""Name, step, time and value, in the order of names."""
USE = System(
    cpu_percent=50.0, memory_bytes=3_000_000_001, host_cpu_percent=1.0, host_memory_bytes=1, host_memory_total=2
)


def logged(log: Path, events: Iterable[Event]) -> LoggedScalars:
    log.write_bytes(b"".join(map(encode, events)))
    return LoggedScalars(log)


def numbers(scalars: LoggedScalars) -> Numbers:
    return sorted((name, step, time, value) for step, _, time, values in scalars for name, value in values)


def read_back(folder: Path) -> Numbers:
    """Return what TensorBoard's own reader makes of the event files in ``folder``."""
    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    reader.Reload()
    return sorted(
        (name, event.step, event.wall_time, event.value)
        for name in reader.Tags()["scalars"]
        for event in reader.Scalars(name)
    )


def as_float32(found: Numbers) -> Numbers:
    return [(*rest, struct.unpack("<f", struct.pack("<f", value))[0]) for *rest, value in found]


def whole_run() -> Iterator[Event]:
    """Yield a run with everything that can be logged."""
    run = MadeRun(2, val=True)
    yield from run.begin()
    yield run.at(USE)
    for epoch in (1, 2):
        yield from run.epoch(epoch)
        yield run.at(GradNorms(step=epoch * STEPS, norms=(0.1, 1e-30), total=math.nan))
        yield run.at(replace(USE, device_celsius=40.0, rank_images_per_second=(1.0, 2.0)), after=0.123456789)
        yield from run.end_epoch(epoch, 1 / 3)
    yield run.finish()


def test_names_steps_times_and_values(tmp_path: Path) -> None:
    found = numbers(logged(tmp_path / "log", whole_run()))
    assert {name for name, *_ in found} == {
        *("train/loss", "train/accuracy", "schedule/learning_rate", "schedule/epoch", "speed/images_per_second"),
        *("val/loss", "val/accuracy", "val_classes/a", "val_classes/b"),
        *("test/loss", "test/accuracy", "test_classes/a", "test_classes/b"),
        *("gradients/stem", "gradients/head", "gradients/total"),
        *(f"system/{name}" for name in ("cpu_percent", "memory_bytes", "host_cpu_percent", "host_memory_bytes")),
        *("system/host_memory_total", "system/device_celsius"),
        *("system/rank0_images_per_second", "system/rank1_images_per_second"),
    }
    loss = [(step, time, value) for name, step, time, value in found if name == "train/loss"]
    assert [(step, value) for step, _, value in loss] == [(step, float(step)) for step in range(1, 2 * STEPS + 1)]
    assert loss[0][1] == 1_000_001.0
    assert [step for name, step, *_ in found if name == "system/cpu_percent"] == [0, STEPS, 2 * STEPS]
    assert [value for name, step, _, value in found if name == "schedule/epoch" and step == STEPS + 1] == [2.0]


def test_a_class_without_images_has_no_accuracy_and_its_name_is_on_one_line(tmp_path: Path) -> None:
    run = MadeRun(1)
    evaluated = run.evaluated(1, "test", 0.5)
    assert isinstance(evaluated, Evaluated)
    events = [
        *(replace(event, classes=("a\x1b\nb", "c")) if isinstance(event, RunStarted) else event
          for event in run.begin()),
        replace(evaluated, per_class=(0.5, math.nan)),
    ]  # fmt: skip
    names = [name for name, *_ in numbers(logged(tmp_path / "log", events))]
    assert names == ["test/accuracy", "test/loss", "test_classes/a\ufffd b"]


def resumed_run() -> tuple[list[Event], list[Event]]:
    """Return the log of a run that was resumed three times, and one in which nothing was done twice.

    The last time it goes on from a checkpoint before that of the time before.
    """
    run = MadeRun(3)
    first = [*run.begin(), *run.epoch(1), *run.end_epoch(1, 0.5), *run.epoch(2, last=7), run.at(USE)]
    lost = [*run.begin(resumed_at=STEPS), *run.end_epoch(1, 0.5), *run.epoch(2), *run.end_epoch(2, 0.4)]
    all_lost = [*run.begin(resumed_at=STEPS + 2), *run.epoch(2, first=3, last=5)]
    again = [*run.begin(resumed_at=STEPS + 1), *run.epoch(2, first=2), *run.end_epoch(2, 0.6), *run.epoch(3)]
    kept = [event for event in [*first, *lost] if getattr(event, "step", 0) <= STEPS]
    evaluated = [event for event in kept if isinstance(event, Evaluated)]
    kept = [event for event in kept if event not in evaluated[1:] and not isinstance(event, System)]
    second = [event for event in lost if getattr(event, "step", 0) == STEPS + 1]
    return [*first, *lost, *all_lost, *again], [*kept, *second, *again]


def test_what_a_resumed_run_did_again_counts_once(tmp_path: Path) -> None:
    log, once = resumed_run()
    found = numbers(logged(tmp_path / "log", log))
    assert found == numbers(logged(tmp_path / "once", once))
    steps = [step for name, step, *_ in found if name == "train/loss"]
    assert steps == list(range(1, 3 * STEPS + 1))
    assert [(step, value) for name, step, _, value in found if name == "test/accuracy"] == [(10, 0.5), (20, 0.6)]


def test_damaged_lines_are_passed_over_and_counted(tmp_path: Path) -> None:
    events = list(whole_run())
    log = tmp_path / "log"
    log.write_bytes(encode(events[0]) + b"\xff{\n" + b"".join(map(encode, events[1:])) + b'{"kind":"st')
    scalars = LoggedScalars(log)
    assert str(numbers(scalars)) == str(numbers(logged(tmp_path / "whole", events)))
    assert scalars.damaged == 1
    headless = numbers(logged(log, resumed_run()[0][1:]))
    whole = numbers(logged(log, resumed_run()[0]))
    named = "test_classes/", "system/"  # classes are named in the line that is missing; a step it would be at is not
    assert headless == [number for number in whole if not number[0].startswith(named) or number[1] > STEPS], (
        "of resumed"
    )
    assert list(LoggedScalars(tmp_path / "none")) == []


# Event files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("events", [list(whole_run()), resumed_run()[0]], ids=["whole", "resumed"])
def test_tensorboards_reader_gives_every_number_back(tmp_path: Path, events: list[Event]) -> None:
    """Steps and times exactly, values rounded to float32."""
    scalars = logged(tmp_path / "log", events)
    (tmp_path / "board").mkdir()
    export_event_file(scalars, tmp_path / "board" / f"{NAME}made")
    found = read_back(tmp_path / "board")
    assert str(found) == str(as_float32(numbers(scalars))), "as text, since NaN is not NaN"
    assert len(found) == scalars.numbers > 100


def test_values_beyond_float32_and_not_finite(tmp_path: Path) -> None:
    run = MadeRun(1)
    losses = [1e300, -1e300, math.inf, -math.inf, math.nan, 1e-300, 3.4e38]
    steps = [run.at(replace(reading(place + 1), loss=loss)) for place, loss in enumerate(losses)]
    export_event_file(logged(tmp_path / "log", [*run.begin(), *steps]), tmp_path / f"{NAME}made")
    found = [value for name, *_, value in read_back(tmp_path) if name == "train/loss"]
    assert str(found[:6]) == "[inf, -inf, inf, -inf, nan, 0.0]"
    assert found[6] == pytest.approx(3.4e38, rel=1e-7)


def test_a_real_run_live_and_exported(tmp_path: Path) -> None:
    train(tiny(telemetry__tensorboard=True, telemetry__system_seconds=0.1), tmp_path / "runs")
    (run,) = iterate(tmp_path / "runs")
    scalars = LoggedScalars(run.events)
    export_event_file(scalars, tmp_path / f"{NAME}exported")
    assert read_back(run.tensorboard) == read_back(tmp_path) == as_float32(numbers(scalars))
    assert [path.name for path in run.tensorboard.iterdir()] == [
        f"{NAME}{scalars.starts[0].time:.3f}.{scalars.starts[0].process}"
    ]


def test_the_configuration_is_in_the_tab_of_hyper_parameters(tmp_path: Path) -> None:
    export_event_file(logged(tmp_path / "log", whole_run()), tmp_path / f"{NAME}made")
    reader = EventAccumulator(str(tmp_path))
    reader.Reload()
    content = reader.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    found = HParamsPluginData.FromString(content).session_start_info
    assert found.start_time_secs == 1_000_000.0
    assert found.hparams["optim.lr"].number_value == MadeRun().config.optim.lr
    assert found.hparams["data.val_size"].number_value == IMAGES
    assert found.hparams["data.flip"].WhichOneof("kind") == "bool_value"
    assert found.hparams["model.arch"].string_value == "resnet"


# The sink ------------------------------------------------------------------------------------------------------


class Run:
    """A log and the sink that follows it, as the engine thread has them."""

    def __init__(self, folder: Path) -> None:
        self.log, self.folder = folder / "events.jsonl", folder / "tensorboard"
        self.sink = TensorBoardSink(self.folder, self.log)

    def feed(self, events: Iterable[Event]) -> None:
        for event in events:
            with self.log.open("ab") as file:
                file.write(encode(event))
            self.sink.emit(event)

    @property
    def expected(self) -> Numbers:
        return as_float32(numbers(LoggedScalars(self.log)))


def processes(events: list[Event]) -> list[list[Event]]:
    starts = [place for place, event in enumerate(events) if isinstance(event, RunStarted)]
    return [events[begin:end] for begin, end in zip(starts, [*starts[1:], None], strict=True)]


def test_a_reader_that_watches_sees_a_resumed_run_as_one(tmp_path: Path) -> None:
    run, reader = Run(tmp_path), None
    run.folder.mkdir()
    (run.folder / f".{NAME}1.2.tmp").write_bytes(b"of a process that was killed")
    for events in processes(resumed_run()[0]):
        run.sink = TensorBoardSink(run.folder, run.log)
        run.feed(events)
        if reader is None:
            reader = EventAccumulator(str(run.folder), size_guidance={"scalars": 0})
        reader.Reload()
        assert read_back(run.folder) == run.expected
    assert [path.name for path in run.folder.iterdir() if path.suffix == ".tmp"] == []
    assert reader is not None
    assert [event.step for event in reader.Scalars("train/loss")] == list(range(1, 3 * STEPS + 1))


def test_what_a_full_disk_did_not_take_follows_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run, events = Run(tmp_path), list(whole_run())
    run.feed(events[:5])
    before = read_back(run.folder)

    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with caplog.at_level(logging.WARNING), monkeypatch.context() as patch:
        patch.setattr("engine.sinks.tensorboard.append", full)
        run.feed(events[5:9])
        assert read_back(run.folder) == before
    assert [record.getMessage().partition("; ")[2][:16] for record in caplog.records] == ["the run goes on,"]
    run.feed(events[9:])
    assert str(read_back(run.folder)) == str(run.expected)


def test_a_file_that_stays_unwritable_is_given_up_and_keeps_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, events = Run(tmp_path), list(whole_run())
    run.feed(events[:3])
    monkeypatch.setattr("engine.sinks.tensorboard._MOST_WAITING", 500)
    written = files.append

    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.EIO, "Input/output error", str(path))

    monkeypatch.setattr("engine.sinks.tensorboard.append", full)
    run.feed(events[3:10])
    monkeypatch.setattr("engine.sinks.tensorboard.append", written)
    size = sum(path.stat().st_size for path in run.folder.iterdir())
    run.feed(events[10:])
    run.sink.close()
    assert sum(path.stat().st_size for path in run.folder.iterdir()) == size


@pytest.mark.parametrize("obstacle", ["file", "link"])
def test_a_folder_that_cannot_be_made_ends_no_run(
    tmp_path: Path, obstacle: str, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / f"{NAME}precious").touch()
    run = Run(tmp_path)
    run.folder.touch() if obstacle == "file" else run.folder.symlink_to(elsewhere)
    run.feed(whole_run())
    run.sink.close()
    assert [path.name for path in elsewhere.iterdir()] == [f"{NAME}precious"]
    assert "resnet-tui export --format tensorboard writes the whole file" in caplog.text


# CSV and JSON --------------------------------------------------------------------------------------------------


def test_csv_has_a_line_a_number(tmp_path: Path) -> None:
    scalars = logged(tmp_path / "log", whole_run())
    export_csv(scalars, tmp_path / "made.csv")
    with (tmp_path / "made.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert tuple(header) == COLUMNS
    read = sorted((name, int(step), float(time), float(value)) for name, step, _, time, value in rows)
    assert str(read) == str(numbers(scalars)), "exactly"
    assert {row[4] for row in rows if row[0] == "gradients/total"} == {"NaN"}


def test_json_has_lists_under_each_name_and_null_for_what_is_not_finite(tmp_path: Path) -> None:
    scalars = logged(tmp_path / "log", whole_run())
    export_json(scalars, "made", tmp_path / "made.json")

    def refused(word: str) -> Any:
        raise AssertionError(f"{word} is no JSON")

    found = json.loads((tmp_path / "made.json").read_text(encoding="utf-8"), parse_constant=refused)
    assert found["run"] == "made"
    assert found["config"]["optim"]["lr"] == MadeRun().config.optim.lr
    assert found["scalars"]["gradients/total"]["value"] == [None, None]
    read = sorted(
        (name, step, time, math.nan if value is None else value)
        for name, lists in found["scalars"].items()
        for step, _, time, value in zip(*lists.values(), strict=True)
    )
    assert str(read) == str(numbers(scalars))


def test_an_export_that_fails_leaves_the_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scalars = logged(tmp_path / "log", whole_run())
    (tmp_path / "made.csv").write_text("older")

    def broken(_self: LoggedScalars) -> Iterator[Any]:
        yield Reading(1, 1, 1.0, (("train/loss", 1.0),))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(LoggedScalars, "__iter__", broken)
    for export in (export_csv, export_event_file, lambda *given: export_json(given[0], "made", given[1])):
        with pytest.raises(OSError, match="No space left"):
            export(scalars, tmp_path / "made.csv")
    assert (tmp_path / "made.csv").read_text() == "older"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "made.csv"]
