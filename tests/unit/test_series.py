"""A series stays bounded and loses no extreme, however long the run."""

import math
import random

import pytest

from resnet_tui.run.gradient_history import CAPACITY, FACTOR, RECENT, GradientHistory
from resnet_tui.run.series import Series, smoothed


def filled(values: list[float], capacity: int = 8) -> Series:
    series = Series(capacity)
    for step, value in enumerate(values, 1):
        series.add(step, step / 2, value)
    return series


def test_few_values_are_kept_as_they_are() -> None:
    bins = filled([3.0, 1.0, 2.0]).by_step()
    assert list(bins.xs) == [1, 2, 3]
    assert list(bins.lows) == list(bins.highs) == list(bins.means) == [3.0, 1.0, 2.0]


@pytest.mark.parametrize("count", [8, 9, 16, 17, 1000, 4097])
def test_many_values_are_bounded_and_keep_every_extreme(count: int) -> None:
    values = [random.Random(count).uniform(-5, 5) for _ in range(count)]
    values[count // 3], values[count // 2] = 100.0, -100.0
    series = filled(values)
    bins = series.by_step()
    assert len(series) <= 8
    assert max(bins.highs) == 100.0
    assert min(bins.lows) == -100.0
    assert bins.xs[-1] == count
    assert list(bins.xs) == sorted(bins.xs)
    assert series.last == values[-1]


def test_the_means_of_equally_full_bins_average_to_the_mean_of_all() -> None:
    values = [float(i) for i in range(64)]
    bins = filled(values).by_step()
    assert len(bins.means) == 8
    assert math.fsum(bins.means) / 8 == math.fsum(values) / 64


def test_epochs_and_time_are_other_axes_of_the_same_values() -> None:
    series = filled([1.0, 2.0, 3.0, 4.0])
    assert list(series.by_epoch(2).xs) == [0.5, 1.0, 1.5, 2.0]
    assert list(series.by_time().xs) == [0.5, 1.0, 1.5, 2.0]
    assert list(series.by_epoch(0).xs) == [1, 2, 3, 4]  # before the length of an epoch is known


def test_a_resumed_run_forgets_what_it_does_again() -> None:
    series = filled([float(i) for i in range(100)])
    series.forget_after(40)
    assert max(series.by_step().xs) <= 40
    series.add(41, 20.5, 7.0)
    assert series.by_step().xs[-1] == 41
    series.forget_after(0)
    assert len(series) == 0
    assert series.last is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_no_chart_can_show_is_not_in_the_bins(value: float) -> None:
    series = filled([1.0, value, 2.0])
    assert list(series.by_step().means) == [1.0, 2.0]


def test_smoothing_keeps_a_constant_and_does_not_begin_at_zero() -> None:
    assert smoothed([2.0] * 5, 0.9) == pytest.approx([2.0] * 5)
    assert smoothed([5.0, 1.0], 0.0) == [5.0, 1.0]
    assert smoothed([5.0, 1.0], 0.5) == pytest.approx([5.0, 7 / 3])


def history(norms: list[list[float]], capacity: int = CAPACITY) -> GradientHistory:
    parts = [f"part{i}" for i in range(len(norms[0]))]
    made = GradientHistory(parts, capacity)
    for step, reading in enumerate(norms, 1):
        made.add(step, float(step), reading)
    return made


def test_a_long_history_is_bounded_and_averages_logarithms() -> None:
    made = history([[1e-3, 1.0], [1e-1, 1.0]] * 64, capacity=16)
    assert len(made.columns) <= 16
    assert made.history(0)[:4] == pytest.approx([1e-2] * 4, rel=1e-5)
    assert made.steps[-1] == 128
    assert made.latest == (1e-1, 1.0)


def test_flags_follow_the_rule() -> None:
    quiet = [1.0, 1.0, 1.0, 1.0]
    assert history([quiet]).flags() == ("",) * 4
    low, high = 1.0 / FACTOR / 1.01, FACTOR * 1.01
    assert history([[1.0, low, 1.0, high, 1.0]] * RECENT).flags() == ("", "vanishing", "", "exploding", "")
    assert history([[1.0, 0.0, 1.0]]).flags() == ("", "none", "")
    assert history([[0.0, 0.0, 0.0]]).flags() == ("none",) * 3
    assert history([[1.0, math.inf, 1.0]]).flags() == ("", "exploding", "")


def test_one_batch_raises_no_alarm() -> None:
    odd = [1.0, 1.0, 1.0, FACTOR * 2]
    assert history([[1.0] * 4] * (RECENT - 1) + [odd]).flags() == ("",) * 4
    assert history([odd] * RECENT).flags()[3] == "exploding"


def test_a_reading_of_other_parts_is_passed_over() -> None:
    made = history([[1.0, 2.0]])
    made.add(2, 2.0, [1.0, 2.0, 3.0])
    assert made.latest == (1.0, 2.0)


def test_a_resumed_history_forgets_later_readings() -> None:
    made = history([[float(i), 1.0] for i in range(1, 11)])
    made.forget_after(4)
    assert made.steps[-1] == 4
    assert made.latest == pytest.approx((4.0, 1.0))
    made.add(5, 5.0, [50.0, 1.0])
    assert made.history(0)[-1] == pytest.approx(50.0)
