"""The learning-rate range test without the training: rates, windows, when it ends, what it suggests."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest

from engine.config import ScheduleConfig
from engine.errors import UserError
from engine.lr_range import Explosion, RangeTest, Reading, smoothed, suggest
from resnet_tui.charts.axes import Span, x_ticks, x_words


def readings(test: RangeTest, *losses: float) -> list[Reading]:
    return [Reading(test.rate(step), loss) for step, loss in enumerate(losses)]


def curve(test: RangeTest, *, bottom: float, steep: float) -> list[Reading]:
    """Return a loss that falls from 2.5, fastest at ``steep``, is lowest at ``bottom``, and rises beyond."""
    found = []
    for step in range(test.steps):
        rate = math.log10(test.rate(step))
        fall = 1 / (1 + math.exp(-6 * (rate - math.log10(steep))))
        rise = max(0.0, rate - math.log10(bottom)) * 3
        found.append(Reading(test.rate(step), 2.5 - fall + rise))
    return found


def test_rates_rise_by_the_same_factor_from_one_end_to_the_other() -> None:
    test = RangeTest(1e-4, 1.0, 13)
    rates = [test.rate(step) for step in range(13)]
    assert rates[0] == 1e-4
    assert rates[-1] == pytest.approx(1.0)
    assert [later / rate for rate, later in pairwise(rates)] == pytest.approx([10 ** (1 / 3)] * 12)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"low": 0.1, "high": 0.1}, "--from 0.1 must be below --to 0.1"),
        ({"low": 1.0, "high": 0.1}, "--from 1 must be below --to 0.1"),
        ({"low": 0.0}, "--from 0: allowed: a learning rate of 1e-12 or more"),
        ({"low": 1e-320}, "--from 9.99989e-321: allowed: a learning rate of 1e-12 or more"),
        ({"low": math.nan}, "--from nan: allowed"),
        ({"low": math.inf}, "--from inf: allowed"),
        ({"high": math.nan}, "--to nan: allowed"),
        ({"high": 101.0}, "--to 101: allowed: a learning rate above 0, at most 100"),
        ({"steps": 9}, "--steps 9: allowed: 10 to 10,000"),
        ({"steps": 10_001}, "--steps 10001: allowed"),
    ],
)
def test_what_is_no_range_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as refused:
        RangeTest(**given)
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize(("steps", "window"), [(10, 3), (60, 3), (100, 5), (200, 11), (1000, 51)])
def test_the_window_is_odd_and_a_twentieth(steps: int, window: int) -> None:
    assert RangeTest(steps=steps).window == window


def test_smoothing_does_not_lag() -> None:
    test = RangeTest(steps=10)
    assert smoothed(readings(test, 0, 0, 0, 3, 0, 0, 0), test) == [0, 0, 1, 1, 1, 0, 0]
    assert smoothed(readings(test, 4, 2), test) == [3, 3]
    assert smoothed([], test) == []


def explodes_at(*losses: float) -> int | None:
    explosion = Explosion(3)
    return next((step for step, loss in enumerate(losses) if explosion.is_in(loss)), None)


def test_it_explodes_a_nat_above_the_first_window_or_where_it_is_not_finite() -> None:
    assert explodes_at(2, 2, 2, 1, 3, 3, 3) is None, "a mean of 3 is no more than a nat above 2"
    assert explodes_at(2, 2, 2, 1, 3, 3, 3.1) == 6
    assert explodes_at(2, 2, 2, 4.9, 2, 2) is None, "one bad batch is no explosion"
    assert explodes_at(2, math.nan) == 1
    assert explodes_at(math.inf) == 0


@pytest.mark.parametrize(("steep", "bottom"), [(1e-3, 0.1), (0.02, 0.3)])
def test_the_suggestion_finds_the_slope_and_the_bottom(steep: float, bottom: float) -> None:
    test = RangeTest(1e-6, 10, 400)
    found = suggest(curve(test, bottom=bottom, steep=steep), test)
    assert found is not None
    assert found.steepest == pytest.approx(steep, rel=0.1)
    assert found.lowest == pytest.approx(bottom, rel=0.4), "the window, a third of a decade wide, rounds the corner"
    assert found.tenth == found.lowest / 10


def test_the_schedule_chooses() -> None:
    test = RangeTest()
    found = suggest(curve(test, bottom=0.1, steep=0.01), test)
    assert found is not None
    assert found.lr(ScheduleConfig(name="onecycle")) == found.lowest
    assert found.lr(ScheduleConfig(name="multistep", warmup_epochs=1)) == found.lowest
    assert found.lr(ScheduleConfig(name="multistep")) == found.steepest < found.lowest


def test_nothing_is_suggested_where_the_loss_did_not_fall_or_little_is_known() -> None:
    test = RangeTest(steps=10)
    assert suggest(readings(test, *[2.0] * 10), test) is None
    assert suggest(readings(test, *range(1, 11)), test) is None
    assert suggest(readings(test, 3, 2, 1), test) is None
    assert suggest(readings(test, math.nan), test) is None
    assert suggest([], test) is None


def test_a_last_loss_that_is_not_finite_takes_no_part() -> None:
    test = RangeTest()
    known = curve(test, bottom=0.1, steep=0.01)[:80]
    assert suggest([*known, Reading(1.0, math.inf)], test) == suggest(known, test) is not None


def test_a_chart_has_powers_of_ten_below() -> None:
    axis = Span(-6.0, 1.0)
    assert [label for _, label in x_ticks(axis, 10, "learning rate")] == [
        *("1e-6", "1e-5", "1e-4", "1e-3", "1e-2", "1e-1", "1e0", "1e1")
    ]
    assert [label for _, label in x_ticks(axis, 4, "learning rate")] == ["1e-6", "1e-4", "1e-2", "1e0"]
    assert x_words(-2.0, "learning rate") == "learning rate 0.01"
