"""What the cases of a sweep reached, for a person and as JSON."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from engine.queue.standing import Standing
from engine.sweep import Chosen, Result, chosen_by, words
from engine.text import one_line
from resnet_tui.printing.console import on_stdout
from resnet_tui.printing.queue_table import as_json
from resnet_tui.printing.reproduction import estimate_json, spread

_WIDTH_OF_A_PIPE = 160
_ORDERS: dict[Chosen, str] = {
    "validation": "The order is by validation accuracy: the test set chose nothing.",
    "test": "There is no validation split: the order looked at the test set, so the first is a little too good.",
}


def print_results(results: Sequence[Result]) -> None:
    """Print a line a case, the best first, and what chose the order."""
    console = on_stdout(_WIDTH_OF_A_PIPE)
    chosen = chosen_by(results)
    by_validation = chosen == "validation"
    several = len(results[0].seeds.runs) > 1
    keys = list(dict.fromkeys(setting.key for result in results for setting in result.case))
    table = Table(box=None, padding=(0, 2, 0, 0))
    for key in keys:
        table.add_column(one_line(key), overflow="fold")
    if by_validation:
        table.add_column("best validation", justify="right")
    table.add_column("its test" if by_validation else "best test", justify="right")
    table.add_column("last test", justify="right")
    table.add_column("seeds" if several else "run", overflow="fold")
    for result in results:
        values = {setting.key: setting.text for setting in result.case}
        seeds = result.seeds
        cells = [values.get(key, "-") for key in keys]
        cells += [spread(result.choosing)] if by_validation else []
        table.add_row(*map(Text, [*cells, spread(seeds.best), spread(seeds.last), _which(seeds.runs)]))
    console.print()
    console.print(table)
    console.print()
    if chosen is not None:
        console.print(Text(_ORDERS[chosen], "dim"))
    for line in _not_done(results):
        console.print(Text(line, "yellow"), soft_wrap=True)


def results_json(results: Sequence[Result]) -> dict[str, Any]:
    """Return what every case reached, the best first."""
    return {
        "chosen_by": chosen_by(results),
        "cases": [
            {
                "settings": {setting.key: setting.value for setting in result.case},
                "choosing": estimate_json(result.choosing),
                "best": estimate_json(result.seeds.best),
                "last": estimate_json(result.seeds.last),
                "runs": [as_json(run) for run in result.seeds.runs],
            }
            for result in results
        ],
    }


def _not_done(results: Sequence[Result]) -> Iterator[str]:
    """Say of each run that is not done which it is, how it stands, and why."""
    for result in results:
        for run in result.seeds.runs:
            if run.state != "done":
                which = f"{words(result.case)}, seed {run.config.train.seed}"
                yield ": ".join(filter(None, (which, run.state, run.reason)))


def _which(runs: Sequence[Standing]) -> str:
    """Name the run of a case, or count its seeds."""
    if len(runs) == 1:
        return runs[0].run.name if runs[0].run is not None else runs[0].state
    done = sum(run.state == "done" for run in runs)
    return f"{done} of {len(runs)}" if done < len(runs) else str(done)
