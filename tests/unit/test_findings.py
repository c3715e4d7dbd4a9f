"""What a run reached, counted as papers count it, and what is published beside it."""

import re

import pytest
from made_run import MadeRun

from engine.config_file import build_config
from engine.events import Event
from engine.findings import PUBLISHED_NOTE, ComparisonRow, counted_errors, own_rows, published_rows
from engine.literature import CIFAR10_CLASSES
from engine.summary import RunSummary

# The document's own table of epochs: accuracy in per cent of each of its 51.
_DOCUMENT = """
51.46 62.34 68.53 71.87 68.84 74.38 72.07 76.23 71.19 68.15 74.30 71.53 69.60 72.49 74.69 73.03 76.30
77.31 78.01 77.49 81.24 75.66 75.90 77.00 79.67 73.94 81.19 78.99 80.36 79.28 78.19 63.33 78.88 77.84
78.40 80.14 80.46 80.24 80.00 79.73 81.32 81.00 81.12 77.95 80.22 80.85 82.02 73.32 78.58 77.85 78.57
"""
DOCUMENT = [float(text) / 100 for text in _DOCUMENT.split()]


def summary(test: list[float], val: list[float] | None = None) -> RunSummary:
    made, folded = MadeRun(len(test), val=val is not None), RunSummary()
    event: Event
    for event in made.whole(test, val or ()):
        folded.apply(event)
    return folded


def rows_of(classes: tuple[str, ...], **model: object) -> tuple[ComparisonRow, ...]:
    return published_rows(build_config({"model": model}, {}).model, classes)


def test_last_best_and_average_are_three_figures() -> None:
    found = {error.kind: error for error in counted_errors(summary([0.5, 0.75, 0.625]))}
    assert {kind: (error.error, error.epoch) for kind, error in found.items()} == {
        "last": (0.375, 3),
        "best": (0.25, 2),
        "average": (pytest.approx(0.375), None),
    }
    assert "picked by looking at the test set" in found["best"].meaning
    assert "all 3 epochs" in found["average"].meaning


def test_with_a_split_the_best_is_chosen_by_validation_and_the_best_test_is_named_as_such() -> None:
    found = {error.kind: error for error in counted_errors(summary([0.5, 0.75, 0.625], [0.4, 0.5, 0.6]))}
    assert (found["best"].error, found["best"].epoch) == (0.375, 3)
    assert "validation" in found["best"].meaning
    assert (found["best test"].error, found["best test"].epoch) == (0.25, 2)
    assert "looking at the test set" in found["best test"].meaning


def test_the_average_is_counted_as_the_resnet20_document_says() -> None:
    """It adds its accuracies up to 39.74, which gives its 22.08 %; they are 38.63, which gives 24.25 %."""
    average = counted_errors(summary(DOCUMENT))[-1]
    assert (average.kind, len(DOCUMENT), round(sum(DOCUMENT), 2)) == ("average", 51, 38.63)
    assert round(average.error, 4) == 0.2425
    assert "24.25 %" in PUBLISHED_NOTE


def test_nothing_is_said_before_the_first_epoch() -> None:
    assert counted_errors(RunSummary()) == ()
    assert list(own_rows("this run", RunSummary())) == []


def test_figures_of_one_epoch_stand_in_one_line() -> None:
    rows = list(own_rows("this run", summary([0.5, 0.75])))
    assert [row.meaning for row in rows] == ["last and best (epoch 2)", "average of all epochs"]
    assert {(row.model, row.layers, row.params) for row in rows} == {("ResNet-20, shortcut A", 20, "1,234")}


def test_the_document_s_table_stands_first_on_cifar10_and_nowhere_else() -> None:
    found = rows_of(CIFAR10_CLASSES, depth=20)
    assert [(row.model, row.params, row.error, row.accuracy) for row in found[:2]] == [
        ("ResNet20 (Paper)", "0.27M", 0.0875, 0.90),
        ("ResNet20 (Khaula)", "272,474", 0.2208, 0.8124),
    ]
    assert rows_of(("0", "1"), depth=20) == ()


@pytest.mark.parametrize(
    ("depth", "errors"),
    [
        (20, {"He et al. 2015": [8.75], "akamaster": [8.27], "chenyaofo": [7.44, 7.40]}),
        (56, {"He et al. 2015": [6.97], "akamaster": [6.61], "chenyaofo": [5.79, 5.63]}),
        (110, {"He et al. 2015": [6.43], "akamaster": [6.32]}),
        (1202, {"He et al. 2015": [7.93], "akamaster": [6.18]}),
        (26, {}),
    ],
)
def test_published_errors_of_a_depth(depth: int, errors: dict[str, list[float]]) -> None:
    found: dict[str, list[float]] = {}
    for row in rows_of(CIFAR10_CLASSES, depth=depth)[2:]:
        assert row.layers == depth
        assert re.fullmatch(r"[\d.]+M|[\d,]+", row.params)
        found.setdefault(row.source, []).append(round(100 * row.error, 2))
    assert found == errors


def test_plain_networks_stand_beside_residual_ones_of_their_depth() -> None:
    plain = rows_of(CIFAR10_CLASSES, depth=56, shortcut="none")[2]
    assert (plain.model, plain.params, round(plain.error, 4)) == ("plain-56", "853,018", 0.135)
    assert "about" in plain.meaning
    assert plain not in rows_of(CIFAR10_CLASSES, depth=56)


def test_other_networks_have_no_rows_of_their_own() -> None:
    for model in ({"depth": 20, "width": 2}, {"arch": "densenet"}, {"depth": 20, "stem": "stride2"}):
        assert len(rows_of(CIFAR10_CLASSES, **model)) == 2


def test_cifar100_has_its_own_figures() -> None:
    classes = ("aquarium_fish", *(str(n) for n in range(99)))
    assert [round(row.accuracy, 4) for row in rows_of(classes, depth=20)] == [0.6848, 0.6883]
