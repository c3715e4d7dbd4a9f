"""Images a second of a training ResNet-20 with the dashboard open, over the same run without it, in turn.

And what the dashboard used of a core, which does not change with what else the machine does.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from terminal_support import Terminal, resnet_tui

from engine.event_log import read_events
from engine.events import Step


def main() -> None:
    """Train one run, open and close the dashboard on it in turn, and compare the readings of both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=30, help="of each half of a pair")
    parser.add_argument("--data-dir", type=Path, help="a folder of pictures; without it, synthetic ones")
    parser.add_argument("--tab", default="1", help="digit of the tab that is open")
    arguments = parser.parse_args()
    data = ["--dataset", "synthetic", "--set", "data.synthetic_size=50000"]
    if arguments.data_dir is not None:
        data = ["--dataset", "imagefolder", "--data-dir", str(arguments.data_dir.absolute())]
    with tempfile.TemporaryDirectory() as name:
        command = resnet_tui("train", "--headless", "--preset", "resnet20-cifar10", *data, "--runs-dir", name)
        with Path(name, "said").open("wb") as said:
            trainer = subprocess.Popen(command, stdout=said, stderr=said)
        try:
            compare(Path(name), arguments.pairs, arguments.seconds, arguments.tab)
        finally:
            trainer.kill()
            trainer.wait()


def compare(folder: Path, pairs: int, seconds: float, tab: str) -> None:
    """Open and close the dashboard in turn and print the ratio of the speeds."""
    while not (logs := list(folder.glob("*/events.jsonl"))) or not list(steps(logs[0])):
        time.sleep(1)
    time.sleep(10)
    windows: list[tuple[bool, float, float]] = []
    used: list[float] = []
    for pair in range(pairs):
        for opened in (pair % 2 == 0, pair % 2 == 1):  # which is first changes, so that a drift counts for both
            if opened:
                with Terminal(resnet_tui("watch", "--runs-dir", str(folder)), settings=f"{folder}/c") as t:
                    t.wait_for(b"training")
                    t.press(tab)
                    before, began = processor_seconds(t), time.monotonic()
                    windows.append(window(t, seconds, opened=True))
                    used.append((processor_seconds(t) - before) / (time.monotonic() - began))
                    since = t.press("q")
                    t.wait_for(b"Leave it running", since=since)
                    t.press("l")
                    t.wait_end()
            else:
                windows.append(window(None, seconds, opened=False))
    speeds = [(opened, speed_between(logs[0], begin, end)) for opened, begin, end in windows]
    pair_ratios = []
    for first, second in zip(speeds[::2], speeds[1::2], strict=True):
        with_it, without = (first, second) if first[0] else (second, first)
        pair_ratios.append(with_it[1] / without[1])
        print(f"with the dashboard {with_it[1]:.0f} images/s, without {without[1]:.0f}")
    print(
        f"ratio {statistics.median(pair_ratios):.3f} "
        f"(from {min(pair_ratios):.3f} to {max(pair_ratios):.3f}, {pairs} pairs of {seconds:.0f} s, tab {tab})"
    )
    print(f"the dashboard itself used {statistics.median(used):.1%} of one core, its first seconds included")


def processor_seconds(terminal: Terminal) -> float:
    """Return what the processes of the dashboard have used of processors so far."""
    started = psutil.Process(terminal.pid)
    return sum(sum(process.cpu_times()[:2]) for process in (started, *started.children(recursive=True)))


def window(terminal: Terminal | None, seconds: float, *, opened: bool) -> tuple[bool, float, float]:
    """Wait, letting the terminal draw; return from when to when, without the first seconds that starting takes."""
    settle = time.time() + 3
    while time.time() < settle + seconds:
        if terminal is not None:
            terminal.read(0.05)
        else:
            time.sleep(0.05)
    return opened, settle, settle + seconds


def steps(log: Path) -> list[Step]:
    """Return the readings of a log."""
    return [event for event in read_events(log) if isinstance(event, Step)]


def speed_between(log: Path, begin: float, end: float) -> float:
    """Return images over seconds of the readings whose whole interval lies between two times."""
    images = seconds = 0.0
    for event in steps(log):
        took = event.images / event.images_per_second
        if begin <= event.time - took and event.time <= end:
            images += event.images
            seconds += took
    if not seconds:
        sys.exit("no reading in a window; give more --seconds")
    return images / seconds


if __name__ == "__main__":
    main()
