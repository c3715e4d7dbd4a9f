"""Take the pictures of README and documentation: every screen at three sizes, from real runs that this script starts.

Usage: python docs/screenshots.py [FOLDER]   (``make screenshots``; without FOLDER, build/screenshots)

The run is the quickstart, a ResNet-20 on embedded data; two short ones before it are there to be compared. Those
pictures that README and documentation show are copied to docs/pictures.
"""

import asyncio
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ["TEXTUAL_COLOR_SYSTEM"] = "truecolor"  # read when textual is imported
os.environ.pop("NO_COLOR", None)

from rich.console import Console
from rich.text import Text
from textual.pilot import Pilot

from engine import run_dir
from engine.event_log import read_events
from engine.events import RunFinished, Step
from engine.sinks import live
from engine.sinks.console import ConsoleSink
from engine.summary import RunSummary

if TYPE_CHECKING:
    from resnet_tui.screens.run import RunScreen

HERE = Path(__file__).parent / "pictures"
SIZES = ((80, 24), (120, 40), (200, 60))
TABS = ("dashboard", "charts", "gradients", "shapes", "classes", "system", "log")
"""The first is called as the README has it."""
SHOWN = {
    *(f"{name}-120x40" for name in (*TABS, "setup", "runs", "compare", "compare-gradients", "help", "palette")),
    "quit-80x24",
}
"""What README and documentation show."""
TO_COMPARE = (("--shortcut", "none"), ())
"""Flags of the short runs: a plain network, and the same with its shortcuts."""
HEADLESS_WIDTH = 96
SOMEWHERE = "/home/somebody/residual-networks-in-a-terminal"
"""Stands in pictures for the folder that they are made in."""
EPOCH = 8
"""In which the run is when it is taken."""


async def until(pilot: Pilot[Any], wanted: Callable[[], object], seconds: float = 300) -> None:
    """Let the app work until ``wanted`` holds."""
    deadline = time.monotonic() + seconds
    while not wanted():
        if time.monotonic() > deadline:
            raise SystemExit(f"never came: {wanted}")
        await pilot.pause(0.05)


async def shoot(pilot: Pilot[Any], name: str, folder: Path) -> None:
    """Save the screen at every size."""
    for width, height in SIZES:
        await pilot.resize_terminal(width, height)
        await pilot.pause(1.0)  # so that what is drawn seldom is drawn, too
        picture = pilot.app.export_screenshot(title="resnet-tui", simplify=True)
        here = str(Path.cwd())
        picture = picture.replace(here, SOMEWHERE[: len(here)])  # as long, since every text has its length beside it
        (folder / f"{name}-{width}x{height}.svg").write_text(picture, encoding="utf-8")


def is_marked(screen: "RunScreen", change: str) -> bool:
    """Whether ``change`` is marked on the run's charts."""
    return any(change in made.text for made in screen.state.changes)


async def take(folder: Path, runs: Path) -> None:
    """Go through every screen of a session."""
    from resnet_tui.app import Dashboard
    from resnet_tui.screens.compare import CompareScreen
    from resnet_tui.screens.run import RunScreen
    from resnet_tui.screens.setup import SetupScreen

    app = Dashboard(runs)
    async with app.run_test(size=SIZES[1]) as pilot:
        await until(pilot, lambda: isinstance(app.screen, SetupScreen))
        await pilot.pause(10.0)  # the helper warms up
        await shoot(pilot, "setup", folder)
        await pilot.press("f5")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        screen = app.screen
        assert isinstance(screen, RunScreen)
        await until(pilot, lambda: screen.state.summary.epoch >= EPOCH)
        await pilot.press("p")  # so that all pictures are of the same moment
        await until(pilot, lambda: screen.doing == "paused")
        for key, value, change in (("r", "0.02", "set learning rate"), ("a", "30", "extend epochs")):
            await pilot.press(key)
            await pilot.pause(0.2)
            await pilot.press("ctrl+u", *("full_stop" if c == "." else c for c in value), "enter")
            await until(pilot, partial(is_marked, screen, change))
        await pilot.press("p")
        await until(pilot, lambda: screen.state.summary.epoch > EPOCH + 1)
        for digit, name in enumerate(TABS, 1):
            await pilot.press(str(digit))
            await shoot(pilot, name, folder)
        await pilot.press("1", "p")
        await until(pilot, lambda: screen.doing == "paused")
        await pilot.press("q")
        await pilot.pause(0.5)
        await shoot(pilot, "quit", folder)
        await pilot.press("escape")
        for name, key in (("help", "question_mark"), ("palette", "ctrl+p")):
            await pilot.press(key)
            await pilot.pause(0.5)
            await shoot(pilot, name, folder)
            await pilot.press("escape")
        await pilot.press("f4")
        await pilot.pause(3.0)
        await shoot(pilot, "runs", folder)
        await pilot.press("down", "space", "space", "c")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        await pilot.pause(3.0)
        await shoot(pilot, "compare", folder)
        await pilot.press("g")
        await shoot(pilot, "compare-gradients", folder)
        await pilot.press("escape", "f3")
        screen.stop("now")
        await until(pilot, lambda: screen.doing == "stopped")


def run_command(*arguments: str) -> str:
    """Run a command as in a terminal of ``HEADLESS_WIDTH`` columns and return what it prints."""
    terminal = {"FORCE_COLOR": "1", "COLORTERM": "truecolor", "COLUMNS": str(HEADLESS_WIDTH)}
    command = [sys.executable, "-m", "resnet_tui", *arguments]
    return subprocess.run(command, env=os.environ | terminal, stdout=subprocess.PIPE, text=True, check=True).stdout


def draw_command(*arguments: str) -> str:
    """Return the picture of a command with what it prints."""
    console = Console(record=True, width=HEADLESS_WIDTH, file=io.StringIO())
    console.print(Text.from_ansi(run_command(*arguments)))
    return console.export_svg(title=f"resnet-tui {' '.join(arguments)}")


def draw_headless(run: run_dir.RunDir) -> str:
    """Return the picture of a headless run in the middle of an epoch."""
    console = Console(record=True, width=HEADLESS_WIDTH, file=io.StringIO())
    sink = ConsoleSink(console)
    sink.set_run(Path("runs") / run.path.name)
    summary = RunSummary()
    for event in read_events(run.events):
        if isinstance(event, RunFinished):
            break
        sink.emit(event)
        summary.apply(event)
        if isinstance(event, Step) and event.epoch == EPOCH:
            console.print(live.view(summary, event.time))
            break
    return console.export_svg(title="resnet-tui train --headless")


def main() -> None:
    """Take every picture."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "build/screenshots").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    HERE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="resnet-tui-") as name:
        os.environ["RESNET_TUI_CONFIG"] = f"{name}/config"
        os.chdir(name)
        for flags in TO_COMPARE:
            run_command("train", "--headless", "--epochs", "6", *flags)
        asyncio.run(take(folder, Path("runs")))
        run = run_dir.find(Path("runs"), "last")
        (HERE / "headless.svg").write_text(draw_headless(run), encoding="utf-8")
        (HERE / "lr-find.svg").write_text(draw_command("lr-find"), encoding="utf-8")
    for shown in sorted(SHOWN):
        shutil.copy(folder / f"{shown}.svg", HERE / f"{shown}.svg")
    print(f"{len(list(folder.glob('*.svg')))} pictures in {folder}")


if __name__ == "__main__":
    main()
