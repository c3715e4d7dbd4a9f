"""What the dashboard knows of a run is a pure function of its events, bounded, and forgets what is done again."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from made_run import STEPS, MadeRun, reading

from engine.event_log import read_events
from engine.events import ControlApplied, Event, GradNorms, ModelBuilt, Step, System, decode, encode
from engine.summary import read_summary
from resnet_tui.charts.curves import curves
from resnet_tui.charts.plot import Plot, draw
from resnet_tui.run import series
from resnet_tui.run.gradient_history import CAPACITY
from resnet_tui.run.state import RunState
from resnet_tui.view import AXES, View

VIEWS = [View(axis=axis) for axis in AXES]


def folded(events: Iterable[Event]) -> RunState:
    state = RunState()
    for event in events:
        state.apply(event)
    return state


def drawn(state: RunState) -> list[Plot]:
    """Everything that charts show of ``state``."""
    return [curve.build(state, view) for curve in curves(state) for view in VIEWS]


def use(made: MadeRun, percent: float) -> Event:
    return made.at(
        System(
            cpu_percent=percent, memory_bytes=2**30, host_cpu_percent=5.0, host_memory_bytes=1, host_memory_total=2
        )
    )


def norms(made: MadeRun, step: int) -> Event:
    return made.at(GradNorms(step=step, norms=(float(step), 1.0), total=float(step)))


def changed(made: MadeRun, step: int, rate: float) -> Event:
    return made.at(ControlApplied(step=step, command="set_learning_rate", value=rate, source="me", id=f"id{rate}"))


def epoch(made: MadeRun, number: int, *, last: int = STEPS) -> Iterator[Event]:
    """An epoch with norms and use of the host beside each reading."""
    for event in made.epoch(number, last=last):
        yield event
        if isinstance(event, Step):
            yield norms(made, event.step)
            yield use(made, float(event.step))


def killed_and_resumed() -> list[Event]:
    """Epochs 1 and 2, half of 3 before the process is killed, then from the end of epoch 1 on again."""
    made = MadeRun(3)
    return [
        *made.begin(),
        *epoch(made, 1),
        *made.end_epoch(1, 0.3),
        changed(made, 12, 0.5),
        *epoch(made, 2),
        made.evaluated(2, "test", 0.9),
        *epoch(made, 3, last=5),
        *made.begin(resumed_at=STEPS),
        *epoch(made, 2, last=2),
    ]


def test_looking_at_it_in_between_changes_nothing() -> None:
    events = killed_and_resumed()
    looked_at = RunState()
    for event in events:
        looked_at.apply(event)
        drawn(looked_at)
        looked_at.gradients.flags()
        looked_at.changed.clear()
    assert drawn(looked_at) == drawn(folded(events))


def test_what_changed_is_told_by_topic() -> None:
    made, state = MadeRun(1), RunState()
    told: dict[str, set[str]] = {}
    for event in [*made.begin(), *epoch(made, 1, last=1), changed(made, 1, 0.1), *made.end_epoch(1, 0.5)]:
        state.changed.clear()
        state.apply(event)
        told[event.kind] = {*state.changed}
    assert told["step"] == {"steps", "run"}
    assert told["grad_norms"] == {"gradients"}
    assert told["system"] == {"system"}
    assert "marks" in told["control_applied"]
    assert "evaluations" in told["evaluated"]
    assert "shapes" in told["model_built"]


def test_a_resumed_run_forgets_what_it_does_again_and_nothing_before() -> None:
    state = folded(killed_and_resumed())
    assert list(state.loss.by_step().xs) == list(range(1, 13))
    assert list(state.rate.by_step().xs) == list(range(1, 13))
    assert list(state.gradients.steps) == list(range(1, 13))
    assert list(state.scores["test"].accuracy.by_step().means) == [0.3]
    assert [change.text for change in state.changes] == ["resumed"]
    assert state.summary.step == 12
    assert [row.epoch for row in state.summary.rows] == [1]


def test_no_series_of_a_resumed_run_goes_back() -> None:
    state = folded(killed_and_resumed())
    for name, values in {"cpu": state.use["cpu_percent"], "loss": state.loss, "norm": state.total_norm}.items():
        for bins in (values.by_step(), values.by_time()):
            assert list(bins.xs) == sorted(bins.xs), name


def test_the_evaluation_before_a_kill_is_the_latest_again() -> None:
    events = killed_and_resumed()
    latest = folded(events).scores["test"].latest
    assert latest is not None
    assert latest.epoch == 1


def test_the_rows_are_those_of_the_summary_of_its_log(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(map(encode, killed_and_resumed())) + b'{"kind"')
    state = folded(read_events(path))
    assert state.summary.rows == read_summary(path).rows != []


def test_two_hundred_thousand_steps_take_no_more_room_than_a_few_thousand() -> None:
    state, made = RunState(), MadeRun(20_000)
    started, _ = made.begin()
    state.apply(started)
    state.apply(made.at(ModelBuilt(rows=(), blocks=("stem", "head"), params=1, macs=1)))
    spike, usual = 123_457, reading(1)
    for step in range(1, 200_001):
        state.apply(replace(usual, step=step, time=made.now + step / 10, loss=1e6 if step == spike else 1.0))
        if step % 10 == 0:
            state.apply(norms(made, step))
    for values in (state.loss, state.accuracy, state.rate, state.speed, state.total_norm):
        assert 1000 <= len(values) <= series.CAPACITY
    assert len(state.gradients.columns) <= CAPACITY
    assert max(state.loss.by_step().highs) == 1e6
    assert state.summary.step == 200_000


def test_changes_without_end_are_bounded() -> None:
    made = MadeRun(3)
    state = folded([*made.begin(), *(changed(made, step, step / 1000) for step in range(1, 1001))])
    assert len(state.changes) <= 200
    assert state.changes[-1].text == "set learning rate 1"
    assert len(state.applied) <= 200


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_on_no_chart_and_comes_through_a_log(value: float) -> None:
    made = MadeRun(1)
    events = [
        *made.begin(),
        made.at(reading(1)),
        made.at(replace(reading(2), loss=value, accuracy=value, lr=value, images_per_second=value)),
        made.at(GradNorms(step=2, norms=(value, 1.0), total=value)),
        made.at(reading(3)),
        made.evaluated(1, "test", value),
        made.finish("diverged", "the loss is not finite"),
    ]
    state = folded(decode(encode(event)) for event in events)
    for plot in drawn(state):
        text = "\n".join(strip.text for strip in draw(plot, 60, 12).strips)
        assert not re.search(r"\b(nan|inf)\b", text, re.IGNORECASE), text
    assert list(state.loss.by_step().xs) == [1, 3]
    assert state.summary.outcome == "diverged"


def test_evaluations_that_a_person_asked_for_are_points_but_no_rows() -> None:
    made = MadeRun(2)
    state = folded(
        [
            *made.begin(),
            *made.epoch(1, last=4),
            made.evaluated(1, "test", 0.2, step=4),
            *made.epoch(1, first=5),
            *made.end_epoch(1, 0.5),
            made.evaluated(1, "test", 0.5),  # once more at the very same step
        ]
    )
    scores = state.scores["test"]
    bins = scores.accuracy.by_step()
    assert dict(zip(bins.xs, bins.means, strict=True)) == {4: 0.2, 10: 0.5}
    assert [row.epoch for row in state.summary.rows] == [1]
    assert scores.before is not None
    assert scores.before.step == 4
