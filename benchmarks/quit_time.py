"""Seconds from the last key of quitting to the end of the process, from every state, and whether all was restored."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from recorded import record
from terminal_support import Terminal, resnet_tui

TRAIN = ("train", "--dataset", "synthetic", "--epochs", "2000", "--set", "telemetry.every_steps=2", "--depth", "8")


def settle(terminal: Terminal) -> None:
    """Let what was asked for come up, a dialog for example, as a person does."""
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        terminal.read(0.05)


def quit_after(name: str, arguments: tuple[str, ...], marker: bytes, keys: list[str], folder: Path) -> None:
    """Start, wait for ``marker``, press ``keys``, of which the last ends the program, and print how long it took."""
    with Terminal(resnet_tui(*arguments), cwd=folder, settings=folder / "config") as terminal:
        terminal.wait_for(marker)
        settle(terminal)
        for key in keys[:-1]:
            terminal.press(key)
            settle(terminal)
        pressed = time.monotonic()
        terminal.press(keys[-1])
        status = terminal.wait_end()
        took = time.monotonic() - pressed
        wrong = ", ".join(terminal.restored()) or "nothing"
        print(f"{name:34} {took:.2f} s, status {status}, not restored: {wrong}", flush=True)


def main() -> None:
    """Quit from every state."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        large = record(folder / "recorded", 400_000, 1)
        quit_after("set-up", (), b"Network", ["\x11"], folder)
        quit_after("the list of runs", (), b"Network", ["\x1bOS", "q"], folder)
        quit_after("a run that is starting", TRAIN, b"starting", ["q", "s"], folder)
        quit_after("training, stopped now", TRAIN, b"training", ["q", "s"], folder)
        quit_after("training, left running", TRAIN, b"training", ["q", "l"], folder)
        quit_after("a live run, read only", ("watch", "--readonly"), b"training", ["q"], folder)
        quit_after("paused, stopped now", ("watch",), b"training", ["p", "q", "s"], folder)
        quit_after("a run that is being read", ("watch", str(large.path)), b"overview", ["q"], folder)
        quit_after("a replay", ("replay", str(large.path)), b"replay", ["q"], folder)
        subprocess.run([sys.executable, "-m", "resnet_tui", "runs"], cwd=folder, check=True)


if __name__ == "__main__":
    main()
