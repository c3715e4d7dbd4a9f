"""The changes of ``breakages/`` are to code that is there, and each test of a promise has one that it must notice.

``break_it.py`` tries them.
"""

import re
from pathlib import Path
from typing import Any

import pytest
from promises.break_it import ROOT, listed

FOLDER = Path("tests/promises")
WITHOUT_A_CHANGE = {
    "test_deterministic.py::test_a_killed_run_is_resumed_to_the_bit_on_a_gpu": "needs a GPU",
    "test_breakages.py::test_what_is_changed_is_there_once": "is no test of a promise",
    "test_breakages.py::test_every_test_has_a_change_that_it_must_notice": "is no test of a promise",
}


@pytest.mark.parametrize("change", listed(), ids=lambda change: f"{change['promise']}: {change['what']}")
def test_what_is_changed_is_there_once(change: dict[str, Any]) -> None:
    file, _, test = change["test"].split()[0].partition("::")
    assert (ROOT / change["file"]).read_text().count(change["old"]) == 1
    assert test in {"", *_tests(ROOT / file)}


def test_every_test_has_a_change_that_it_must_notice() -> None:
    tests = {
        str(FOLDER / file.name) + f"::{test}" for file in (ROOT / FOLDER).glob("test_*.py") for test in _tests(file)
    }
    named = {change["test"].split()[0] for change in listed()}
    assert tests - named == {str(FOLDER / test) for test in WITHOUT_A_CHANGE}


def _tests(file: Path) -> list[str]:
    return re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
