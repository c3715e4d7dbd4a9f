"""Settings to be tried: a grid, or cases one by one."""

from pathlib import Path
from typing import Any

import pytest

from engine.errors import UserError
from engine.sweep import Case, cases, grid, read_cases


def plain(found: list[Case]) -> list[dict[str, Any]]:
    return [{setting.key: setting.value for setting in case} for case in found]


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
