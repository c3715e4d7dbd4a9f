"""What a run takes as it grows: its memory by network and batch, and the time of an epoch by the size of the data."""

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from terminal_support import resnet_tui

from engine.event_log import read_events
from engine.events import CheckpointSaved, EpochStarted, Evaluated, ModelBuilt, Step
from engine.run_dir import iterate

NETWORKS = {
    "ResNet-20": ("--depth", "20"),
    "ResNet-56": ("--depth", "56"),
    "ResNet-110": ("--depth", "110"),
    "ResNet-18": ("--depth", "18"),
}
_MEMORY_IMAGES = 5_120


@dataclass(frozen=True)
class Measured:
    """What one run took."""

    peak_bytes: int
    training: float
    """Seconds of the last epoch."""
    evaluation: float
    other: float
    """Seconds of the last epoch that went neither into training nor into evaluation."""
    kept_bytes: int
    """For the backward pass of a batch, in float32 as the shape table has it."""


def main() -> None:
    """Print both tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, nargs="+", default=[32, 128, 512, 1024])
    parser.add_argument("--size", type=int, nargs="+", default=[1_000, 5_000, 10_000, 25_000, 50_000])
    arguments = parser.parse_args()
    nothing = run("--depth", "8", size=_MEMORY_IMAGES, batch=2, epochs=1, most=2)
    print("| network, batch | peak memory | over a tiny network | kept for the backward pass, in float32 |")
    print("| --- | ---: | ---: | ---: |")
    for name, flags in NETWORKS.items():
        for batch in arguments.batch if name == "ResNet-20" else [128]:
            found = run(*flags, size=_MEMORY_IMAGES, batch=batch, epochs=1, most=_MEMORY_IMAGES // batch // 4 + 2)
            more = found.peak_bytes - nothing.peak_bytes
            cells = (f"{name}, {batch:,}", *map(mib, (found.peak_bytes, more, found.kept_bytes)))
            print(f"| {' | '.join(cells)} |", flush=True)
    print("\n| training images | epoch | training | evaluation | the rest | images/s |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for size in arguments.size:
        found = run("--depth", "20", size=size, batch=128, epochs=2)
        whole = found.training + found.evaluation + found.other
        print(
            f"| {size:,} | {whole:.1f} s | {found.training:.1f} s | {found.evaluation:.1f} s | {found.other:.2f} s | "
            f"{size / found.training:,.0f} |",
            flush=True,
        )


def run(*flags: str, size: int, batch: int, epochs: int, most: int = 0) -> Measured:
    """Train with the default settings on made pictures of CIFAR's size, and return what that took.

    Args:
        flags: the network.
        size: training images; a quarter as many are evaluated.
        batch: images a step.
        epochs: how many.
        most: instead of whole epochs, stop after so many steps; 0: do not.
    """
    with tempfile.TemporaryDirectory() as name:
        command = resnet_tui(
            "train", "--headless", "--dataset", "synthetic", "--set", f"data.synthetic_size={size}", *flags,
            "--batch-size", str(batch), "--epochs", str(epochs), "--runs-dir", name,
            "--set", "telemetry.every_steps=1" if most else "telemetry.every_steps=10",
        )  # fmt: skip
        with Path(name, "said").open("wb") as said:
            process = subprocess.Popen(command, stdout=said, stderr=said, stdin=subprocess.DEVNULL)
            while most and process.poll() is None and steps_done(Path(name)) < most:
                try:
                    process.wait(0.05)
                except subprocess.TimeoutExpired:
                    continue
            if most:
                process.terminate()
            _, _, usage = os.wait4(process.pid, 0)
        return measured(Path(name), usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))


def steps_done(runs: Path) -> int:
    """Return the steps in the log of the only run."""
    return max((event.step for one in iterate(runs) for event in read_events(one.events) if isinstance(event, Step)),
               default=0)  # fmt: skip


def measured(runs: Path, peak_bytes: int) -> Measured:
    """Read the log of the only run."""
    training = evaluation = begin = end = 0.0
    kept = 0
    for event in read_events(next(iterate(runs)).events):
        match event:
            case ModelBuilt():
                kept = sum(row.activation_bytes for row in event.rows)
            case EpochStarted():
                training, evaluation, begin = 0.0, 0.0, event.time
            case Step():
                training += event.images / event.images_per_second
                end = event.time
            case Evaluated():
                evaluation += event.seconds
                end = event.time
            case CheckpointSaved():
                end = event.time
            case _:
                pass
    return Measured(peak_bytes, training, evaluation, end - begin - training - evaluation, kept)


def mib(count: int) -> str:
    """Write bytes as MiB."""
    return f"{count / 2**20:,.0f} MiB"


if __name__ == "__main__":
    main()
