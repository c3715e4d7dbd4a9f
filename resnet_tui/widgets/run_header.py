"""The top lines of the run screen: which run, what it is doing, how far it is and when it will be done."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

from rich.text import Text
from textual.widget import Widget

from engine import words
from engine.text import one_line
from resnet_tui.run.state import RunState

Shown = Literal[
    "starting", "training", "evaluating", "paused", "completed", "stopped", "failed", "diverged", "lost", "preparing"
]
"""starting: its process is there and the run is not; lost: its process is gone and it never said that it ended."""
GLYPHS: dict[Shown, tuple[str, str]] = {
    "starting": ("○", "cyan"),
    "preparing": ("○", "cyan"),
    "training": ("●", "green"),
    "evaluating": ("◆", "cyan"),
    "paused": ("=", "yellow"),
    "completed": ("✓", "green"),
    "stopped": ("■", "yellow"),
    "failed": ("✗", "red"),
    "diverged": ("✗", "red"),
    "lost": ("✗", "red"),
}
LIVE: frozenset[Shown] = frozenset({"starting", "preparing", "training", "evaluating", "paused"})
_BAR = 16


def shown_state(state: RunState, *, alive: bool) -> Shown:
    """Return the run's state, given whether a process holds it."""
    summary = state.summary
    if summary.outcome is not None:
        return summary.outcome
    return summary.state if alive else "lost"


class RunHeader(Widget):
    """Two lines, three where there is a reason or a phase to tell."""

    DEFAULT_CSS = """
    RunHeader { height: 2; background: $panel; padding: 0 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._lines: tuple[Text, Text] = (Text(""), Text(""))

    def show(self, name: str, state: RunState, shown: Shown, badge: str, now: float | None = None) -> None:
        """Draw the header.

        Args:
            name: the run's.
            state: what is known of it.
            shown: what it is doing.
            badge: how it is looked at, such as ``replay ×4``; empty: as usual.
            now: seconds since the epoch; None: the clock's.
        """
        width = max(1, self.size.width - 2)
        now = time.time() if now is None else now
        first = _fitted(_identity(name, state, shown, badge), width)
        second = _fitted(list(_progress(state, shown, now)), width)
        if (first, second) != self._lines:
            self._lines = (first, second)
            self.refresh()

    def render(self) -> Text:
        """Return both lines."""
        text = Text("\n").join(self._lines)
        text.no_wrap, text.overflow = True, "ellipsis"
        return text


def _fitted(parts: Sequence[Text], width: int) -> Text:
    """Return as many of ``parts`` as fit, in order; the first is cut rather than left out."""
    line = Text(no_wrap=True, overflow="ellipsis", end="")
    for part in parts:
        gap = 2 if line else 0
        if line and line.cell_len + gap + part.cell_len > width:
            continue
        line.append(" " * gap).append_text(part)
    line.truncate(width, overflow="ellipsis")
    return line


def _identity(name: str, state: RunState, shown: Shown, badge: str) -> list[Text]:
    glyph, colour = GLYPHS[shown]
    summary = state.summary
    parts = [Text(f"{glyph} {shown}", f"bold {colour}"), Text(one_line(name), "bold")]
    if badge:
        parts.insert(1, Text(f" {badge} ", "reverse"))
    if summary.config is not None:
        parts.append(Text(words.network(summary.config)))
        parts.append(Text(f"on {summary.config.data.dataset}", "dim"))
        parts.append(Text(f"{one_line(summary.device)}, {summary.precision}", "dim"))
        parts.append(Text(f"{summary.params:,} parameters", "dim"))
    return parts


def _progress(state: RunState, shown: Shown, now: float) -> Iterator[Text]:
    summary = state.summary
    if shown not in LIVE:
        reason = summary.reason or {"lost": "its process is gone; resume it from the list of runs"}.get(shown, "")
        best = summary.best()
        if best is not None:
            value = words.percent(best.accuracy(summary.choosing_split))
            yield Text(f"best {value} {summary.choosing_split}, epoch {best.epoch}", "bold")
        yield Text(one_line(reason))
        yield Text(f"{len(summary.rows)} epochs in {words.duration(summary.elapsed)}", "dim")
        return
    if summary.epoch:
        share = summary.step / summary.total_steps if summary.total_steps else 0.0
        yield Text.assemble(_bar(share), f" {share:.0%}")
        yield Text(f"epoch {summary.epoch}/{summary.epochs}")
    phase = summary.progress
    if phase is not None:
        amount = f" {phase.done / phase.total:.0%}" if phase.total else f" {phase.done:,}"
        yield Text(f"{one_line(phase.activity)}{amount}", "cyan")
    if not summary.epoch:
        if phase is None:
            yield Text("the engine is starting: loading torch, then the data", "cyan")
        return
    yield Text(_ending(state, shown, now))
    if step := summary.last_step:
        yield Text(f"{words.speed(step.images_per_second)} images/s")
        yield Text(f"loss {words.loss(step.loss)}")
    if best := summary.best():
        yield Text(f"best {words.percent(best.accuracy(summary.choosing_split))}")
    yield Text(f"step {summary.step:,}/{summary.total_steps:,}", "dim")
    yield Text(f"elapsed {words.duration(summary.elapsed)}", "dim")


def _bar(share: float) -> Text:
    full = round(min(1.0, share) * _BAR)
    return Text.assemble(("█" * full, "green"), ("░" * (_BAR - full), "dim"))


def _ending(state: RunState, shown: Shown, now: float) -> str:
    left = state.summary.eta(now)
    if left is None:
        return "measuring the time left"
    if shown == "paused":
        return f"{words.duration(left)} left when it goes on"
    end = datetime.fromtimestamp(now, UTC).astimezone() + timedelta(seconds=left)
    return f"done {end.strftime('%H:%M' if left < 20 * 3600 else '%a %d %b %H:%M')} (in {words.duration(left)})"
