"""Seconds of commands that a person waits for: ``--help``, and ``runs`` with a thousand runs of 200 epochs each.

The first time, ``runs`` reads every log; from then on only what has changed.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from made_training import STEPS_PER_EPOCH
from recorded import record
from terminal_support import resnet_tui


def seconds(command: list[str], repeats: int) -> list[float]:
    """Return how long ``command`` takes, each time."""
    found = []
    for _ in range(repeats):
        began = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        found.append(time.monotonic() - began)
    return found


def main() -> None:
    """Print medians, each as a ratio to an interpreter that does nothing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        runs = Path(name) / "runs"
        os.environ["RESNET_TUI_CACHE"] = f"{name}/cache"
        first = record(runs, 200 * STEPS_PER_EPOCH, 100).path
        for number in range(1, arguments.runs):
            shutil.copytree(first, runs / f"{first.name}-{number}")
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "resnet-tui --help": resnet_tui("--help"),
            "resnet-tui train --help": resnet_tui("train", "--help"),
            f"resnet-tui runs, {arguments.runs:,} of 200 epochs": resnet_tui("runs", "--runs-dir", str(runs)),
        }
        base = 0.0
        for what, command in commands.items():
            times = seconds(command, arguments.repeats)
            median = statistics.median(times)
            base = base or median
            print(
                f"{what:40} first {times[0]:.3f} s, median {median:.3f} s, worst {max(times):.3f} s, "
                f"ratio {median / base:.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
