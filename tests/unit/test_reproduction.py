"""What several seeds of one configuration say of a figure."""

from dataclasses import replace
from pathlib import Path

import pytest
from made_run import MadeRun

from engine.config import ResidualMlpConfig
from engine.config_file import build_config
from engine.events import Event, RunStarted
from engine.literature import CIFAR10_CLASSES
from engine.queue.standing import Standing
from engine.reproduction import Seeds, Target
from engine.run_dir import RunDir
from engine.summary import RunSummary
from resnet_tui.printing.reproduction import print_seeds


def seed(test: list[float], val: list[float] | None = None, classes: tuple[str, ...] = ("a", "b")) -> Standing:
    made, summary = MadeRun(len(test), val=val is not None), RunSummary()
    event: Event
    for event in made.whole(test, val or ()):
        summary.apply(replace(event, classes=classes) if isinstance(event, RunStarted) else event)
    return Standing(made.config, "done", RunDir(Path("runs/one")), summary)


def lasts(*accuracies: float, target: float | None = None) -> Seeds:
    found = tuple(seed([0.25, accuracy]) for accuracy in accuracies)
    return Seeds(found, Target(target, "--target") if target is not None else None)


def test_last_and_best_are_of_the_test_set_and_validation_chooses() -> None:
    result = Seeds((seed([0.5, 0.9, 0.7], [0.3, 0.2, 0.4]), seed([0.5, 0.8, 0.6], [0.5, 0.2, 0.4])))
    assert result.last is not None
    assert result.best is not None
    assert result.validation is not None
    assert result.last.values == (0.7, 0.6)
    assert result.best.values == (0.7, 0.5)
    assert [found.best_epoch for found in result.figures if found is not None] == [3, 1]
    assert result.validation.values == (0.4, 0.5)
    assert result.by_validation


def test_without_a_split_the_best_says_that_it_looked_at_the_test_set() -> None:
    result = lasts(0.5, 0.5)
    assert not result.by_validation
    assert any("the test set itself chose" in note for note in result.notes(2))


def test_a_target_above_the_interval_is_missed() -> None:
    verdict = lasts(0.90, 0.91, 0.92, target=0.95).verdict
    assert verdict is not None
    assert verdict.finding == "missed"
    assert verdict.difference == pytest.approx(-0.04)
    assert verdict.standard_errors == pytest.approx(-0.04 / (0.01 / 3**0.5))
    for words in ("91.00 %", "4.00 points below", "6.9 standard errors", "93.48 %"):
        assert words in verdict.text


def test_a_target_within_the_interval_is_not_told_apart() -> None:
    verdict = lasts(0.90, 0.91, 0.92, target=0.93).verdict
    assert verdict is not None
    assert verdict.finding == "not told apart"
    assert "88.52 % to 93.48 %" in verdict.text
    assert "less than 2.48 points cannot be seen" in verdict.text
    assert "exit status 0: not missed is not yet reached" in verdict.text


@pytest.mark.parametrize(
    ("accuracies", "said"),
    [
        ((0.80, 0.96), "two seeds leave an interval of ± 101.65 points: with three or more it can tell"),
        ((0.1, 0.5, 0.9), "3 seeds leave an interval of ± 99.37 points: with more of them it can tell"),
    ],
)
def test_an_interval_that_says_nothing_is_not_passed_off_as_one(
    accuracies: tuple[float, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = lasts(*accuracies, target=0.95)
    assert result.verdict is not None
    assert result.verdict.finding == "not told apart"
    assert said in result.verdict.text
    assert "100.00 %" not in result.verdict.text
    print_seeds(result, [])
    printed = " ".join(capsys.readouterr().out.split())
    assert f"interval {said}" in printed
    assert "0.00 % to" not in printed


def test_what_is_tested_on_rows_of_features_is_not_called_images() -> None:
    one = seed([0.9])
    config = one.config.model_copy(update={"model": ResidualMlpConfig(arch="residual-mlp")})
    (*_, note) = Seeds((replace(one, config=config),) * 2).notes(1)
    assert "test rows alone" in note
    assert "images" not in note


def test_a_target_below_the_interval_is_reached() -> None:
    verdict = lasts(0.90, 0.91, 0.92, target=0.88).verdict
    assert verdict is not None
    assert verdict.finding == "reached"


@pytest.mark.parametrize(("target", "finding"), [(0.9, "reached"), (0.91, "missed")])
def test_one_seed_is_judged_by_its_value_and_has_no_spread(target: float, finding: str) -> None:
    result = lasts(0.9, target=target)
    assert result.verdict is not None
    assert (result.verdict.finding, result.verdict.standard_errors) == (finding, None)
    assert "no spread" in result.verdict.text


def test_equal_seeds_have_no_standard_errors_to_count() -> None:
    verdict = lasts(0.9, 0.9, target=0.95).verdict
    assert verdict is not None
    assert (verdict.finding, verdict.standard_errors) == ("missed", None)
    assert "standard errors" not in verdict.text


def test_the_published_figure_of_this_very_network_is_the_target() -> None:
    result = Seeds((seed([0.5, 0.9], classes=CIFAR10_CLASSES),))
    assert result.verdict is not None
    assert result.verdict.target.accuracy == pytest.approx(0.9125)
    assert "He et al. 2015" in result.verdict.target.source
    assert {row.model for row in result.published} == {"ResNet-20, shortcut A"}
    notes = " ".join(result.notes(182))
    assert "trained for 2 epochs, not for the 182 of the preset" in notes
    assert "10,000 test images" in notes


def test_a_plain_network_has_the_figure_read_off_the_paper() -> None:
    one = seed([0.5], classes=CIFAR10_CLASSES)
    config = build_config(one.config.model_dump(), {"model.shortcut": ("--shortcut", "none")})
    (row,) = Seeds((replace(one, config=config),)).published
    assert (row.model, round(row.accuracy, 3)) == ("plain-20", 0.905)


def test_without_anything_published_there_is_no_verdict_and_an_own_target_goes_first() -> None:
    assert lasts(0.9).verdict is None
    own = Seeds((seed([0.9], classes=CIFAR10_CLASSES),), Target(0.5, "--target"))
    assert own.verdict is not None
    assert own.verdict.target.accuracy == 0.5


def test_there_is_no_verdict_before_every_seed_is_done() -> None:
    stopped = replace(seed([0.5]), state="interrupted")
    result = Seeds((seed([0.9]), stopped), Target(0.95, "--target"))
    assert not result.complete
    assert result.verdict is None
    assert result.last is not None
    assert result.last.values == (0.9,)
