"""Time from the start of the process to the first painted screen, as a ratio to a bare Textual app with one label."""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from terminal_support import Terminal, resnet_tui

BARE = """
from textual.app import App
from textual.widgets import Label

class Bare(App):
    def compose(self):
        yield Label("ready-to-read")

Bare().run()
"""


def first_frame(command: list[str], marker: bytes, folder: Path) -> float:
    """Return the seconds until ``marker`` is on the screen."""
    with Terminal(command, cwd=folder, settings=folder / "config") as terminal:
        return terminal.wait_for(marker)


def main() -> None:
    """Measure in turn and print the median of the pairs' ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=9)
    pairs = parser.parse_args().pairs
    ratios, times = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for _ in range(pairs + 1):
            bare = first_frame([sys.executable, "-c", BARE], b"ready-to-read", folder)
            ours = first_frame(resnet_tui(), b"Network", folder)
            ratios.append(ours / bare)
            times.append((bare, ours))
    ratios, times = ratios[1:], times[1:]  # the first pair fills the file cache
    bare, ours = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"bare app {bare:.3f} s, resnet-tui {ours:.3f} s")
    print(f"ratio    {statistics.median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f}, {pairs} pairs)")


if __name__ == "__main__":
    main()
