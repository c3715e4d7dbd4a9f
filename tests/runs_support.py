"""What the tests of the list and the comparison of runs share."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from made_run import MadeRun
from textual.app import App
from textual.message import Message
from textual.pilot import Pilot
from textual.screen import Screen
from tui_support import text_of
from tui_support import until as until  # tests of screens take it from here

from engine.config_file import build_config, to_toml
from engine.events import Event, encode
from engine.run_dir import RunDir
from resnet_tui.messages import OpenRun, ReplayRun, StartRun

HOSTILE = "x\x1b]52;c;aGk=\x07\u202e[/red][@click=app.exit]y"
"""A name that is markup, an escape sequence and a bidirectional control at once."""


def keep(runs: Path, name: str, events: Iterable[Event], made: MadeRun | None = None, **settings: Any) -> RunDir:
    """Make the folder of a run that no process holds, with ``section__key`` settings changed."""
    run = RunDir(runs / name)
    run.checkpoints.mkdir(parents=True)
    tree = (made or MadeRun()).config.model_dump(mode="json", exclude_none=True)
    config = build_config(tree, {key.replace("__", "."): (key, value) for key, value in settings.items()})
    run.config_file.write_text(to_toml(config))
    run.events.write_bytes(b"".join(map(encode, events)))
    return run


class Shown(App[None]):
    """Shows one screen and keeps what it asks for."""

    def __init__(self, screen: Screen[None]) -> None:
        super().__init__()
        self.first, self.asked = screen, list[Message]()

    def on_mount(self) -> None:
        self.push_screen(self.first)

    def on_open_run(self, message: OpenRun) -> None:
        self.asked.append(message)

    def on_replay_run(self, message: ReplayRun) -> None:
        self.asked.append(message)

    def on_start_run(self, message: StartRun) -> None:
        self.asked.append(message)

    def notes(self) -> str:
        """Return what the person was told."""
        return " ".join(note.message for note in self._notifications)

    def seen(self) -> str:
        """Return the text on the terminal."""
        return text_of(self)


def drive(
    screen: Screen[None], steps: Callable[[Shown, Pilot[None]], Awaitable[object]], size: tuple[int, int] = (120, 40)
) -> Shown:
    """Show ``screen`` and let ``steps`` use it."""

    async def run() -> Shown:
        app = Shown(screen)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await steps(app, pilot)
        return app

    return asyncio.run(run())
