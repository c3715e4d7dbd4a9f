"""What a few measurements say of their mean."""

import pytest

from engine.estimate import estimate, student_t


@pytest.mark.parametrize(
    ("freedom", "t"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (9, 2.262), (30, 2.042), (120, 1.980)],
)
def test_t_is_that_of_published_tables(freedom: int, t: float) -> None:
    assert student_t(freedom) == pytest.approx(t, abs=5e-4)


def test_t_of_other_confidences() -> None:
    assert student_t(4, 0.99) == pytest.approx(4.604, abs=5e-4)
    assert student_t(10, 0.5) == pytest.approx(0.700, abs=5e-4)


def test_a_mean_has_a_spread_and_an_interval() -> None:
    found = estimate([0.90, 0.92, 0.94])
    assert [found.mean, found.deviation] == pytest.approx([0.92, 0.02])
    assert found.standard_error == pytest.approx(0.02 / 3**0.5)
    assert list(found.interval) == pytest.approx([0.92 - 0.04968, 0.92 + 0.04968], abs=1e-5)


def test_one_value_has_no_spread_and_equal_ones_have_none_to_see() -> None:
    alone, equal = estimate([0.9]), estimate([0.9, 0.9])
    assert (alone.deviation, alone.standard_error, alone.margin, alone.interval) == (None, None, None, (0.9, 0.9))
    assert (equal.deviation, equal.interval) == (0.0, (0.9, 0.9))
