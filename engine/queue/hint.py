"""The commands that messages name: with the folder of runs where it is not the one used anyway."""

import shlex
from pathlib import Path

from engine.run_dir import DEFAULT_RUNS
from engine.text import one_line


def hint(runs: Path, *words: str) -> str:
    """Return the command ``resnet-tui`` with these words, for the runs in the folder ``runs``."""
    folder = [] if runs == DEFAULT_RUNS else ["--runs-dir", str(runs)]
    return one_line(shlex.join(["resnet-tui", *words, *folder]))
