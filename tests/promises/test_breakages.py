"""The changes of ``breakages/`` are to code that is there; ``break_it.py`` tries them."""

from pathlib import Path
from typing import Any

import pytest
from promises.break_it import ROOT, listed


@pytest.mark.parametrize("change", listed(), ids=lambda change: f"{change['promise']}: {change['what']}")
def test_what_is_changed_is_there_once(change: dict[str, Any]) -> None:
    assert (ROOT / change["file"]).read_text().count(change["old"]) == 1
    assert (ROOT / Path(change["test"].split()[0].partition("::")[0])).is_file()
