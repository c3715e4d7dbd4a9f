"""Keys answered while a run writes 10,000 events a second, and the memory of the dashboard meanwhile."""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from made_training import norms, opening, step
from terminal_support import Terminal, resnet_tui

from engine import run_dir
from engine.config_file import build_config
from engine.events import EpochStarted, encode

EVENTS = 10_000
"""A second: half steps, half gradient norms."""
_BURST = 0.01


def flood(folder: Path, seconds: float) -> None:
    """Write a live run's events; runs in a process of its own."""
    config = build_config({"name": "flood", "train": {"epochs": 100_000}}, {})
    run = run_dir.create(folder, config)
    began, number = time.monotonic(), 0
    with run.events.open("ab", buffering=0) as log:
        log.write(b"".join(map(encode, opening(config, 100_000, time.time()))))
        log.write(encode(EpochStarted(time=time.time(), epoch=1, epochs=100_000)))
        while (passed := time.monotonic() - began) < seconds:
            burst = []
            while number < passed * EVENTS / 2:
                number += 1
                burst += [encode(step(number, time.time())), encode(norms(number, time.time()))]
            log.write(b"".join(burst))
            run.beat()
            time.sleep(_BURST)
    print(number * 2, flush=True)
    run.release()


def percentile(values: list[float], share: float) -> float:
    """Return the value below which ``share`` of the others lie."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def main() -> None:
    """Print latencies of key presses and memory over the flood."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--flood", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.flood is not None:
        flood(arguments.flood, arguments.seconds + 15)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, __file__, "--flood", name, "--seconds", str(arguments.seconds)]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            measure(folder, arguments.seconds)
        finally:
            written, _ = writer.communicate()
        print(f"the run wrote {int(written):,} events in {arguments.seconds + 15:.0f} s")


def measure(folder: Path, seconds: float) -> None:
    """Press keys at a live flood and print how long each took to be answered."""
    while not any(folder.iterdir()):
        time.sleep(0.1)
    with Terminal(resnet_tui("watch", "--runs-dir", name := str(folder)), settings=f"{name}/config") as t:
        t.wait_for(b"training")
        process = psutil.Process(t.pid)
        latencies, memory, key = [], [], 0
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            # Each key has an answer of its own, so that an earlier one's is not taken for it.
            axis = ("epoch", "time", "step")[key % 3]
            pressed = time.monotonic()
            since = t.press("x")
            t.wait_for(f"axis: {axis}".encode(), since=since)
            latencies.append((time.monotonic() - pressed) * 1000)
            memory.append(process.memory_info().rss / 2**20)
            key += 1
            t.read(0.1)
        third = len(memory) // 3
        print(
            f"{len(latencies)} keys: median {statistics.median(latencies):.0f} ms, "
            f"p99 {percentile(latencies, 0.99):.0f} ms, worst {max(latencies):.0f} ms"
        )
        early, late = statistics.mean(memory[third : 2 * third]), statistics.mean(memory[2 * third :])
        print(f"memory: {early:.1f} MiB in the second third of the time, {late:.1f} MiB in the last")


if __name__ == "__main__":
    main()
