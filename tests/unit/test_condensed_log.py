"""A condensed log says the same of every epoch as the whole one."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from made_run import STEPS, MadeRun, reading

from engine import event_log
from engine.condensed_log import condensed
from engine.event_log import EventReader
from engine.events import Event, GradNorms, Step, encode
from engine.summary import RunSummary


def run() -> list[Event]:
    """A made run of three epochs with gradient norms after every step."""
    events: list[Event] = []
    for event in MadeRun(3).whole([0.5, 0.6, 0.7]):
        events.append(event)
        if isinstance(event, Step):
            events.append(GradNorms(time=event.time, step=event.step, norms=(1.0, 2.0), total=math.sqrt(5)))
    return events


def lines(events: list[Event]) -> list[bytes]:
    return [encode(event).rstrip(b"\n") for event in events]


def folded(events: list[Event]) -> RunSummary:
    summary = RunSummary()
    for event in events:
        summary.apply(event)
    return summary


@pytest.mark.parametrize("stride", [2, 3, 7, 1000])
def test_every_epoch_has_the_same_row(stride: int) -> None:
    whole = run()
    fewer = list(condensed(lines(whole), stride))
    assert len(fewer) < len(whole)
    for ours, theirs in zip(folded(fewer).rows, folded(whole).rows, strict=True):
        assert ours.train_loss == pytest.approx(theirs.train_loss)
        assert ours.train_accuracy == pytest.approx(theirs.train_accuracy)
        assert ours.images_per_second == pytest.approx(theirs.images_per_second)
        assert (ours.lr, ours.step, ours.test_accuracy, ours.seconds) == (
            theirs.lr,
            theirs.step,
            theirs.test_accuracy,
            theirs.seconds,
        )


def test_everything_but_readings_stays_in_its_place() -> None:
    others = [event for event in run() if not isinstance(event, Step | GradNorms)]
    kept = [event for event in condensed(lines(run()), 4) if not isinstance(event, Step | GradNorms)]
    assert kept == others


def test_a_reading_is_never_of_two_epochs() -> None:
    for event in condensed(lines(run()), 1000):
        if isinstance(event, Step):
            assert event.epoch == (event.step - 1) // STEPS + 1
            assert event.steps <= STEPS


def test_what_is_written_in_another_way_is_decoded_and_damage_is_passed_over() -> None:
    odd = replace(reading(2), loss=math.nan)
    raw = [*lines([reading(1), odd, reading(3)]), b'{"kind":"step"}', b"", b"\xff"]
    events = list(condensed(raw, 10))
    assert [event.step for event in events if isinstance(event, Step)] == [1, 2, 3]
    assert math.isnan(events[1].loss)  # type: ignore[union-attr]


def test_a_reader_condenses_a_long_log_and_reads_its_end_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "_PLAIN_BYTES", 4000)
    monkeypatch.setattr(event_log, "_END_BYTES", 3000)
    monkeypatch.setattr(event_log, "_CHUNK", 1000)
    path = tmp_path / "events.jsonl"
    whole = run()
    path.write_bytes(b"\n".join(lines(whole)) + b"\n")
    reader = EventReader(path, condense=True)
    fewer = list(reader.read())
    assert len(fewer) < len(whole)
    assert fewer[-8:] == whole[-8:]
    with path.open("ab") as log:
        log.write(b"\n".join(lines([reading(i) for i in range(31, 61)])) + b"\n")
    assert len(list(reader.read())) == 30  # what comes later is read in full
    assert len(list(EventReader(path).read())) == len(whole) + 30
