"""What a run would be, in words and as a table: pure functions of what the helper answered."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from textual.content import Content

from engine import words
from engine.config import RunConfig
from engine.events import Progress, ShapeRow
from engine.helper_messages import DataFacts, DeviceFacts, Preview
from engine.schedule import factor, warmup_factor
from engine.shapes.formula import shape_text
from engine.shapes.groups import grouped
from engine.text import one_line
from resnet_tui.charts.colours import RATE
from resnet_tui.charts.plot import Line, Plot
from resnet_tui.printing.shape_table import ALWAYS, GAP, Column, fitting, widths
from resnet_tui.setup.fields import FIELDS
from resnet_tui.setup.measured import Known
from resnet_tui.setup.problems import blamed, in_a_form

_LABEL = 10
TERSE = 50
"""Columns below which words are left out."""
_SAMPLES = 240
"""Of the schedule's curve: more than a terminal has columns."""
_WARN = "bold $text-warning"
_BAD = "bold $text-error"


class Fact(NamedTuple):
    """A line of the preview."""

    label: str
    text: str
    style: str = ""


def facts(
    config: RunConfig,
    preview: Preview,
    device: DeviceFacts | None,
    known: Known,
    *,
    terse: bool = False,
) -> Iterator[Fact]:
    """Yield what there is to know, the most important first.

    Args:
        config: the run.
        preview: what the helper answered for it.
        device: what it would train on; None: not known.
        known: what was found out about such runs.
        terse: whether there is little room.
    """
    table, epochs = preview.table, config.train.epochs
    if table.failure is not None:
        yield Fact("✗ shapes", one_line(f"{table.failure.name} ({table.failure.op}): {table.failure.reason}"), _BAD)
        yield Fact("size", f"{table.params:,} parameters")
    else:
        params = "params" if terse else "parameters"
        of_what = "" if terse else f" a sample of {shape_text(table.input)}"
        yield Fact("size", f"{table.params:,} {params}, {words.count(table.macs)} MACs{of_what}")
        yield _memory(preview.memory.total, device, terse=terse)
    if preview.steps_per_epoch is not None:
        steps = preview.steps_per_epoch
        yield Fact("steps", f"{steps:,} an epoch, {steps * epochs:,} in all")
    if known.pace is not None:
        yield Fact("time", known.pace.words(epochs, terse=terse))
    yield from _data(config, preview.data)
    for problem in (preview.batch_problem, preview.device_problem):
        if problem:
            yield Fact("✗ refused", in_a_form(one_line(problem)), _BAD)
    if known.published:
        yield Fact("published", known.published)


def _memory(needed: int, device: DeviceFacts | None, *, terse: bool) -> Fact:
    text = words.size(needed) + ("" if terse else " to train")
    if device is None or device.free_bytes is None:
        return Fact("memory", text)
    free = words.size(device.free_bytes)
    if needed > device.free_bytes:
        return Fact("✗ memory", f"{text}, but {device.name} has {free} free", _WARN)
    return Fact("memory", f"{text} of {free} free" if terse else f"{text}, of {free} free on {device.name}")


_STATES = {"embedded": "built in", "made": "made from the seed", "complete": "✓ complete"}


def _data(config: RunConfig, data: DataFacts) -> Iterator[Fact]:
    usable = data.state in {"embedded", "made", "complete", "archive only"}
    about = f"{config.data.dataset}, {_STATES.get(data.state, data.state)}"
    classes = f", {data.classes:,} classes" if data.classes is not None else ""
    yield Fact("data" if usable else "✗ data", about + classes, "" if usable else _BAD)
    sizes = [f"{data.train:,} train"] if data.train is not None else []
    sizes += [f"{data.val:,} validation"] if data.val else []
    sizes += [f"{data.test:,} test"] if data.test is not None else []
    if sizes:
        yield Fact("", ", ".join(sizes))
    if data.problem and not data.can_download:
        yield Fact("✗ refused", in_a_form(data.problem), _BAD)
        if data.todo and data.todo not in data.problem:
            yield Fact("to do", in_a_form(data.todo))


def as_content(title: str, lines: Sequence[Fact], width: int, *, focused: bool = False) -> Content:
    """Write facts below a title in ``width`` columns, long ones wrapped beside their label.

    Args:
        title: of the run.
        lines: the facts.
        width: columns.
        focused: whether the title shows that keys go here.
    """
    style = "bold reverse" if focused else "bold"
    parts = [Content.styled(textwrap.shorten(title, max(8, width), placeholder="…"), style)]
    room = max(12, width - _LABEL)
    for fact in lines:
        wrapped = textwrap.wrap(fact.text, room, break_on_hyphens=False) or [""]
        for number, text in enumerate(wrapped):
            label = fact.label if number == 0 else ""
            label_style = fact.style if fact.label.startswith("✗") else "$text-muted"
            parts.append(Content.assemble((label.ljust(_LABEL), label_style), (text, fact.style)))
    return Content("\n").join(parts)


def problems(preview: Preview) -> dict[str, str]:
    """Return why a run with it would be refused, by the key of the entry to blame; not that data is absent."""
    found: dict[str, str] = {}
    data = preview.data
    if data.problem and not data.can_download:
        found[blamed(data.problem, (), FIELDS) or "data.dataset"] = in_a_form(data.problem)
    if preview.batch_problem:
        found["train.batch_size"] = in_a_form(preview.batch_problem)
    if preview.device_problem:
        found[blamed(preview.device_problem, (), FIELDS) or "train.device"] = in_a_form(preview.device_problem)
    if (failure := preview.table.failure) is not None:
        found["model.arch"] = one_line(f"does not fit its input: {failure.name}: {failure.reason}")
    return found


_SHORT = (
    Column("layer", lambda row: row.name.replace("flatten+", "").partition("+")[0], style="bold"),
    Column("output", lambda row: shape_text(row.output), right=True, style="$text-primary"),
    Column("params", lambda row: words.count(row.params), right=True),
    Column("MACs", lambda row: words.count(row.macs), right=True),
)
"""Where the usual columns do not fit."""
_STYLES = {"bold": "bold", "cyan": "$text-primary", "dim": "$text-muted"}


def shape_lines(rows: Sequence[ShapeRow], width: int, height: int) -> Content:
    """Write the shape table in stages, where they fit in blocks, with the columns that fit."""
    stages = grouped(rows, "blocks")
    if len(stages) >= height:
        stages = grouped(rows, "stages")
    if not stages:
        return Content("")
    needed = widths(stages)
    shown = fitting(needed, width)
    if sum(needed[column.header] + GAP for column in ALWAYS) - GAP > width:
        shown = list(_SHORT)
        needed = {c.header: max(len(c.header), *(len(c.cell(row)) for row in stages)) for c in shown}
    gap = GAP if sum(needed[column.header] + GAP for column in shown) - GAP <= width else 1
    lines = [_cells([c.header for c in shown], ["$text-muted"] * len(shown), shown, needed, gap)]
    for row in stages:
        styles = [_STYLES.get(column.style, column.style) for column in shown]
        lines.append(_cells([one_line(column.cell(row)) for column in shown], styles, shown, needed, gap))
    return Content("\n").join(line.truncate(width, ellipsis=True) for line in lines)


def _cells(
    cells: Sequence[str], styles: Sequence[str], shown: Sequence[Column], needed: Mapping[str, int], gap: int
) -> Content:
    padded = [
        (cell.rjust if column.right else cell.ljust)(needed[column.header])
        for cell, column in zip(cells, shown, strict=True)
    ]
    return Content(" " * gap).join(Content.styled(*cell) for cell in zip(padded, styles, strict=True))


def rate_plot(config: RunConfig) -> Plot:
    """Return the learning rate over the run as a curve, warm-up included."""
    epochs, schedule = config.train.epochs, config.schedule
    xs = [epochs * i / _SAMPLES for i in range(_SAMPLES + 1)]
    rates = [config.optim.lr * factor(schedule, x / epochs) * warmup_factor(schedule, x) for x in xs]
    line = Line("rate", xs, rates, rates, RATE)
    title = f"learning rate, peak {words.learning_rate(max(rates))}"
    return Plot(title, (line,), x_range=(0, epochs), x_kind="epoch")


def download_line(progress: Progress | None, width: int) -> str:
    """Write how far a download has come: ``downloading ━━━━──── 42 %``."""
    if progress is None:
        return "starting the download…"
    if not progress.total:
        return one_line(f"{progress.activity}: {progress.done:,} {progress.unit}")
    share = min(1.0, progress.done / progress.total)
    end = f" {words.percent(share, 0):>5}"
    activity = one_line(progress.activity)[: max(0, width // 2)]
    room = max(4, width - len(activity) - len(end) - 1)
    full = round(share * room)
    return f"{activity} {'█' * full}{'░' * (room - full)}{end}"
