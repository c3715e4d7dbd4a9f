"""``compare`` in a terminal opens the dashboard on the comparison; what cannot be compared is said before."""

from pathlib import Path

import pytest
from made_run import MadeRun
from runs_support import keep
from terminal_support import Terminal, resnet_tui


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    for number in range(7):
        keep(folder, f"run{number}", MadeRun(2).whole([0.5, number / 10]), train__seed=number)
    made = MadeRun(2)
    keep(folder, "young", [*made.begin(), *made.epoch(1, last=3)])
    return folder


def comparing(runs: Path, *arguments: str) -> Terminal:
    return Terminal(resnet_tui("compare", "--runs-dir", str(runs), *arguments), settings=runs.parent / "config")


def test_the_comparison_opens_and_leads_back_to_the_list(runs: Path) -> None:
    with comparing(runs, "run1", "run2") as terminal:
        terminal.wait_for(b"2 runs over epochs")
        terminal.wait_for(b"train.seed")
        terminal.press("\x1b")
        terminal.wait_for(b"run6")
        terminal.press("q")
        assert terminal.wait_end() == 0
        assert terminal.restored() == []


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["run1", "young"], b"young has not finished an epoch"),
        ([f"run{number}" for number in range(7)], b"at most 6 can be told apart"),
        (["run1"], b"two runs or more"),
    ],
    ids=["no epoch", "too many", "one"],
)
def test_what_cannot_be_compared_is_said_without_taking_the_terminal(
    runs: Path, names: list[str], message: bytes
) -> None:
    with comparing(runs, *names) as terminal:
        assert terminal.wait_end() == 2
        assert message in terminal.output
        assert b"\x1b[?1049h" not in terminal.output


def test_print_prints(runs: Path) -> None:
    with comparing(runs, "run1", "run2", "--print") as terminal:
        assert terminal.wait_end() == 0
        assert b"Settings that differ" in terminal.output
        assert b"\x1b[?1049h" not in terminal.output
