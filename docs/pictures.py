"""Draw the pictures of the README from a real run: ``make pictures`` trains the quickstart and calls this.

Usage: python docs/pictures.py RUNS_FOLDER
"""

import io
import sys
from pathlib import Path

from rich.console import Console

from engine import run_dir
from engine.event_log import read_events
from engine.events import RunFinished, Step
from engine.sinks import live
from engine.sinks.console import ConsoleSink
from engine.summary import RunSummary

HERE = Path(__file__).parent / "pictures"
WIDTH = 96
STOP_AT_EPOCH = 8


def draw_headless(run: run_dir.RunDir) -> str:
    """Return the picture of a headless run in the middle of an epoch."""
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    sink = ConsoleSink(console)
    sink.set_run(Path("runs") / run.path.name)
    summary = RunSummary()
    for event in read_events(run.events):
        if isinstance(event, RunFinished):
            break
        sink.emit(event)
        summary.apply(event)
        if isinstance(event, Step) and event.epoch == STOP_AT_EPOCH:
            console.print(live.view(summary, event.time))
            break
    return console.export_svg(title="resnet-tui train --headless")


def main() -> None:
    """Draw every picture."""
    run = run_dir.find(Path(sys.argv[1]), "last")
    HERE.mkdir(exist_ok=True)
    (HERE / "headless.svg").write_text(draw_headless(run), encoding="utf-8")


if __name__ == "__main__":
    main()
