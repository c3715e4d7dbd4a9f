"""``compare``: what differs in outcome and in settings, and one clear message where nothing can be compared."""

import dataclasses
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from made_run import MadeRun
from runs_support import HOSTILE, keep
from typer.testing import CliRunner, Result

from engine.errors import UserError, WorldError
from engine.events import Event, RunStarted, Step
from engine.run_dir import RunDir
from resnet_tui.cli import app
from resnet_tui.run.state import RunState


def compare(runs: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["compare", "--runs-dir", str(runs), *arguments])


def refused(runs: Path, *arguments: str) -> UserError:
    """Return why the command refused."""
    error = compare(runs, *arguments).exception
    assert isinstance(error, UserError), error
    assert "\n" not in str(error)
    return error


def changed(events: Iterable[Event], **fields: Any) -> Iterator[Event]:
    """Yield a run that starts with other facts."""
    for event in events:
        yield dataclasses.replace(event, **fields) if isinstance(event, RunStarted) else event


@pytest.fixture
def pair(tmp_path: Path) -> list[RunDir]:
    first = keep(tmp_path, "first", MadeRun(3).whole([0.5, 0.75, 0.625]), optim__lr=0.05, train__seed=4)
    return [first, keep(tmp_path, "second", MadeRun(3).whole([0.25, 0.5, 0.875]))]


def rows(text: str) -> dict[str, list[str]]:
    return {re.split(r"\s{2,}", line)[0]: line.split() for line in text.splitlines()}


@pytest.mark.usefixtures("pair")
def test_outcomes_and_settings_that_differ_are_printed(tmp_path: Path) -> None:
    result = compare(tmp_path, "first", "second")
    assert result.exit_code == 0
    found = rows(result.stdout)
    assert found["1"] == ["1", "first"], "each is named by its number"
    assert found["best test"] == ["best", "test", "75.00", "%", "87.50", "%", "✓"]
    assert found["average error"] == ["average", "error", "37.50", "%", "✓", "45.83", "%"]
    assert found["optim.lr"] == ["optim.lr", "0.05", "0.1"]
    assert "optim.momentum" not in found
    assert "Different data" not in result.stdout


@pytest.mark.usefixtures("pair")
def test_json_has_values_not_words(tmp_path: Path) -> None:
    found = json.loads(compare(tmp_path, "first", "second", "--json").stdout)
    assert [(run["name"], run["best_accuracy"], run["seed"]) for run in found["runs"]] == [
        ("first", 0.75, 1),
        ("second", 0.875, 1),
    ]
    assert found["differing"] == {"optim.lr": [0.05, 0.1], "train.seed": [4, 1]}
    assert found["notes"] == []


def test_runs_of_different_data_are_compared_with_a_note_and_none_is_the_best(tmp_path: Path) -> None:
    keep(tmp_path, "two", MadeRun(1).whole([0.5]))
    keep(tmp_path, "three", changed(MadeRun(1).whole([0.25]), classes=("a", "b", "c")))
    text = " ".join(compare(tmp_path, "two", "three").stdout.split())
    assert "Different data (1: digits: 16 test, 2 classes a, b; 2: digits: 16 test, 3 classes a, b, c)" in text
    assert "cannot be compared" in text
    assert "best test 50.00 % 25.00 % best epoch" in text, "no tick"


def test_accuracies_on_another_split_are_in_a_row_of_their_own(tmp_path: Path) -> None:
    made = MadeRun(1, val=True)
    keep(tmp_path, "test", MadeRun(1).whole([0.5]))
    keep(tmp_path, "val", made.whole([0.75], [0.25]), made)
    text = " ".join(compare(tmp_path, "test", "val").stdout.split())
    assert "best test 50.00 % - best" not in text
    assert "best test 50.00 % best epoch" in text
    assert "best validation 25.00 %" in text
    assert "last test 50.00 % 75.00 % ✓ last training" in text.replace("50.00 % ✓", "50.00 %")
    assert "average error 50.00 % 25.00 % ✓" in text


@pytest.mark.usefixtures("pair")
def test_fewer_than_two_runs_are_refused(tmp_path: Path) -> None:
    assert "two runs or more" in str(refused(tmp_path, "first"))


@pytest.mark.usefixtures("pair")
def test_the_same_run_twice_is_refused_however_it_is_named(tmp_path: Path) -> None:
    assert "the same run twice" in str(refused(tmp_path, "first", "second", "first"))
    assert "second and last: the same run twice" in str(refused(tmp_path, "second", "last"))
    (tmp_path / "link").symlink_to(tmp_path / "first")
    assert "first and link: the same run twice" in str(refused(tmp_path, "first", "link"))


@pytest.mark.usefixtures("pair")
def test_a_run_that_is_not_there_is_refused(tmp_path: Path) -> None:
    error = refused(tmp_path, "first", "third")
    assert "'third' is no run" in str(error)
    assert error.exit_status == 2


@pytest.mark.usefixtures("pair")
def test_a_run_without_an_epoch_is_refused(tmp_path: Path) -> None:
    made = MadeRun(2)
    keep(tmp_path, "young", [*made.begin(), *made.epoch(1), made.finish("failed", "no memory")])
    error = refused(tmp_path, "first", "young")
    assert str(error) == "young has not finished an epoch, so there are no figures of it (failed: no memory)"
    assert error.exit_status == 2


@pytest.mark.parametrize("what", ["config.toml", "events.jsonl"])
@pytest.mark.usefixtures("pair")
def test_a_damaged_run_is_refused(tmp_path: Path, what: str) -> None:
    run = keep(tmp_path, "broken", MadeRun(1).whole([0.5]))
    (run.path / what).write_text("[model")
    error = refused(tmp_path, "first", "broken")
    assert isinstance(error, WorldError)
    assert str(error).startswith("broken cannot be read: ")


def test_a_few_damaged_lines_are_counted(tmp_path: Path, pair: list[RunDir]) -> None:
    with pair[1].events.open("ab") as log:
        log.write(b'{"seq": 1\nrubbish\n')
    assert "log of 2 could not be read and count nothing: 2." in compare(tmp_path, "first", "second").stdout


@pytest.mark.usefixtures("pair")
def test_what_names_hold_does_no_harm(tmp_path: Path) -> None:
    name = HOSTILE.replace("/", "")
    keep(tmp_path, name, changed(MadeRun(1).whole([0.5]), classes=(HOSTILE, "b")))
    for arguments in ([], ["--json"]):
        text = compare(tmp_path, "first", name, *arguments).stdout
        assert "[@click=app.exit]y" in text
        assert not {"\x1b", "\x07", "\u202e"} & set(text)


def test_many_runs_stand_below_each_other_where_they_do_not_fit(tmp_path: Path) -> None:
    names = [f"run{number}" for number in range(12)]
    for number, name in enumerate(names):
        keep(tmp_path, name, MadeRun(1).whole([number / 20]), train__seed=number)
    text = compare(tmp_path, *names).stdout
    seeds = [line.split()[1:] for line in text.splitlines() if line.startswith("train.seed")]
    assert len(seeds) > 1
    assert [seed for part in seeds for seed in part] == [str(number) for number in range(12)]
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.usefixtures("pair")
def test_an_event_whose_numbers_no_arithmetic_takes_costs_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply = RunState.apply

    def refusing(state: RunState, event: Event) -> None:
        if isinstance(event, Step) and event.step == 3:
            raise OverflowError
        apply(state, event)

    monkeypatch.setattr(RunState, "apply", refusing)
    found = rows(compare(tmp_path, "first", "second").stdout)
    assert found["best test"] == ["best", "test", "75.00", "%", "87.50", "%", "✓"]
