"""What tests of the interface share: driving the real app and waiting for a state, never for a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.pilot import Pilot
from textual.screen import Screen

from engine.event_log import read_events
from engine.events import Event
from engine.run_dir import RunDir, iterate
from resnet_tui.app import Dashboard
from resnet_tui.run.source import RunSource
from resnet_tui.screens.run import RunScreen

Press = Callable[..., Any]


async def until(pilot: Pilot[Any], wanted: Callable[[], object], timeout: float = 60.0) -> None:
    """Let the app work until ``wanted`` holds; an app that has failed has no more to wait for."""
    deadline = time.monotonic() + timeout
    while not wanted():
        assert pilot.app._exception is None
        assert time.monotonic() < deadline, f"never came\n{text_of(pilot)}"
        await pilot.pause(0.02)


def text_of(seen: Pilot[Any] | App[Any]) -> str:
    """Return what is on the screen, as lines of text."""
    app = seen if isinstance(seen, App) else seen.app
    width, height = app.size
    lines = app.screen._compositor.render_strips()[:height]
    return "\n".join(strip.text[:width].rstrip() for strip in lines)


@asynccontextmanager
async def dashboard(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: RunSource | None = None,
    size: tuple[int, int] = (120, 40),
    **options: Any,
) -> AsyncIterator[Pilot[None]]:
    """Run the app on ``source``, with runs and settings of its own below ``tmp_path``."""
    monkeypatch.setenv("RESNET_TUI_CONFIG", str(tmp_path / "config"))
    app = Dashboard(tmp_path / "runs", source, **options)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: _is_open(app.screen))
        yield pilot


def _is_open(screen: Screen[Any]) -> bool:
    """Whether it is no longer the frame that is painted while the first screen is loaded, and that one has begun."""
    begun = screen.feed or screen.engine if isinstance(screen, RunScreen) else True
    return screen.id != "_default" and bool(begun)


def run_screen(pilot: Pilot[Any]) -> RunScreen:
    """Return the run screen, also below a dialog."""
    for screen in reversed(pilot.app.screen_stack):
        if isinstance(screen, RunScreen):
            return screen
    raise AssertionError(f"no run screen: {pilot.app.screen_stack}")


def recorded(folder: Path) -> list[Event]:
    """Return the events of the only run in ``folder``."""
    (run,) = iterate(folder)
    return list(read_events(run.events))


def only_run(folder: Path) -> RunDir:
    """Return the only run in ``folder``."""
    (run,) = iterate(folder)
    return run


def drive(test: Callable[[], Any]) -> None:
    """Run an asynchronous test."""
    asyncio.run(test())
