"""The run under the cursor in words: how it ended and why, what it is, what it reached, and what to do next."""

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text
from textual.widgets import Static

from engine import words
from engine.config import RunConfig
from engine.summary import RunSummary
from engine.text import one_line
from resnet_tui.charts.colours import themed
from resnet_tui.run.doing import GLYPHS
from resnet_tui.run.listing import Listed
from resnet_tui.widgets.run_table import when

DIVERGES_AGAIN = "going on would diverge again: start anew with a lower learning rate, a warm-up or clipped gradients"


class RunDetails(Static):
    """Facts with a label each, the most important first, so that a small pane cuts off the least."""

    DEFAULT_CSS = """
    RunDetails { padding: 0 1; }
    """

    def show(self, listed: Listed | None, *, advise: bool = True) -> None:
        """Describe ``listed``; nothing where there is none. ``advise``: whether to say what can be done with it."""
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True, style="dim")
        grid.add_column(overflow="fold")
        for label, text in facts(listed) if listed is not None else ():
            if listed is not None and label == "state":
                meaning = GLYPHS[listed.doing][1]
                text.stylize(themed(self.app, meaning, bold=True), end=len(listed.doing) + 2)
            if label == "next" and not advise:
                continue
            grid.add_row(Text(label), text)
        self.update(grid)


def facts(listed: Listed) -> Iterator[tuple[str, Text]]:
    """Yield labelled lines."""
    entry = listed.entry
    reason = f"  {listed.reason}" if listed.reason and (not listed.alive or listed.doing == "waiting") else ""
    yield "run", Text(entry.name, "bold")
    yield "state", Text(f"{GLYPHS[listed.doing][0]} {listed.doing}{reason}")
    yield "next", Text(advice(listed))
    if listed.config is not None and listed.summary is not None:
        if entry.best_accuracy is not None:
            yield "accuracy", Text(_accuracy(listed))
        yield "network", Text(_network(listed.config, listed.summary))
        yield "training", Text(_training(listed.config))
        yield "time", Text(_time(listed, listed.summary))
    yield "folder", Text(one_line(str(listed.run.path)))


def advice(listed: Listed) -> str:
    """Say what a person can do with the run now."""
    step = listed.summary.checkpoint_step if listed.summary else None
    go_on = f"u resumes it after step {step:,}" if step is not None else "it has no checkpoint to go on from"
    match listed.entry.state:
        case "running":
            return "enter watches it live"
        case "paused":
            return "enter watches it, and lets it go on"
        case "completed":
            return "enter looks at it, p replays it, u trains it for more epochs"
        case "diverged":
            return DIVERGES_AGAIN
        case "lost":
            return f"its process is gone; {go_on}"
        case "damaged":
            return "it cannot be opened; d removes it"
        case _:
            return go_on


def _accuracy(listed: Listed) -> str:
    entry = listed.entry
    best = f"best {words.percent(entry.best_accuracy)} in epoch {entry.best_epoch}"
    error = listed.summary.average_error if listed.summary else None
    mean = f", average error {words.percent(error)}" if error is not None else ""
    return f"{best}, last {words.percent(entry.last_accuracy)} ({entry.split}){mean}"


def _network(config: RunConfig, summary: RunSummary) -> str:
    size = f", {words.count(summary.params)} parameters" if summary.params else ""
    return f"{one_line(words.network(config))}{size}, on {config.data.dataset}"


def _training(config: RunConfig) -> str:
    optim = f"{config.optim.name} at {words.learning_rate(config.optim.lr)}, {config.schedule.name}"
    return f"batch {config.train.batch_size:,}, {optim}, seed {config.train.seed}"


def _time(listed: Listed, summary: RunSummary) -> str:
    entry = listed.entry
    device = f" on {one_line(summary.device)}" if summary.device else ""
    done = f"{entry.epochs_done} of {entry.epochs} epochs in {words.duration(entry.seconds)}{device}"
    return f"{done}, began {when(listed.began).strip()}"
