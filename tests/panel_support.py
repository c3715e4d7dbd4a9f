"""States of runs with gradient norms, and an app with one panel in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

from made_run import MadeRun, reading
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from tui_support import text_of, until

from engine.config_file import build_config
from engine.events import GradNorms, ModelBuilt, ShapeRow
from engine.shapes.trace import shape_table
from resnet_tui.panel import Panel
from resnet_tui.run.state import RunState
from resnet_tui.view import View


@cache
def rows(depth: int) -> tuple[ShapeRow, ...]:
    """The operations of a ResNet for CIFAR, at batch 128."""
    return shape_table(build_config({"model": {"depth": depth}}, {}).model, (3, 32, 32), 10, 128).rows


def parts(depth: int) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"{row.stage}.{row.block}" if row.block else row.stage for row in rows(depth)))


def state_of(depth: int, norms: Callable[[str, int], float] = lambda part, step: 0.5, readings: int = 12) -> RunState:
    """A run in its first epochs, with a reading each step: ``norms`` of part and step."""
    made, state = MadeRun(10), RunState()
    started, _ = made.begin()
    state.apply(started)
    built = ModelBuilt(rows=rows(depth), blocks=parts(depth), params=1, macs=1)
    state.apply(made.at(built))
    for step in range(1, readings + 1):
        state.apply(made.at(reading(step), after=1.0))
        values = tuple(norms(part, step) for part in parts(depth))
        state.apply(made.at(GradNorms(step=step, norms=values, total=1.5)))
    return state


class Host(App[None]):
    """Shows a panel."""

    def __init__(self, panel: Panel, state: RunState, view: View) -> None:
        super().__init__()
        self.panel, self.state, self.view = panel, state, view

    def compose(self) -> ComposeResult:
        yield self.panel

    def look(self, **changes: object) -> None:
        """Show the panel with another view."""
        self.view = replace(self.view, **changes)  # type: ignore[arg-type]  # fields of View
        self.panel.show(self.state, self.view)

    def lines(self) -> list[str]:
        """What stands on the screen."""
        return self.text.split("\n")

    @property
    def text(self) -> str:
        return text_of(self)


def play(
    panel: Panel,
    state: RunState,
    script: Callable[[Host, Pilot[None]], object],
    size: tuple[int, int] = (80, 24),
) -> None:
    """Show ``panel`` and run ``script``, a coroutine function, on it."""

    async def run() -> None:
        app = Host(panel, state, View())
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            app.look()
            panel.take_keys()
            await pilot.pause()
            await script(app, pilot)  # type: ignore[misc]  # see above

    asyncio.run(run())


async def seen(app: Host, pilot: Pilot[None], *texts: str) -> None:
    """Wait until all ``texts`` stand on the screen."""
    await until(pilot, lambda: all(text in app.text for text in texts))


def order(lines: Sequence[str]) -> list[str]:
    """The first words of lines, names of parts."""
    return [words[0] for line in lines if (words := line.split())]
