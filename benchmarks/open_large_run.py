"""Time from starting ``resnet-tui watch`` on a recorded run of 400,000 steps until all of it is on the screen."""

import argparse
import statistics
import tempfile
from pathlib import Path

from recorded import record
from terminal_support import Terminal, resnet_tui


def opened(run: Path) -> float:
    """Return the seconds until the header tells the end of the run, which is its last event."""
    with Terminal(resnet_tui("watch", str(run)), cwd=run.parent, settings=run.parent / "config") as t:
        return t.wait_for(b"completed", timeout=60)


def main() -> None:
    """Print the median for a reading every 10 steps, as it is unless told otherwise, and for one every step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=400_000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        for every in (10, 1):
            run = record(Path(name), arguments.steps, every).path
            size = (run / "events.jsonl").stat().st_size / 2**20
            times = [opened(run) for _ in range(arguments.repeats)]
            print(
                f"{arguments.steps:,} steps, a reading every {every:2} ({size:.0f} MiB): "
                f"median {statistics.median(times):.2f} s, worst {max(times):.2f} s of {arguments.repeats}"
            )


if __name__ == "__main__":
    main()
