"""Time from the start of the process to the first painted screen, as a ratio to a bare Textual app with one label."""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import psutil
from terminal_support import Terminal, resnet_tui

BARE = """
from textual.app import App
from textual.widgets import Label

class Bare(App):
    def compose(self):
        yield Label("ready-to-read")

Bare().run()
"""


def painted(command: list[str], folder: Path, *markers: bytes) -> list[float]:
    """Return the seconds until each of ``markers`` is on the screen."""
    with Terminal(command, cwd=folder, settings=folder / "config") as terminal:
        seconds = [terminal.wait_for(marker) for marker in markers]
        started = psutil.Process(terminal.pid).children(recursive=True)
    psutil.wait_procs(started, timeout=30)  # what it began in the background must not slow the next
    return seconds


def main() -> None:
    """Measure in turn and print the median of the pairs' ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=9)
    pairs = parser.parse_args().pairs
    times = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for _ in range(pairs + 1):
            bare = painted([sys.executable, "-c", BARE], folder, b"ready-to-read")
            times.append((*bare, *painted(resnet_tui(), folder, b"resnet-tui", b"Network")))
    times = times[1:]  # the first fills the file cache
    bare, first, form = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"bare app {bare:.3f} s; resnet-tui: first painted screen {first:.3f} s, the whole form {form:.3f} s")
    for name, column in (("first painted screen", 1), ("whole form", 2)):
        ratios = [row[column] / row[0] for row in times]
        print(f"{name:20} ratio {statistics.median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
