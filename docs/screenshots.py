"""Take the pictures of the README: every screen at three sizes, from a real run that this script starts.

Usage: python docs/screenshots.py [FOLDER]   (``make screenshots``; without FOLDER, build/screenshots)

The run is the quickstart, a ResNet-20 on embedded data. Those pictures that the README shows are copied to
docs/pictures.
"""

import asyncio
import io
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["TEXTUAL_COLOR_SYSTEM"] = "truecolor"  # read when textual is imported
os.environ.pop("NO_COLOR", None)

from rich.console import Console
from textual.pilot import Pilot

from engine import run_dir
from engine.event_log import read_events
from engine.events import RunFinished, Step
from engine.sinks import live
from engine.sinks.console import ConsoleSink
from engine.summary import RunSummary

HERE = Path(__file__).parent / "pictures"
SIZES = ((80, 24), (120, 40), (200, 60))
SHOWN = {
    "dashboard-120x40",
    "setup-120x40",
    "gradients-120x40",
    "shapes-120x40",
    "classes-120x40",
    "runs-120x40",
    "quit-80x24",
}
"""What the README shows."""
HEADLESS_WIDTH = 96
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
        (folder / f"{name}-{width}x{height}.svg").write_text(picture, encoding="utf-8")


async def take(folder: Path, runs: Path) -> None:
    """Go through every screen of a session."""
    from resnet_tui.app import Dashboard
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
            await until(pilot, lambda change=change: any(change in made.text for made in screen.state.changes))
        await pilot.press("p")
        await until(pilot, lambda: screen.state.summary.epoch > EPOCH + 1)
        for digit, name in enumerate(("dashboard", "charts", "gradients", "shapes", "classes", "system", "log"), 1):
            await pilot.press(str(digit))
            await shoot(pilot, name, folder)
        await pilot.press("1", "p")
        await until(pilot, lambda: screen.doing == "paused")
        await pilot.press("q")
        await pilot.pause(0.5)
        await shoot(pilot, "quit", folder)
        await pilot.press("escape", "f4")
        await pilot.pause(3.0)
        await shoot(pilot, "runs", folder)
        await pilot.press("question_mark")
        await pilot.pause(0.5)
        await shoot(pilot, "help", folder)
        await pilot.press("escape", "f3")
        screen.stop("now")
        await until(pilot, lambda: screen.doing == "stopped")


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
    with tempfile.TemporaryDirectory() as name:
        os.environ["RESNET_TUI_CONFIG"] = f"{name}/config"
        os.chdir(name)
        asyncio.run(take(folder, Path("runs")))
        run = run_dir.find(Path("runs"), "last")
        (HERE / "headless.svg").write_text(draw_headless(run), encoding="utf-8")
    for shown in sorted(SHOWN):
        shutil.copy(folder / f"{shown}.svg", HERE / f"{shown}.svg")
    print(f"{len(list(folder.glob('*.svg')))} pictures in {folder}")


if __name__ == "__main__":
    main()
