"""What a report says: of one run, or of several, with what they have in common first."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import get_args

from engine import words
from engine.findings import DOCUMENT, PUBLISHED_NOTE, ComparisonRow, counted_errors, own_rows, published_rows
from engine.sinks import table
from engine.sinks.report import closing, opening
from engine.summary import RunSummary
from engine.text import one_line
from resnet_tui.charts import curves
from resnet_tui.charts.comparison import differing, notes, outcomes, plot, setting_text
from resnet_tui.report.blocks import Block, Charts, Column, Facts, Grid, Heading, Words
from resnet_tui.run.compared import Compared, Quantity
from resnet_tui.view import View

_SAID_IN_TABLES = {"last accuracy", "best accuracy", "best test", "average error", "parameters"}
"""Facts of a run's end that stand in tables here."""
_VIEW = View(axis="epoch")
_COMPARISON = (
    Column("model"),
    Column("layers", right=True),
    Column("parameters", right=True),
    Column("error", right=True),
    Column("accuracy", right=True),
    Column("whose"),
)
_CIFAR_TEST_IMAGES = 10_000
ANY_WIDTH = 1000
"""Where a table may be as wide as it likes."""


def report(runs: Sequence[Compared], width: int = ANY_WIDTH) -> list[Block]:
    """Return the report of ``runs``, which have finished an epoch each; tables of epochs fit ``width`` characters."""
    if len(runs) == 1:
        title = f"Report of {runs[0].listed.entry.name}"
        return [Heading(title, 1), *_run(runs[0], width), *_published(runs)]
    blocks: list[Block] = [Heading(f"Report of {len(runs)} runs", 1), *compared(runs)]
    quantities = [plot(quantity, dict(enumerate(runs)), "epoch", log=quantity == "gradient norm")
                  for quantity in get_args(Quantity)]  # fmt: skip
    blocks += [Charts(tuple(drawn for drawn in quantities if any(line.xs for line in drawn.lines)))]
    blocks += _published(runs)
    for place, run in enumerate(runs):
        blocks += [Heading(f"{place + 1} {run.listed.entry.name}", 2), *_run(run, width)]
    return blocks


def compared(runs: Sequence[Compared]) -> Iterator[Block]:
    """Yield what ``runs`` reached and in which settings they differ."""
    by_place = dict(enumerate(runs))
    names = [run.listed.entry.name for run in runs]
    yield Facts(tuple((str(place + 1), name) for place, name in enumerate(names)))
    yield from map(Words, notes(by_place))
    columns = (Column(""), *(Column(str(place + 1)) for place in by_place))
    figures = (row for row in outcomes(by_place, names) if row.label != "run")
    rows = ((row.label, *(f"{text} ✓" if row.best and text == row.best else text for text in row.texts))
            for row in figures)  # fmt: skip
    yield Grid("Outcome (✓: the best of a row)", columns, tuple(rows), by_run=True)
    if settings := differing(runs):
        lines = ((key, *map(setting_text, values)) for key, values in settings.items())
        yield Grid("Settings that differ", columns, tuple(lines), by_run=True)
    else:
        yield Words("Every setting is the same in these runs.")


def _run(run: Compared, width: int) -> Iterator[Block]:
    """Yield what a run is, what it reached, and every epoch of it."""
    summary = run.state.summary
    yield Facts((*opening(summary, run.listed.run.path), *_made(run), *_ended(run)))
    if run.damaged:
        yield Words(f"Lines of its log that could not be read and count nothing: {run.damaged:,}.")
    yield _errors(summary)
    yield _epochs(summary, width)
    drawn = (curve(run.state, _VIEW) for curve in (curves.loss, curves.accuracy, curves.rate, curves.total_norm))
    yield Charts(tuple(one for one in drawn if any(line.xs for line in one.lines)))


def _made(run: Compared) -> Iterator[tuple[str, str]]:
    """Yield when the run began and with what it was made."""
    yield "began", one_line(run.listed.entry.started or "")
    if run.state.started is not None and run.state.started.versions:
        yield "made with", one_line(", ".join(f"{name} {number}" for name, number in run.state.started.versions))


def _ended(run: Compared) -> Iterator[tuple[str, str]]:
    """Yield how the run ended, or that it goes on."""
    if run.listed.alive:
        read_at = datetime.fromtimestamp(run.read_at, UTC).astimezone()
        yield run.listed.doing, f"still running: figures as of {read_at:%H:%M:%S}"
        return
    if run.listed.doing == "lost":
        yield "lost", "its process was killed before it could say that it ends"
    for label, text in closing(run.state.summary, None):
        if label not in _SAID_IN_TABLES and text:
            yield label, text


def _errors(summary: RunSummary) -> Grid:
    """Return the test errors of a run, each with what it means."""
    rows = [
        (found.kind, words.percent(found.error), "all" if found.epoch is None else str(found.epoch), found.meaning)
        for found in counted_errors(summary)
    ]
    columns = (Column("error"), Column("test error", right=True), Column("epoch", right=True), Column("what it is"))
    return Grid("Last, best and average error", columns, tuple(rows))


def _epochs(summary: RunSummary, width: int) -> Grid:
    """Return a row an epoch; the one that counts as best is marked."""
    layout = table.fit(width, with_val=bool(summary.val_images))
    best = summary.best()
    rows = [
        (*(column.cell(row) for column in layout.columns), layout.mark.strip() if row == best else "")
        for row in summary.rows
    ]
    columns = (*(Column(column.title, right=True) for column in layout.columns), Column(""))
    return Grid("Epochs", columns, tuple(rows), frozenset(i for i, row in enumerate(summary.rows) if row == best))


def _published(runs: Sequence[Compared]) -> Iterator[Block]:
    """Yield the comparison table of the ResNet20 document: what is published, then what is ours."""
    ours, known = list[ComparisonRow](), dict[ComparisonRow, None]()
    for place, run in enumerate(runs):
        summary = run.state.summary
        ours += own_rows("this run" if len(runs) == 1 else f"run {place + 1}", summary)
        if summary.config is not None:
            known |= dict.fromkeys(published_rows(summary.config.model, summary.classes))
    yield Heading("Beside published figures", 2)
    if not known:
        yield Words("Nothing is published, as far as is known here, for these networks on this data.")
    own = frozenset(range(len(known), len(known) + len(ours)))
    yield Grid("Test errors", _COMPARISON, tuple(map(_comparison, [*known, *ours])), own)
    if any(row.source == DOCUMENT for row in known):
        yield Words(PUBLISHED_NOTE)
    fewer = {run.state.summary.test_images for run in runs} - {_CIFAR_TEST_IMAGES}
    if known and fewer:
        counts = " and ".join(f"{count:,}" for count in sorted(fewer))
        yield Words(
            f"Ours are of {counts} test images, the published rows of CIFAR's {_CIFAR_TEST_IMAGES:,}: they are not "
            "measured alike."
        )


def _comparison(row: ComparisonRow) -> tuple[str, ...]:
    layers = "-" if row.layers is None else str(row.layers)
    whose = ", ".join(filter(None, (row.source, row.meaning)))
    return row.model, layers, row.params, words.percent(row.error), words.percent(row.accuracy), whose
