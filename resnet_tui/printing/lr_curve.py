"""The result of a learning-rate range test, for a person: its curve, or a table, and what it suggests."""

import math
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from engine import words
from engine.config import RunConfig
from engine.lr_range import EXPLODED, RangeTest, Reading, Suggestion, smoothed, suggest
from resnet_tui.charts.plot import Line, Mark, Plot, draw
from resnet_tui.printing.console import is_terminal, on_stdout
from resnet_tui.printing.facts import print_facts

_ROWS = 20
"""Of the chart, and about as many of the table."""
_COLOUR = "#4ea1ff"


def print_curve(
    config: RunConfig, test: RangeTest, readings: Sequence[Reading], *, interrupted: bool, ascii_only: bool
) -> None:
    """Print the curve, as a table where there is no terminal, and the suggestion if there is one."""
    console = on_stdout()
    found = suggest(readings, test)
    facts = [
        ("network", f"{config.model.title} on {config.data.dataset}, batches of {config.train.batch_size:,}"),
        (
            "optimiser",
            config.optim.name + (f", momentum {config.optim.momentum:g}" if config.optim.name == "sgd" else ""),
        ),
        ("tried", f"{len(readings)} batches, {ended(test, readings, interrupted=interrupted)}"),
    ]
    if found is not None:
        facts += suggested(found)
    print_facts(console, facts)
    if is_terminal():
        for strip in draw(plot(readings, test, found), console.width, _ROWS, ascii_only=ascii_only).strips:
            console.print(Text.assemble(*((part.text, part.style or "") for part in strip)), no_wrap=True)
    else:
        console.print(_table(readings, test))
    if found is None:
        return
    rate = _rate(found.lr(config.schedule))
    console.print(Text.assemble(("suggestion", "bold"), f"   --lr {rate}: {why(config, found)}"))


def _rate(rate: float) -> str:
    return words.learning_rate(rate)


def suggested(found: Suggestion) -> list[tuple[str, str]]:
    """Return every rate that a test suggests, with its name and what it is for."""
    return [
        ("lowest loss", f"{_rate(found.lowest)}: the peak of a schedule that warms up"),
        ("steepest", f"{_rate(found.steepest)}: the loss falls fastest; for a rate that is there from the start"),
        ("a tenth", f"{_rate(found.tenth)}, of that of the lowest loss: careful, as for weights already trained"),
    ]


def why(config: RunConfig, found: Suggestion) -> str:
    """Say why the rate that is suggested for the schedule of ``config`` is the one."""
    rises = found.lr(config.schedule) == found.lowest
    return f"the schedule ({config.schedule.name}) {'warms up' if rises else 'begins with it'}"


def ended(test: RangeTest, readings: Sequence[Reading], *, interrupted: bool) -> str:
    """Say which rates were tried, and why no more were."""
    low, high = (_rate(readings[place].lr) for place in (0, -1))
    if interrupted:
        return f"from {low} to {high}, where it was interrupted"
    exploded = len(readings) < test.steps
    return f"from {low} to {high}" + (", where the loss exploded" if exploded else "; the loss did not explode")


def plot(readings: Sequence[Reading], test: RangeTest, found: Suggestion | None) -> Plot:
    """Return the chart, with rates by their logarithm; what exploded may leave it at the top."""
    rates = [math.log10(reading.lr) for reading in readings]
    means, losses = smoothed(readings, test), [reading.loss for reading in readings]
    known = [loss for loss in losses if math.isfinite(loss)]
    marks = (
        ()
        if found is None
        else (Mark(math.log10(found.steepest), "steepest"), Mark(math.log10(found.lowest), "lowest"))
    )
    return Plot(
        title="loss",
        lines=(
            Line("smoothed", rates, means, means, _COLOUR),
            Line("a batch", rates, losses, losses, _COLOUR, dim=True),
        ),
        marks=marks,
        y_range=(0.9 * min(known), max(known[: test.window]) + EXPLODED) if known else None,
        x_kind="learning rate",
    )


def _table(readings: Sequence[Reading], test: RangeTest) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("rate", "loss", "smoothed"):
        table.add_column(name, justify="right")
    rows = list(zip(readings, smoothed(readings, test), strict=True))
    stride = max(1, len(rows) // _ROWS)
    for reading, mean in rows[::stride]:
        table.add_row(words.learning_rate(reading.lr), words.loss(reading.loss), words.loss(mean))
    return table
