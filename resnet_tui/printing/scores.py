"""The scores of an evaluation as text."""

import math
from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from engine.events import Evaluated
from resnet_tui.printing.console import on_stdout
from resnet_tui.printing.facts import print_facts

_WIDEST_CONFUSION = 20
_CONFUSED_PAIRS = 10


def print_scores(scores: Evaluated, classes: tuple[str, ...], title: str, facts: Iterable[tuple[str, str]]) -> None:
    """Print loss, accuracy, accuracy a class, the confusion matrix of few classes, the pairs most confused."""
    console = on_stdout()
    top5 = "" if scores.top5 is None else f", top-5 accuracy {scores.top5:.2%}"
    console.print(Text(title, "bold"))
    print_facts(console, facts)
    console.print(
        Text(
            f"{scores.split}: loss {scores.loss:.4f}, accuracy {scores.accuracy:.2%}{top5}, "
            f"{scores.images:,} images in {scores.seconds:.1f} s"
        )
    )
    console.print(_class_table(scores, classes))
    if len(classes) <= _WIDEST_CONFUSION:
        console.print(_confusion_table(scores, classes))
    console.print(_confused_table(scores, classes))


def _class_table(scores: Evaluated, classes: tuple[str, ...]) -> Table:
    table = Table(title="accuracy a class", title_justify="left", box=None)
    table.add_column("class")
    table.add_column("accuracy", justify="right")
    table.add_column("right of", justify="right")
    for index, (name, accuracy) in enumerate(zip(classes, scores.per_class, strict=True)):
        row = scores.confusion[index]
        shown = f"{accuracy:.2%}" if math.isfinite(accuracy) else "-"
        table.add_row(Text(name), shown, f"{row[index]:,} of {sum(row):,}")
    return table


def _confusion_table(scores: Evaluated, classes: tuple[str, ...]) -> Table:
    table = Table(title="confusion (rows: true class, columns: predicted)", title_justify="left", box=None)
    table.add_column("")
    short = [name[:5] for name in classes]
    if len(set(short)) < len(short):
        short = [str(index + 1) for index in range(len(classes))]  # in the order of the rows
    for name in short:
        table.add_column(Text(name), justify="right", no_wrap=True)
    for index, (name, row) in enumerate(zip(classes, scores.confusion, strict=True)):
        cells = [Text(str(count), "bold green" if i == index else "") for i, count in enumerate(row)]
        table.add_row(Text(name), *cells)
    return table


def _confused_table(scores: Evaluated, classes: tuple[str, ...]) -> Table:
    pairs = sorted(
        (
            (count, classes[true], classes[predicted])
            for true, row in enumerate(scores.confusion)
            for predicted, count in enumerate(row)
            if true != predicted and count
        ),
        reverse=True,
    )
    table = Table(title="most confused", title_justify="left", box=None)
    table.add_column("true")
    table.add_column("predicted")
    table.add_column("images", justify="right")
    for count, true, predicted in pairs[:_CONFUSED_PAIRS]:
        table.add_row(Text(true), Text(predicted), str(count))
    return table
