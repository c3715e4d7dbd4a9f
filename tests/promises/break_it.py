"""Shows that the tests of the promises can fail: breaks the code, a change at a time; a test must notice.

``python tests/promises/break_it.py [WORD]``, with a word only the changes whose promise or file has it. First, each
test has to pass on the code as it is. Every file of ``breakages/`` lists changes: the promise, the file, the text
that is there once and what replaces it, and the test. Works on a copy; exits with 1 where a test did not notice.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
_LONGEST = 600
_FAILED = 1
"""pytest's status where tests ran and one failed; any other than this is a mistake in a list."""


def main() -> int:
    """Try every change; return how the process is to end."""
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    wanted = [change for change in listed() if word in change["promise"] or word in change["file"]]
    whole = {test: _run(None, test) for test in sorted({change["test"] for change in wanted})}
    for test, status in whole.items():
        if status != 0:
            print(f"fails as it is: {test}")
    missed = sum(status != 0 for status in whole.values())
    for number, change in enumerate(wanted, 1):
        began = time.monotonic()
        problem = _problem(change)
        missed += bool(problem)
        print(f"{number:>3} {problem or 'noticed':<12} {time.monotonic() - began:5.1f} s  {change['promise']}: "
              f"{change['file']}, {change['what']}", flush=True)  # fmt: skip
    print(f"{len(wanted) - missed} of {len(wanted)} changes were noticed")
    return 1 if missed or not wanted else 0


def listed() -> list[dict[str, Any]]:
    """Return every change of ``breakages/``."""
    files = sorted((Path(__file__).parent / "breakages").glob("*.toml"))
    return [change for file in files for change in tomllib.loads(file.read_text())["break"]]


def _problem(change: dict[str, Any]) -> str:
    """Return why a change is not shown to be noticed; empty where it is."""
    try:
        status = _run(change, change["test"])
    except subprocess.TimeoutExpired:
        return "TOO LONG"
    except LookupError:
        return "NOT FOUND"
    if status == _FAILED:
        return ""
    return "NOT NOTICED" if status == 0 else f"STATUS {status}"


def _run(change: dict[str, Any] | None, test: str) -> int:
    """Run a test on a copy with a change, or as it is; return pytest's status.

    Raises:
        LookupError: what is to be changed is not there once.
        subprocess.TimeoutExpired: it did not end.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__", "runs", "docs"))
        if change is not None:
            changed = copy / change["file"]
            text = changed.read_text()
            if text.count(change["old"]) != 1:
                raise LookupError
            changed.write_text(text.replace(change["old"], change["new"]))
        try:
            return subprocess.run(
                [sys.executable, "-m", "pytest", "-o", "addopts=-q --import-mode=importlib", "-x", *test.split()],
                cwd=copy,
                env=os.environ | {"PYTHONPATH": str(copy)},
                capture_output=True,
                timeout=_LONGEST,
                check=False,
            ).returncode
        finally:
            _end_what_is_left(copy)


def _end_what_is_left(copy: Path) -> None:
    """Kill what a broken program did not end."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if str(copy) in process.environ().get("PYTHONPATH", ""):
                process.kill()


if __name__ == "__main__":
    sys.exit(main())
