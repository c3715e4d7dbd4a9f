"""What the fold says of a run, while it goes on and after it ended, was resumed or killed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from made_run import CHECKPOINT, EVALUATION, IMAGES, STEPS, MadeRun, reading

from engine.errors import WorldError
from engine.events import (
    ControlApplied,
    Event,
    GradNorms,
    Progress,
    Step,
    System,
    encode,
)
from engine.summary import RunSummary, read_summary

EPOCH_SECONDS = STEPS + CHECKPOINT + EVALUATION

# The test accuracies of the ResNet20 document's table, in per cent.
DOCUMENT = """
51.46 62.34 68.53 71.87 68.84 74.38 72.07 76.23 71.19 68.15 74.30 71.53 69.60 72.49 74.69 73.03 76.30 77.31
78.01 77.49 81.24 75.66 75.90 77.00 79.67 73.94 81.19 78.99 80.36 79.28 78.19 63.33 78.88 77.84 78.40 80.14
80.46 80.24 80.00 79.73 81.32 81.00 81.12 77.95 80.22 80.85 82.02 73.32 78.58 77.85 78.57
"""


def fold(events: Iterable[Event], summary: RunSummary | None = None) -> RunSummary:
    summary = summary or RunSummary()
    for event in events:
        summary.apply(event)
    return summary


def applied(run: MadeRun, command: str, value: float | None = None, *, after: float = 0.0) -> Event:
    return run.at(ControlApplied(step=0, command=command, value=value, source="test", id="1"), after=after)


def log(path: Path, events: Iterable[Event]) -> Path:
    path.write_bytes(b"".join(encode(event) for event in events))
    return path


def test_a_row_holds_the_means_of_its_epoch() -> None:
    summary = fold(MadeRun(2).whole([0.4, 0.6]))
    first, second = summary.rows
    assert (second.epoch, second.step) == (2, 20)
    assert first.train_loss == pytest.approx(5.5)
    assert second.train_accuracy == pytest.approx(0.155)
    assert second.test_accuracy == 0.6
    assert second.test_loss == pytest.approx(0.4)
    assert (second.val_accuracy, second.val_loss) == (None, None)
    assert second.lr == pytest.approx(0.1 / 20)
    assert second.images_per_second == pytest.approx(IMAGES)
    assert second.seconds == pytest.approx(EPOCH_SECONDS)
    assert summary.elapsed == pytest.approx(2 * EPOCH_SECONDS)
    assert (summary.state, summary.params, summary.step) == ("completed", 1234, 20)


def test_a_mean_counts_every_image_once() -> None:
    run = MadeRun(1)
    summary = fold(run.begin())
    fold(run.epoch(1, last=0), summary)
    for steps, images, loss in ((9, 90, 1.0), (1, 10, 2.0)):
        step = Step(
            step=9 if steps == 9 else 10,
            epoch=1,
            steps=steps,
            images=images,
            loss=loss,
            accuracy=loss / 10,
            lr=0.1,
            images_per_second=10.0,
        )
        summary.apply(run.at(step))
    fold(run.end_epoch(1, 0.5), summary)
    assert summary.rows[0].train_loss == pytest.approx(1.1)
    assert summary.rows[0].train_accuracy == pytest.approx(0.11)


def test_the_first_of_equal_epochs_is_the_best_by_validation_where_there_is_a_split() -> None:
    summary = fold(MadeRun(3, val=True).whole([0.5, 0.6, 0.9], val=[0.3, 0.8, 0.8]))
    assert summary.choosing_split == "val"
    best, best_test = summary.best(), summary.best("test")
    assert best is not None
    assert best_test is not None
    assert (best.epoch, best_test.epoch) == (2, 3)
    assert summary.rows[-1].val_accuracy == 0.8


def test_without_a_split_test_chooses() -> None:
    summary = fold(MadeRun(3).whole([0.5, 0.9, 0.6]))
    best = summary.best()
    assert summary.choosing_split == "test"
    assert best is not None
    assert best.epoch == 2


def test_average_error_is_the_documents() -> None:
    accuracies = [float(word) / 100 for word in DOCUMENT.split()]
    assert len(accuracies) == 51
    summary = fold(MadeRun(51).whole(accuracies))
    # The document's own sum, 39.74, is not that of its table, 38.6305: by its definition the error is not
    # the 22.08 % that it prints.
    assert summary.average_error == pytest.approx((51 - 38.6305) / 51)
    assert summary.average_error == pytest.approx(0.2425, abs=5e-5)
    assert fold(MadeRun().begin()).average_error is None


def test_an_evaluation_asked_for_in_the_middle_is_no_row() -> None:
    run = MadeRun(1)
    summary = fold([*run.begin(), *run.epoch(1, last=4), run.evaluated(1, "test", 0.99, step=4)])
    assert (summary.rows, summary.best(), summary.state) == ([], None, "training")
    fold([*run.epoch(1, first=9), *run.end_epoch(1, 0.5)], summary)
    assert [row.test_accuracy for row in summary.rows] == [0.5]


def test_a_row_waits_for_every_split() -> None:
    run = MadeRun(1, val=True)
    summary = fold([*run.begin(), *run.epoch(1), run.evaluated(1, "val", 0.7)])
    assert (summary.rows, summary.state) == ([], "evaluating")
    summary.apply(run.evaluated(1, "test", 0.6))
    assert [(row.val_accuracy, row.test_accuracy) for row in summary.rows] == [(0.7, 0.6)]


def test_states_follow_the_events() -> None:
    run = MadeRun(2)
    summary = RunSummary()
    seen = [summary.state]
    steps: list[Event] = [
        Progress(activity="decoding images", done=1, total=2),
        *run.begin(),
        *run.epoch(1, last=9),
        applied(run, "pause"),
        applied(run, "resume"),
        run.at(reading(10)),
        Progress(activity="evaluating test", done=1, total=2),
        *run.end_epoch(1, 0.5),
        run.finish("stopped"),
    ]
    for event in steps:
        summary.apply(event)
        if summary.state != seen[-1]:
            seen.append(summary.state)
    assert seen == ["preparing", "training", "paused", "training", "evaluating", "training", "stopped"]


def test_pauses_are_not_counted() -> None:
    run = MadeRun(1)
    summary = fold([*run.begin(), *run.epoch(1, last=8), applied(run, "pause")])
    left = summary.eta(run.now)
    assert left is not None
    assert left == summary.eta(run.now + 5000)
    fold([applied(run, "resume", after=5000), *run.epoch(1, first=9), *run.end_epoch(1, 0.5)], summary)
    assert summary.elapsed == pytest.approx(EPOCH_SECONDS)
    assert summary.rows[0].seconds == pytest.approx(EPOCH_SECONDS)


@pytest.mark.parametrize("place", [1, 5, 9])
def test_a_run_resumed_in_the_middle_of_an_epoch_has_the_rows_of_one_that_never_stopped(place: int) -> None:
    whole = fold(MadeRun(3).whole([0.4, 0.5, 0.6]))
    run = MadeRun(3)
    broken: list[Event] = [*run.begin(), *run.epoch(1), *run.end_epoch(1, 0.4), *run.epoch(2, last=place)]
    broken.append(run.checkpoint(STEPS + place, 1))
    broken += [*run.epoch(2, first=place + 1), run.evaluated(2, "test", 0.1)]  # the kill loses all of this
    run.now += 86_400
    broken += run.begin(resumed_at=STEPS + place)
    broken += [*run.epoch(2, first=place + 1), *run.end_epoch(2, 0.5), *run.epoch(3), *run.end_epoch(3, 0.6)]
    resumed = fold([*broken, run.finish()])
    for ours, theirs in zip(resumed.rows, whole.rows, strict=True):
        assert ours.train_loss == pytest.approx(theirs.train_loss)
        assert (ours.epoch, ours.step, ours.test_accuracy) == (theirs.epoch, theirs.step, theirs.test_accuracy)
    assert resumed.rows[1].seconds == pytest.approx(EPOCH_SECONDS + CHECKPOINT)
    assert resumed.elapsed < 86_400
    assert resumed.resumed_at == STEPS + place


def test_a_run_killed_before_its_evaluation_gets_the_row_when_it_is_evaluated() -> None:
    run = MadeRun(2)
    events = [*run.begin(), *run.epoch(1), run.checkpoint(STEPS, 0), *run.begin(resumed_at=STEPS)]
    summary = fold([*events, *run.epoch(1, first=STEPS + 1)])
    assert summary.state == "evaluating"
    summary.apply(run.evaluated(1, "test", 0.5))
    assert [row.epoch for row in summary.rows] == [1]
    assert summary.rows[0].train_loss == pytest.approx(5.5)


def test_an_epoch_evaluated_once_more_after_a_resume_stays_one_row() -> None:
    run = MadeRun(2)
    events = [*run.begin(), *run.epoch(1), *run.end_epoch(1, 0.5), *run.epoch(2, last=3)]
    events += [*run.begin(resumed_at=STEPS), *run.epoch(1, first=STEPS + 1), run.evaluated(1, "test", 0.5)]
    assert [row.epoch for row in fold(events).rows] == [1]


def test_a_resumed_run_forgets_how_it_ended_and_how_fast_it_was() -> None:
    run = MadeRun(2)
    events = [*run.begin(), *run.epoch(1), *run.end_epoch(1, 0.5), run.finish("failed", "disk full")]
    summary = fold([*events, *run.begin(resumed_at=STEPS)])
    assert (summary.state, summary.reason, summary.step, summary.epoch) == ("preparing", "", STEPS, 0)
    assert summary.eta(run.now) is None
    assert [row.epoch for row in summary.rows] == [1]


def true_remaining(events: list[Event]) -> list[tuple[RunSummary, float, float | None]]:
    summary, end, out = RunSummary(), events[-1].time, []
    for event in events[:-1]:
        summary.apply(event)
        out.append((summary, end - event.time, summary.eta(event.time)))
    return out


def test_the_estimate_is_exact_where_every_step_and_evaluation_takes_as_long() -> None:
    for run in (MadeRun(6), MadeRun(6, val=True)):
        timeline = true_remaining(list(run.whole([0.5] * 6)))
        after_first_epoch = len(timeline) // 6 + 2
        for _, true, estimate in timeline[after_first_epoch:-3]:
            # A checkpoint that was just saved is already behind, but not known to be.
            assert estimate == pytest.approx(true, abs=CHECKPOINT + 1e-6)


def test_the_first_estimate_waits_for_a_few_steps_and_counts_evaluation_before_one_was_measured() -> None:
    run = MadeRun(4)
    summary = fold([*run.begin(), *run.epoch(1, last=4)])
    assert summary.eta(run.now) is None
    summary.apply(run.at(reading(5), after=1.0))
    training, evaluation = 35.0, 4 * (2 * IMAGES) / (3 * IMAGES)
    assert summary.eta(run.now) == pytest.approx(training + evaluation)


def test_the_first_reading_with_its_start_up_does_not_spoil_the_estimate() -> None:
    slow, even = MadeRun(4), MadeRun(4)
    summary, expected = fold(slow.begin()), fold(even.begin())
    fold([*slow.epoch(1, last=0), slow.at(replace(reading(1), images_per_second=0.1), after=80.0)], summary)
    fold(slow.epoch(1, first=2, last=8), summary)
    fold(even.epoch(1, last=8), expected)
    assert summary.eta(slow.now) == pytest.approx(expected.eta(even.now))


def test_the_estimate_counts_down_between_events_but_not_below_what_a_report_takes() -> None:
    run = MadeRun(4)
    summary = fold([*run.begin(), *run.epoch(1, last=8)])
    left = summary.eta(run.now)
    assert left is not None
    assert summary.eta(run.now + 0.5) == pytest.approx(left - 0.5)
    assert summary.eta(run.now + 1000) == pytest.approx(left - 1.0)


def test_the_estimate_follows_what_a_person_asks_for() -> None:
    run = MadeRun(4)
    summary = fold([*run.begin(), *run.epoch(1), *run.end_epoch(1, 0.5), *run.epoch(2, last=5)])
    before = summary.eta(run.now)
    assert before is not None
    summary.apply(applied(run, "extend_epochs", 2))
    assert summary.eta(run.now) == pytest.approx(before + 2 * EPOCH_SECONDS)
    summary.apply(applied(run, "stop_after_epoch"))
    assert summary.eta(run.now) == pytest.approx(before - 2 * EPOCH_SECONDS)
    summary.apply(run.finish("stopped"))
    assert summary.eta(run.now) is None


def test_nothing_is_kept_for_each_step() -> None:
    run = MadeRun(1)
    summary = fold([*run.begin(), *run.epoch(1, last=0)])

    def size() -> int:
        return len(repr(vars(summary)))

    fold((reading(1) for _ in range(100)), summary)
    after_hundred = size()
    fold((reading(1) for _ in range(5000)), summary)
    assert size() < after_hundred + 200


def test_a_log_is_read_with_and_without_its_steps(tmp_path: Path) -> None:
    run = MadeRun(2)
    extra: list[Event] = [
        GradNorms(step=1, norms=(1.0, 2.0), total=3.0),
        System(cpu_percent=1, memory_bytes=1, host_cpu_percent=1, host_memory_bytes=1, host_memory_total=2),
    ]
    path = log(tmp_path / "events.jsonl", [*run.whole([0.4, 0.6])][:-1] + extra + [run.finish()])
    full, quick = read_summary(path), read_summary(path, steps=False)
    assert full.rows == fold(MadeRun(2).whole([0.4, 0.6])).rows
    assert [row.test_accuracy for row in quick.rows] == [0.4, 0.6]
    assert math.isnan(quick.rows[0].train_loss)
    assert quick.state == full.state
    assert quick.elapsed == pytest.approx(full.elapsed)


def test_damaged_lines_are_passed_over(tmp_path: Path) -> None:
    path = log(tmp_path / "events.jsonl", MadeRun(1).whole([0.5]))
    path.write_bytes(path.read_bytes()[:-20] + b'\n{"kind": "ste')
    assert [row.test_accuracy for row in read_summary(path).rows] == [0.5]


def test_an_absent_log_is_empty_and_one_without_an_event_is_damaged(tmp_path: Path) -> None:
    assert read_summary(tmp_path / "none.jsonl").config is None
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\x00\x01\nnonsense\n")
    with pytest.raises(WorldError, match="not one of its 2 lines"):
        read_summary(path)
