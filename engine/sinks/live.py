"""The lines below the table of a run in a terminal, drawn anew a few times a second."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.constrain import Constrain
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from engine import words
from engine.summary import RunSummary
from engine.text import one_line

_MAX_WIDTH = 100
"""Wider lines are harder to read, not easier."""
_STATE_STYLES = {"training": "bold green", "evaluating": "bold cyan", "paused": "bold reverse yellow"}


def view(summary: RunSummary, now: float) -> RenderableType:
    """Return what to draw at ``now``, in seconds since the epoch."""
    bars = Table.grid(padding=(0, 1), expand=True)
    bars.add_column(width=15, no_wrap=True)  # as long as "evaluating test"
    bars.add_column(ratio=1)
    bars.add_column(min_width=13, justify="right", no_wrap=True)  # so that the bars do not jump
    for bar in _bars(summary):
        bars.add_row(Text(bar.label), bar.drawn(), Text(bar.right))
    if not summary.epoch:
        return Constrain(bars, _MAX_WIDTH)
    readings, times = _Packed(tuple(_readings(summary))), _Packed(tuple(_times(summary, now)))
    return Constrain(Group("", bars, readings, times), _MAX_WIDTH)


@dataclass(frozen=True)
class _Bar:
    label: str
    done: int
    total: int
    right: str
    style: str

    def drawn(self) -> ProgressBar:
        return ProgressBar(
            total=self.total or None,  # None: how much there is to do is not known
            completed=self.done,
            pulse=not self.total,
            complete_style=self.style,
            finished_style=self.style,
        )


def _bars(summary: RunSummary) -> Iterator[_Bar]:
    """Yield a bar for the phase in hand, and one for the whole run once it has begun."""
    style = {"evaluating": "cyan", "paused": "yellow"}.get(summary.state, "green")
    if progress := summary.progress:
        amount = f"{progress.done:,}/{progress.total:,}" if progress.total else f"{progress.done:,}"
        right = f"{amount} {one_line(progress.unit)}"
        yield _Bar(one_line(progress.activity), progress.done, progress.total, right, "cyan")
    elif summary.epoch:
        steps = summary.steps_per_epoch
        done = summary.step - (summary.epoch - 1) * steps
        yield _Bar(f"epoch {summary.epoch}/{summary.epochs}", done, steps, f"step {done:,}/{steps:,}", style)
    if summary.epoch:
        share = summary.step / summary.total_steps if summary.total_steps else 0.0
        yield _Bar("whole run", summary.step, summary.total_steps, f"{share * 100:.0f} %", style)


def _readings(summary: RunSummary) -> Iterator[Text]:
    """Yield what was measured last."""
    yield Text(summary.state, _STATE_STYLES.get(summary.state, "bold"))
    if step := summary.last_step:
        yield _fact("loss", words.loss(step.loss))
        yield _fact("accuracy", words.percent(step.accuracy))
        yield _fact("lr", words.learning_rate(step.lr))
        yield Text(f"{words.speed(step.images_per_second)} images/s")
    if summary.rank_speeds:
        yield _fact("ranks", words.ranks(summary.rank_speeds))


def _times(summary: RunSummary, now: float) -> Iterator[Text]:
    """Yield how long it took, how long it will take, and the best so far."""
    yield _fact("elapsed", words.duration(summary.elapsed))
    left = summary.eta(now)
    if left is None:
        yield Text("measuring the time left", "dim")
    elif summary.state == "paused":
        yield _fact("left", words.duration(left))
    else:
        yield _fact("left", f"{words.duration(left)}, done at {_time_of_day(now, left)}")
    if best := summary.best():
        yield _fact("best", f"{words.percent(best.accuracy(summary.choosing_split))} (epoch {best.epoch})")


def _time_of_day(now: float, left: float) -> str:
    end = datetime.fromtimestamp(now, UTC).astimezone() + timedelta(seconds=left)
    return end.strftime("%H:%M" if left < 20 * 3600 else "%H:%M on %a %d %b")


def _fact(label: str, value: str) -> Text:
    return Text.assemble((f"{label} ", "dim"), value)


@dataclass(frozen=True)
class _Packed:
    """Texts side by side, as many to a line as fit."""

    items: tuple[Text, ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        line = Text(no_wrap=True, overflow="ellipsis")
        for item in self.items:
            if line and line.cell_len + 3 + item.cell_len > options.max_width:
                yield line
                line = Text(no_wrap=True, overflow="ellipsis")
            line.append("   " if line else "").append_text(item)
        yield line
