"""What is said of an error that nobody expected: one message, and a file with its traceback."""

import sys
import traceback
from pathlib import Path

import platformdirs

from engine.files import write_text
from engine.text import clean, one_line

_LONGEST = 100_000
"""Characters of the file: an error's own text may be of any length."""


def report(error: BaseException) -> None:
    """Say on stderr what failed and where its traceback is: without values of variables, fit for a terminal."""
    print(
        f"error: the dashboard failed: {one_line(''.join(traceback.format_exception_only(error)))}", file=sys.stderr
    )
    log = crash_log()
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        write_text(log, clean("".join(traceback.format_exception(error)), _LONGEST))
    except OSError as problem:
        print(f"its traceback could not be kept: {problem.strerror}", file=sys.stderr)
    else:
        print(f"its traceback is in {one_line(str(log))}", file=sys.stderr)


def crash_log() -> Path:
    """Return where the latest traceback is kept, in this platform's folder of logs."""
    return platformdirs.user_log_path("resnet-tui") / "crash.log"
