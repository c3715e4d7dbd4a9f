"""The learning rate over the run."""

import pytest

from engine.config import ScheduleConfig
from engine.schedule import Clock, factor, warmup_factor


def test_he_et_al_divide_by_ten_at_half_and_three_quarters() -> None:
    config = ScheduleConfig(name="multistep", milestones=(0.5, 0.75), gamma=0.1)
    clock = Clock(64_000)
    rates = [0.1 * factor(config, clock.done(step)) for step in (0, 31_999, 32_000, 47_999, 48_000, 63_999)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_cosine_ends_where_it_is_told() -> None:
    config = ScheduleConfig(name="cosine", final=0.1)
    assert [factor(config, done) for done in (0, 0.5, 1)] == pytest.approx([1, 0.55, 0.1])


def test_one_cycle_rises_and_falls() -> None:
    config = ScheduleConfig(name="onecycle", peak=0.25, warmup_start=0.2, final=0.0)
    assert [factor(config, done) for done in (0, 0.125, 0.25, 1)] == pytest.approx([0.2, 0.6, 1, 0])


def test_warm_up_rises_in_a_line_or_stays_constant() -> None:
    linear = ScheduleConfig(warmup_epochs=2, warmup_start=0.1)
    assert [warmup_factor(linear, e) for e in (0, 1, 2, 3)] == pytest.approx([0.1, 0.55, 1, 1])
    constant = ScheduleConfig(warmup_epochs=2, warmup_start=0.1, warmup="constant")
    assert [warmup_factor(constant, e) for e in (0, 1.99, 2)] == pytest.approx([0.1, 0.1, 1])


def test_extending_a_run_never_makes_the_rate_jump() -> None:
    clock = Clock(100)
    before = clock.done(60)
    clock.extend(60, 40)
    assert clock.done(60) == pytest.approx(before)
    assert clock.done(140) == pytest.approx(1)
    assert clock.done(100) == pytest.approx(0.6 + 0.4 / 2)


def test_a_schedule_that_had_ended_is_stretched_over_the_whole_run() -> None:
    clock = Clock(100)
    clock.extend(100, 100)
    assert clock.done(100) == pytest.approx(0.5)
