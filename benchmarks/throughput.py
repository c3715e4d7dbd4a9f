"""Images a second of whole training steps, in turn with peers' own loops and with the convolutions alone.

A table in Markdown: medians over the rounds, each over the best peer's, and the share of the bound: of what the same
convolutions alone reach in the same precision. Peers are given as paths to their checkouts, for example:

    python benchmarks/throughput.py --akamaster ~/pytorch_resnet_cifar10 --kuangliu ~/pytorch-cifar
"""

import argparse
import json
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from engine.devices import describe, resolve, resolve_precision

PEERS = ("akamaster", "kuangliu", "chenyaofo")
NETWORKS: dict[str, dict[str, Any]] = {
    **{f"resnet{depth}": {"depth": depth, "shortcut": "A"} for depth in (20, 32, 44, 56, 110)},
    "resnet18": {"depth": 18},
}


@dataclass
class Subject:
    """What is measured, its process, and what came out."""

    name: str
    command: list[str]
    bound: str = ""
    """The name of the subject that bounds this one."""
    rates: list[float] = field(default_factory=list)

    def start(self) -> None:
        """Begin the process; it warms up while it waits."""
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._read()

    def measure(self, *, keep: bool) -> None:
        """Let it train for one round."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        rate = float(self._read())
        if keep:
            self.rates.append(rate)
        self._read()  # ready again: it has evaluated or whatever it does after an epoch

    def _read(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name}: ended with status {self.process.wait()}")
        return line

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()


def main() -> None:
    """Measure in turn, print the table."""
    given = _arguments()
    subjects = [
        subject for network in given.network for batch in given.batch for subject in _subjects(given, network, batch)
    ]
    try:
        for subject in subjects:  # one at a time, so that a process that warms up disturbs no other
            subject.start()
            subject.measure(keep=False)
        for _ in range(given.rounds):
            for subject in subjects:
                subject.measure(keep=True)
    finally:
        for subject in subjects:
            if hasattr(subject, "process"):
                subject.stop()
    _print(subjects, given)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for peer in PEERS:
        parser.add_argument(f"--{peer}", type=Path, metavar="CHECKOUT", help=f"folder of {peer}'s repository")
    parser.add_argument("--network", nargs="+", choices=NETWORKS, default=["resnet20"])
    parser.add_argument("--batch", nargs="+", type=int, default=[128])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=2, help="of the peers' loaders")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=15, help="of a round")
    parser.add_argument("--telemetry", action="store_true", help="gradient norms at every step against none instead")
    parser.add_argument("--compile", action="store_true", help="with torch.compile as well")
    parser.add_argument("--default-only", action="store_true", help="neither float32 nor without fused norms")
    return parser.parse_args()


def _subjects(given: argparse.Namespace, network: str, batch: int) -> list[Subject]:
    def settings(telemetry: dict[str, Any] | None = None, **train: Any) -> str:
        return json.dumps(
            {
                "model": NETWORKS[network],
                "train": {"batch_size": batch, "device": given.device, "epochs": 100_000, **train},
                "telemetry": telemetry or {},
            }
        )

    def subject(name: str, kind: str, text: str, bound: str = "", *more: str) -> Subject:
        child = str(Path(__file__).with_name("throughput_subjects.py"))
        where = f"{network}, {batch}: "
        command = [sys.executable, child, kind, text, "--steps", str(given.steps), *more]
        return Subject(where + name, command, where + bound if bound else "")

    if given.telemetry:
        return [
            subject("norms at every step", "ours", settings({"every_steps": 1})),
            subject("read at every step, no norms", "ours", settings({"every_steps": 1, "gradient_norms": False})),
            subject("norms at the default interval", "ours", settings()),
            subject("the default interval, no norms", "ours", settings({"gradient_norms": False})),
        ]
    device = resolve(given.device)
    auto = str(resolve_precision("auto", device)).removeprefix("torch.")
    bounds = {precision: f"convolutions alone, {precision}" for precision in (auto, "float32")}
    found = [subject(f"default ({auto})", "ours", settings(), bounds[auto])]
    if given.compile:
        found.append(subject("compiled", "ours", settings(compile=True), bounds[auto]))
    if not given.default_only:
        found.append(subject("not fused", "ours", settings(fused=False), bounds[auto]))
        if auto != "float32":
            found.append(subject("float32", "ours", settings(precision="float32"), bounds["float32"]))
    for precision, name in bounds.items():
        if precision == auto or not given.default_only:
            found.append(subject(name, "bound", settings(precision=precision)))
    for peer in PEERS:
        checkout = getattr(given, peer)
        if checkout is not None and network != "resnet18" and batch == given.batch[0]:
            more = ("--checkout", str(checkout.absolute()), "--workers", str(given.workers))
            found.append(subject(peer, peer, settings(), "", *more))
    return found


def _print(subjects: list[Subject], given: argparse.Namespace) -> None:
    median = {subject.name: statistics.median(subject.rates) for subject in subjects}
    peers = [rate for name, rate in median.items() if name.endswith(PEERS)]
    print(
        f"{describe(resolve(given.device))}, torch {torch.__version__}, {given.rounds} rounds of {given.steps} steps"
    )
    print("\n| network, batch | images/s | lowest to highest | over the best peer | of the bound |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for subject in subjects:
        rate = median[subject.name]
        over = f"{rate / max(peers):.2f}" if peers else "–"
        share = f"{rate / median[subject.bound]:.0%}" if subject.bound else "–"
        spread = f"{min(subject.rates):,.0f} to {max(subject.rates):,.0f}"
        print(f"| {subject.name} | {rate:,.0f} | {spread} | {over} | {share} |")


if __name__ == "__main__":
    main()
