"""The top lines of the run screen: which run, what it is doing, how far it is and when it will be done."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from rich.text import Text
from textual.widget import Widget

from engine import words
from engine.epochs import EpochRow
from engine.events import Split
from engine.text import one_line
from resnet_tui.charts.colours import themed
from resnet_tui.run.doing import GLYPHS, LIVE, Doing
from resnet_tui.run.state import RunState

_BAR = 16


class RunHeader(Widget):
    """Two lines: what the run is, and how far it has come or how it ended."""

    DEFAULT_CSS = """
    RunHeader { height: 2; background: $panel; padding: 0 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._lines: tuple[Text, Text] = (Text(""), Text(""))

    def show(
        self,
        name: str,
        state: RunState,
        now_doing: Doing,
        badge: str = "",
        played_at: float | None = None,
        problem: str = "",
    ) -> None:
        """Draw the header.

        Args:
            name: the run's.
            state: what is known of it.
            now_doing: what it is doing.
            badge: how it is looked at, such as ``read-only``; empty: as usual.
            problem: why it did not begin, cannot be read, or waits.
            played_at: the recorded time that is played, in seconds since the epoch; None: it is live.
        """
        width = max(1, self.size.width - 2)
        first = _fitted(self._identity(name, state, now_doing, badge), width)
        second = _fitted(list(self._progress(state, now_doing, played_at, problem)), width)
        if (first, second) != self._lines:
            self._lines = (first, second)
            self.refresh()

    def render(self) -> Text:
        """Return both lines."""
        text = Text("\n").join(self._lines)
        text.no_wrap, text.overflow = True, "ellipsis"
        return text

    def _identity(self, name: str, state: RunState, now_doing: Doing, badge: str) -> list[Text]:
        glyph, meaning = GLYPHS[now_doing]
        summary = state.summary
        parts = [Text(f"{glyph} {now_doing}", themed(self.app, meaning, bold=True)), Text(one_line(name), "bold")]
        if badge:
            parts.insert(1, Text(f" {badge} ", "reverse"))
        if summary.config is not None:
            parts.append(Text(words.network(summary.config)))
            parts.append(Text(f"on {summary.config.data.dataset}", "dim"))
            parts.append(Text(f"{one_line(summary.device)}, {summary.precision}", "dim"))
            parts.append(Text(f"{summary.params:,} parameters", "dim"))
        return parts

    def _progress(self, state: RunState, now_doing: Doing, played_at: float | None, problem: str) -> Iterator[Text]:
        summary = state.summary
        if now_doing == "waiting":
            yield Text(one_line(problem), themed(self.app, "warning"))
        if now_doing not in LIVE:
            yield from _ended(state, now_doing, problem)
            return
        accent = themed(self.app, "accent")
        if summary.epoch:
            share = summary.step / summary.total_steps if summary.total_steps else 0.0
            full = round(min(1.0, share) * _BAR)
            done = ("█" * full, themed(self.app, "success"))
            yield Text.assemble(done, ("░" * (_BAR - full), "dim"), f" {share * 100:.0f} %")
            yield Text(f"epoch {summary.epoch}/{summary.epochs}")
        phase = summary.progress
        if phase is not None:
            amount = f" {phase.done / phase.total * 100:.0f} %" if phase.total else f" {phase.done:,}"
            yield Text(f"{one_line(phase.activity)}{amount}", accent)
        elif not summary.epoch:
            yield Text("the engine is starting: loading torch, then the data", accent)
        if summary.epoch:
            yield from _reached(state, now_doing, played_at)


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


def _ended(state: RunState, now_doing: Doing, problem: str) -> Iterator[Text]:
    """Yield how it ended and what it reached."""
    summary = state.summary
    if (best := summary.best()) is not None:
        yield Text(
            f"best {summary.choosing_split} {_accuracy(best, summary.choosing_split)}, epoch {best.epoch}", "bold"
        )
    lost = "its process is gone; resume it from the list of runs" if now_doing == "lost" else ""
    if reason := one_line(problem or summary.reason) or lost:
        yield Text(reason)
    yield Text(f"in {words.duration(summary.elapsed)}", "dim")


def _reached(state: RunState, now_doing: Doing, played_at: float | None) -> Iterator[Text]:
    """Yield how long it will take, how fast it is, and how good it was so far."""
    summary = state.summary
    yield Text(_ending(state, now_doing, played_at))
    if step := summary.last_step:
        yield Text(f"{words.speed(step.images_per_second)} images/s")
        yield Text(f"loss {words.loss(step.loss)}")
    if best := summary.best():
        yield Text(f"best {summary.choosing_split} {_accuracy(best, summary.choosing_split)}")
    yield Text(f"step {summary.step:,}/{summary.total_steps:,}", "dim")
    yield Text(f"elapsed {words.duration(summary.elapsed)}", "dim")


def _accuracy(row: EpochRow, split: Split) -> str:
    return words.percent(row.accuracy(split))


def _ending(state: RunState, now_doing: Doing, played_at: float | None) -> str:
    now = time.time() if played_at is None else played_at
    left = state.summary.eta(now)
    if left is None:
        return "measuring the time left"
    if now_doing == "paused":
        return f"{words.duration(left)} left when it goes on"
    if played_at is not None:  # the recorded time of day says nothing to who looks at it now
        return f"{words.duration(left)} left"
    end = datetime.fromtimestamp(now, UTC).astimezone() + timedelta(seconds=left)
    return f"done {end.strftime('%H:%M' if left < 20 * 3600 else '%a %d %b %H:%M')} (in {words.duration(left)})"
