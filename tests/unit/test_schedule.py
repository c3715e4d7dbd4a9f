"""The learning rate over the run."""

import pytest

from engine import presets
from engine.config import ScheduleConfig
from engine.config_file import build_config
from engine.schedule import LearningRate, RateState, factor, warmup_factor


def learning_rate(config: ScheduleConfig, steps: int, peak: float = 1.0) -> LearningRate:
    return LearningRate(config, peak, 10, RateState(total_steps=steps))


def test_he_et_al_divide_by_ten_at_half_and_three_quarters() -> None:
    config = ScheduleConfig(name="multistep", milestones=(0.5, 0.75), gamma=0.1)
    rate = learning_rate(config, 64_000, peak=0.1)
    rates = [rate.at(step) for step in (0, 31_999, 32_000, 47_999, 48_000, 63_999)]
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
    rate = learning_rate(ScheduleConfig(name="cosine"), 100)
    before = rate.at(60)
    rate.extend(60, 40)
    assert rate.at(60) == pytest.approx(before)
    assert rate.done(140) == pytest.approx(1)
    assert rate.done(100) == pytest.approx(0.6 + 0.4 / 2)


def test_a_schedule_that_had_ended_starts_anew_and_forgets_a_persons_factor() -> None:
    rate = learning_rate(ScheduleConfig(name="cosine"), 100)
    rate.set(98, 0.01)
    assert rate.at(98) == pytest.approx(0.01)
    rate.extend(100, 100)
    assert rate.at(100) == pytest.approx(0.5)
    assert max(rate.at(step) for step in range(100, 200)) <= 1


def test_a_persons_rate_ends_a_warm_up() -> None:
    config = ScheduleConfig(name="constant", warmup_epochs=2, warmup_start=0.1)
    rate = learning_rate(config, 100)
    assert rate.at(0) == pytest.approx(0.1)
    rate.set(1, 0.5)
    assert [rate.at(step) for step in (1, 10, 50)] == pytest.approx([0.5] * 3)


@pytest.mark.parametrize("depth", [110, 1202])
def test_the_deep_presets_warm_up_for_exactly_400_steps(depth: int) -> None:
    tree, file = presets.load(f"resnet{depth}-cifar10")
    config = build_config(tree, {}, file)
    steps_per_epoch = -(-45_000 // config.train.batch_size)
    factors = [warmup_factor(config.schedule, step / steps_per_epoch) for step in range(500)]
    assert factors == [0.1] * 400 + [1.0] * 100
