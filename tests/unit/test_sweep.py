"""Settings to be tried: a grid, or cases one by one."""

from pathlib import Path
from typing import Any

import pytest
from made_run import MadeRun

from engine.errors import UserError
from engine.queue.standing import Standing
from engine.run_dir import RunDir
from engine.summary import RunSummary
from engine.sweep import Case, cases, chosen_by, grid, read_cases, results, words
from resnet_tui.printing.sweep import print_results, results_json


def plain(found: list[Case]) -> list[dict[str, Any]]:
    return [{setting.key: setting.value for setting in case} for case in found]


def trained(test: list[float], val: list[float] | None = None) -> Standing:
    made, summary = MadeRun(len(test), val=val is not None), RunSummary()
    for event in made.whole(test, val or ()):
        summary.apply(event)
    return Standing(made.config, "done", RunDir(Path("runs/one")), summary)


def test_the_order_is_by_validation_where_all_have_it() -> None:
    tried = grid(["optim.lr=0.1,0.2"])
    found = results(tried, [trained([0.9], [0.4]), trained([0.8], [0.5])])
    assert [words(result.case) for result in found] == ["optim.lr=0.2", "optim.lr=0.1"]
    assert chosen_by(found) == "validation"


def test_one_without_validation_puts_all_in_the_order_of_the_test_set(capsys: pytest.CaptureFixture[str]) -> None:
    tried = grid(["optim.lr=0.1,0.2"])
    found = results(tried, [trained([0.7], [0.99]), trained([0.8])])
    assert [words(result.case) for result in found] == ["optim.lr=0.2", "optim.lr=0.1"]
    assert [result.choosing.mean for result in found if result.choosing is not None] == [0.8, 0.7]
    assert results_json(found)["chosen_by"] == "test"
    print_results(found)
    printed = capsys.readouterr().out
    assert "the order looked at the test set" in printed
    assert "chose nothing" not in printed


def test_where_nothing_was_trained_nothing_chose(capsys: pytest.CaptureFixture[str]) -> None:
    config = MadeRun(1).config
    found = results(grid(["optim.lr=0.1,0.2"]), [Standing(config, "failed", reason="no room")] * 2)
    assert results_json(found)["chosen_by"] is None
    print_results(found)
    printed = capsys.readouterr().out
    assert "order" not in printed
    assert "optim.lr=0.2, seed 1: failed: no room" in printed


def test_a_grid_is_every_combination_and_the_last_varies_fastest() -> None:
    assert plain(grid(["optim.lr=0.1,0.2", "optim.name=sgd,adam"])) == [
        {"optim.lr": 0.1, "optim.name": "sgd"},
        {"optim.lr": 0.1, "optim.name": "adam"},
        {"optim.lr": 0.2, "optim.name": "sgd"},
        {"optim.lr": 0.2, "optim.name": "adam"},
    ]


def test_values_are_of_every_kind() -> None:
    assert plain(grid(["data.flip=true,false"])) == [{"data.flip": True}, {"data.flip": False}]
    assert plain(grid(["schedule.milestones=[0.5,0.75],[0.3]"])) == [
        {"schedule.milestones": [0.5, 0.75]},
        {"schedule.milestones": [0.3]},
    ]


def test_cases_are_one_by_one_and_may_stand_in_a_file(tmp_path: Path) -> None:
    expected = [{"optim.lr": 0.1, "train.batch_size": 64}, {"optim.name": "adam"}]
    assert plain(cases(["optim.lr=0.1 train.batch_size=64", "optim.name=adam"])) == expected
    file = tmp_path / "cases.txt"
    file.write_text("# rates\noptim.lr=0.1   train.batch_size=64\n\noptim.name='adam'\n")
    assert plain(read_cases(file)) == expected


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        (["optim.lr"], "write section.key=value,value"),
        (["optim.lr="], "a value is missing"),
        (["optim.name=sgd,,adam"], "a value is missing"),
        (["optim.lr=0.1,0.1"], "0.1 is there twice"),
        (["optim.lr=0.1", "optim.lr=0.2"], "optim.lr is there twice"),
        (["train.seed=1,2"], "--seeds N"),
        (["train.device=cpu,cuda"], "--device"),
        (["data.val_size=0,12"], "compared on one split"),
        (["lr=0.1,0.2"], "unknown key 'lr'; did you mean optim.lr?"),
        (["depth=8,14"], "did you mean model.depth?"),
        (["optim.lr=" + ",".join(map(str, range(1, 1002)))], "1,001 runs: at most 1,000"),
    ],
)
def test_a_bad_grid_says_what_to_write(axes: list[str], said: str) -> None:
    with pytest.raises(UserError, match=r"--grid|runs") as raised:
        grid(axes)
    assert said in str(raised.value)


@pytest.mark.parametrize("line", ["", "optim.lr", "optim.lr=1 optim.lr=2", "'open"])
def test_a_bad_case_is_quoted(line: str) -> None:
    with pytest.raises(UserError, match="--case"):
        cases([line])


def test_a_bad_file_is_named(tmp_path: Path) -> None:
    empty, binary = tmp_path / "empty", tmp_path / "binary"
    empty.write_text("# nothing\n")
    binary.write_bytes(b"\xff\xfe")
    for path, said in ((empty, "no case in it"), (binary, "UTF-8"), (tmp_path / "none", "No such file")):
        with pytest.raises(UserError, match="--list") as raised:
            read_cases(path)
        assert said in str(raised.value)
