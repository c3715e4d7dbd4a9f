"""Seeds of one configuration as a person sees them, and as JSON."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from engine import words
from engine.estimate import Estimate
from engine.reproduction import Seeds, more_seeds, says_nothing
from resnet_tui.printing.console import on_stdout
from resnet_tui.printing.facts import print_facts
from resnet_tui.printing.queue_table import as_json

_WIDTH_OF_A_PIPE = 120


def print_seeds(result: Seeds, notes: Sequence[str]) -> None:
    """Print a line a seed, what they say together, what is published, and the verdict."""
    console = on_stdout(_WIDTH_OF_A_PIPE)
    config = result.runs[0].config
    console.print()
    console.print(Text(f"{config.name}: {words.network(config)}, {config.data.dataset}", "bold"))
    console.print(_table(result))
    console.print()
    print_facts(console, _facts(result, notes))


def seeds_json(result: Seeds, notes: Sequence[str]) -> dict[str, Any]:
    """Return everything that is known of the seeds."""
    verdict = result.verdict
    return {
        "config": result.runs[0].config.model_dump(mode="json"),
        "seeds": [as_json(run) for run in result.runs],
        "last": estimate_json(result.last),
        "best": estimate_json(result.best),
        "best_chosen_by": "validation" if result.by_validation else "test",
        "published": [asdict(row) for row in result.published],
        "verdict": asdict(verdict) if verdict is not None else None,
        "notes": list(notes),
    }


def estimate_json(found: Estimate | None) -> dict[str, Any] | None:
    """Return a mean and how well it is known."""
    if found is None:
        return None
    return {
        "values": list(found.values),
        "mean": found.mean,
        "standard_deviation": found.deviation,
        "standard_error": found.standard_error,
        "interval_95": list(found.interval) if found.margin is not None else None,
    }


def spread(found: Estimate | None) -> str:
    """Write a mean with its standard deviation, in per cent; a dash where there is neither."""
    if found is None:
        return "-"
    deviation = f" ± {found.deviation * 100:.2f}" if found.deviation is not None else ""
    return f"{found.mean * 100:.2f}{deviation} %"


def _table(result: Seeds) -> Table:
    chosen = "best by validation" if result.by_validation else "best on test set"
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("seed", justify="right", no_wrap=True)
    table.add_column("run", overflow="fold")
    table.add_column("last test", justify="right", no_wrap=True)
    table.add_column(chosen, justify="right")
    table.add_column("time", justify="right", no_wrap=True)
    for run, found in zip(result.runs, result.figures, strict=True):
        name = run.run.name if run.run is not None else ""
        shown = f"{name} ({run.state})" if name and run.state != "done" else name or run.state
        table.add_row(
            str(run.config.train.seed),
            Text(shown, "" if run.state == "done" else "yellow"),
            words.percent(found.last if found is not None else None),
            f"{words.percent(found.best)}, epoch {found.best_epoch}" if found is not None else "-",
            words.duration(found.seconds) if found is not None else "-",
        )
    table.add_row("", Text("mean ± standard deviation", "bold"), spread(result.last), spread(result.best), "")
    return table


def _facts(result: Seeds, notes: Sequence[str]) -> Iterable[tuple[str, str]]:
    if result.last is not None and result.last.margin is not None:
        low, high = map(words.percent, result.last.interval)
        how = f"95 % confidence of the mean of the last, Student's t, {len(result.last.values) - 1} d.f."
        yield (
            "interval",
            f"{more_seeds(result.last)}; {how}" if says_nothing(result.last) else f"{low} to {high}: {how}",
        )
    for row in result.published:
        yield "published", f"{words.percent(row.accuracy)} test accuracy: {row.source}, {row.meaning}"
    verdict = result.verdict
    if verdict is not None and verdict.target.source == "--target":
        yield "target", words.percent(verdict.target.accuracy)
    for run in result.runs:
        if run.state != "done":
            why = f": {run.reason}" if run.reason else ""
            yield f"seed {run.config.train.seed}", f"{run.state}{why}"
    if verdict is not None:
        yield "verdict", verdict.text
    elif any(run.state == "diverged" for run in result.runs):
        yield "verdict", "none: a seed diverged, which is not tried again, so there is no mean of all"
    elif not result.complete:
        yield "verdict", "none: not every seed is done; give the same command again to go on"
    else:
        yield "verdict", "no target: nothing is published here for this network on this data; give one with --target"
    for note in notes:
        yield "note", note
