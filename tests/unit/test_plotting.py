import itertools
import math
import random
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import plotext
import pytest
from made_run import MadeRun

from engine.events import RunStarted
from engine.literature import CIFAR10_CLASSES
from resnet_tui.charts import curves
from resnet_tui.charts.axes import Span, span, x_ticks, y_ticks
from resnet_tui.charts.bars import bars
from resnet_tui.charts.colours import depth
from resnet_tui.charts.heat_scale import FEW, MANY, NONE, palette
from resnet_tui.charts.norms import Norms
from resnet_tui.charts.plot import Drawing, Level, Line, Mark, Plot, draw, readings
from resnet_tui.charts.strokes import Canvas, samples
from resnet_tui.run.gradient_history import GradientHistory
from resnet_tui.run.state import Change, RunState
from resnet_tui.view import Axis, View
from resnet_tui.widgets.pixels import has_colours

SIZES = [(1, 1), (1, 5), (5, 1), (2, 2), (10, 3), (15, 4), (16, 4), (20, 5), (40, 8), (100, 15), (300, 100)]
HOSTILE = {
    "empty": [],
    "one point": [(3.0, 0.5)],
    "equal": [(float(x), 2.0) for x in range(50)],
    "all zero": [(float(x), 0.0) for x in range(50)],
    "negative zero": [(0.0, -0.0), (-0.0, 0.0)],
    "same x": [(1.0, float(y)) for y in range(5)],
    "infinite": [(0.0, math.inf), (1.0, 1.0), (2.0, -math.inf), (math.inf, 1.0), (3.0, 2.0)],
    "nothing finite": [(0.0, math.inf), (1.0, math.nan)],
    "nan": [(0.0, 1.0), (1.0, math.nan), (math.nan, 1.0), (2.0, 3.0)],
    "huge": [(0.0, 1e308), (1.0, -1e308), (2.0, 1e299), (3.0, -1e299)],
    "tiny": [(0.0, 5e-324), (1.0, 1e-323), (2.0, 1e-310)],
    "wide": [(0.0, 1e-290), (1.0, 1e290)],
    "huge x": [(1e299, 0.0), (-1e299, 1.0)],
    "close": [(1e9, 1.0), (1e9 + 1e-6, 1.0 + 1e-15)],
    "not monotonic": [(3.0, 1.0), (1.0, 2.0), (2.0, 0.5), (1.0, 9.0)],
    "negative": [(float(x), -1.0 - x) for x in range(9)],
    "zeros among positive": [(float(x), float(x % 3)) for x in range(30)],
}


def made(values: list[tuple[float, float]], name: str = "train", *, points: bool = False, dim: bool = False) -> Line:
    ys = [y for _, y in values]
    return Line(name, [x for x, _ in values], ys, ys, "cyan", points=points, dim=dim)


def text(drawing: Drawing) -> list[str]:
    return [strip.text for strip in drawing.strips]


def canvas_of(drawing: Drawing) -> Canvas:
    assert drawing.canvas is not None
    return drawing.canvas


def canvas_text(drawing: Drawing) -> list[str]:
    return [row[drawing.left :] for row in text(drawing)[1 : 1 + canvas_of(drawing).rows]]


def dots(rows: list[str]) -> set[tuple[int, int]]:
    """The braille dots as (x, y), y from the top."""
    bits = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)]
    return {
        (2 * column + dx, 4 * row + dy)
        for row, line in enumerate(rows)
        for column, glyph in enumerate(line)
        if "\u2800" <= glyph <= "\u28ff"
        for bit, (dx, dy) in enumerate(bits)
        if (ord(glyph) - 0x2800) >> bit & 1
    }


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_data_draws_at_every_size(name: str) -> None:
    points = HOSTILE[name]
    lines = (made(points), made(points, "val", points=True), made(points, "raw", dim=True))
    for log_y, ascii_only, cursor in itertools.product((False, True), (False, True), (None, 1.0)):
        plot = Plot("Loss", lines, log_y=log_y, cursor=cursor)
        for width, height in SIZES:
            drawing = draw(plot, width, height, ascii_only=ascii_only)
            assert [strip.cell_length for strip in drawing.strips] == [width] * height
            assert {len(row) for row in text(drawing)} == {width}
            if ascii_only:
                assert "".join(text(drawing)).isascii()


def test_a_hundred_thousand_points_draw() -> None:
    line = made([(float(x), math.sin(x / 9999) + 1.1) for x in range(100_000)])
    rows = canvas_text(draw(Plot("x", (line,)), 100, 15))
    assert len({x for x, _ in dots(rows)}) >= 2 * (len(rows[0]) - 1)


def test_the_widget_does_not_import_plotext() -> None:
    code = "import sys, resnet_tui.widgets.chart; sys.exit('plotext' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0, (
        "it would delay the first screen"
    )


@pytest.mark.parametrize("name", ["empty", "nothing finite"])
def test_says_when_there_is_nothing_to_show(name: str) -> None:
    rows = text(draw(Plot("Loss", (made(HOSTILE[name]),)), 40, 8))
    assert rows[0].startswith("Loss")
    assert "no data yet" in rows[1]


def test_ranges_that_are_none_are_ignored() -> None:
    line = made([(0.0, 1.0), (9.0, 2.0)])
    whole = text(draw(Plot("Loss", (line,), log_y=True), 40, 8))
    for bad in [(2.0, 1.0), (1.0, 1.0), (math.nan, 1.0), (0.0, math.inf), (-1e308, 1e308)]:
        assert text(draw(Plot("Loss", (line,), x_range=bad, y_range=bad, log_y=True), 40, 8)) == whole
    assert text(draw(Plot("Loss", (line,), y_range=(-1.0, 3.0), log_y=True), 40, 8)) == whole


def test_a_rising_line_goes_from_bottom_left_to_top_right() -> None:
    drawing = draw(Plot("x", (made([(float(x), float(x)) for x in range(500)]),), y_range=(0, 499)), 60, 12)
    found = dots(canvas_text(drawing))
    width, height = 2 * canvas_of(drawing).columns, 4 * canvas_of(drawing).rows
    for x in range(width):
        rows = [y for column, y in found if column == x]
        assert rows, f"a gap at {x}"
        assert all(abs((height - 1 - y) - x * (height - 1) / (width - 1)) <= 1.5 for y in rows)


def test_two_points_are_joined_and_one_off_range_is_cut_where_it_leaves() -> None:
    line = made([(0.0, 0.0), (100.0, 100.0)])
    plot = Plot("x", (line,), x_range=(25.0, 75.0), y_range=(0.0, 50.0))
    found = dots(canvas_text(drawing := draw(plot, 60, 12)))
    width, height = 2 * canvas_of(drawing).columns, 4 * canvas_of(drawing).rows
    assert min(x for x, _ in found) <= 1
    assert abs(max(x for x, _ in found) - width / 2) <= 2, "it leaves through the top, half-way"
    assert min(y for _, y in found) <= 1
    assert abs(max(y for _, y in found) - height / 2) <= 2


def test_a_geometric_series_is_straight_on_a_log_scale() -> None:
    line = made([(float(x), 10.0 ** (-x / 25)) for x in range(101)])
    drawing = draw(Plot("x", (line,), log_y=True), 60, 14)
    found = sorted(dots(canvas_text(drawing)))
    (x0, y0), (x1, y1) = found[0], found[-1]
    assert y1 - y0 > 3 * canvas_of(drawing).rows
    assert all(abs(y - (y0 + (x - x0) * (y1 - y0) / (x1 - x0))) <= 1.5 for x, y in found)


def test_a_spike_between_columns_is_seen() -> None:
    ys = [0.0] * 20_000
    ys[12_345] = 1.0
    line = made(list(zip(map(float, range(20_000)), ys, strict=True)))
    top = canvas_text(draw(Plot("x", (line,), y_range=(0, 1)), 60, 10))[0].strip()
    assert 0 < len(top) <= 2


def test_a_band_is_drawn_from_low_to_high() -> None:
    line = Line("x", [0.0, 1.0, 2.0], [0.0] * 3, [1.0] * 3, "cyan")
    rows = canvas_text(draw(Plot("x", (line,), y_range=(0, 1)), 30, 10))
    assert all(row.strip() for row in rows)


def test_few_points_reach_plotext(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[list[float], list[float]]] = []
    real = plotext.figure.signal

    def counted(xs: list[float], ys: list[float], **options: object) -> object:
        calls.append((xs, ys))
        return real(xs, ys, **options)

    monkeypatch.setattr(plotext.figure, "signal", counted, raising=False)
    noise = random.Random(1)
    ys = [noise.random() for _ in range(50_000)]
    drawing = draw(Plot("x", (Line("x", range(50_000), ys, ys, "red"),)), 80, 12)
    ((xs, ys_given),) = calls
    canvas = canvas_of(drawing)
    assert len(xs) <= 2 * canvas.columns + 2
    assert 0 < min(xs) <= max(xs) < 2 * canvas.columns
    assert 0 < min(ys_given) <= max(ys_given) < 4 * canvas.rows


def test_marks_and_levels_are_drawn_in_range_and_left_out_off_it() -> None:
    line = made([(float(x), 0.5) for x in range(10, 20)])
    plot = Plot(
        "Accuracy",
        (line,),
        (Mark(14, "lr 0.01"), Mark(500, "late"), Mark(math.nan, "never"), Mark(-5, "early")),
        (Level(0.9, "published"), Level(math.inf, "endless")),
        percent=True,
    )
    shown = "\n".join(text(draw(plot, 80, 14)))
    assert "┊lr 0.01" in shown
    assert "published 90.00 % ╌╌" in shown
    assert not any(word in shown for word in ("late", "never", "early", "endless"))
    zoomed = "\n".join(text(draw(Plot("A", (line,), plot.marks, plot.levels, y_range=(0.4, 0.6)), 80, 14)))
    assert "published" not in zoomed


def test_words_from_outside_cannot_break_a_row() -> None:
    plot = Plot(
        "Loss\x1b]52;c;x\x07\nmore",
        (made([(0.0, 1.0), (1.0, 2.0)], "a\u202eb[/red]"),),
        (Mark(0.2, "長い名前"), Mark(0.5, "x\ny\x1b[2J")),
    )
    drawing = draw(plot, 60, 10)
    shown = "".join(text(drawing))
    assert not any(c in shown for c in "\x1b\x07\n\u202e")
    assert all(strip.cell_length == 60 for strip in drawing.strips)


def test_lines_differ_without_colour() -> None:
    points = [(float(x), x / 9) for x in range(10)]
    lines = (made(points), made(points, "ema"), made(points, "val", points=True), made(points, "test", points=True))
    title = text(draw(Plot("Loss", lines), 80, 12))[0]
    assert title.split()[1::3] == ["━", "╍", "●", "◆"]
    assert title.split()[2::3] == ["train", "ema", "val", "test"]
    narrow = text(draw(Plot("Loss", lines), 30, 12))[0]
    assert narrow.split() == ["Loss", "━1", "╍1", "●1", "◆1"]


def test_the_three_strokes_differ_in_their_dots_on_every_slope() -> None:
    for rise in (0.0, 1.0, 20.0):
        counts = []
        for name in ("first", "second", "third"):
            lines = [made([(0.0, 0.0), (100.0, rise)], n) for n in ("first", "second", "third") if n <= name]
            others = tuple(replace(line, xs=(), lows=(), highs=()) for line in lines if line.name != name)
            plot = Plot("x", (*others, lines[-1]), x_range=(0, 100), y_range=(-1, 21))
            counts.append(len(dots(canvas_text(draw(plot, 80, 20)))))
        solid, dashed, dotted = counts
        assert solid * 0.5 < dashed < solid * 0.85
        assert dotted < dashed * 0.85


def test_a_dotted_line_of_one_sample_is_seen() -> None:
    lines = (made([]), made([]), made([(3.0, 1.0)], "third"))
    assert dots(canvas_text(draw(Plot("x", lines), 40, 10)))


def test_raw_values_are_named_beside_the_smoothed_ones() -> None:
    points = [(float(x), x / 9) for x in range(10)]
    lines = (made(points), made(points, "raw", dim=True), made(points, "test", points=True))
    titles = [text(draw(Plot("loss", lines), width, 12))[0].rstrip() for width in (60, 33, 32, 30, 20, 17)]
    assert titles == [
        "loss  ━ train 1  ─ raw 1  ● test 1",
        "loss ━train 1 ─raw 1 ●test 1",
        "loss ━train 1 ─raw 1 ●test 1",
        "loss ━train 1 ─raw 1 ●test 1",
        "loss ━1 ─1 ●1",
        "loss ━1 ─1 ●1",
    ]


def test_words_of_marks_never_cover_each_other_or_another_line() -> None:
    line = made([(0.0, 0.0), (100.0, 0.0)])
    marks = tuple(
        Mark(x, word) for x, word in [(20, "paused now"), (23, "resumed"), (24, "rate 0.01"), (99, "late one")]
    )
    rows = canvas_text(draw(Plot("x", (line,), marks, y_range=(-1, 1)), 60, 12))
    columns = [rows[0].index("┊"), *(i for i, glyph in enumerate(rows[-1]) if glyph == "┊")]
    assert all(row[column] == "┊" for row in rows for column in columns if not "\u2800" <= row[column] <= "\u28ff")
    shown = "\n".join(rows)
    assert "┊rate 0.01" in shown
    assert "late one┊" in shown
    assert "paused now┊" in shown
    assert not any(a in row and b in row for row in rows for a, b in [("paused nowresumed", ""), ("resumedrate", "")])


def test_only_the_loss_says_what_was_changed_and_in_few_words() -> None:
    state, made_run = RunState(), MadeRun()
    for event in made_run.whole([0.5, 0.6]):
        state.apply(event)
    state.changes = [Change(3, 1.0, "set learning rate 0.0125"), Change(4, 2.0, "pause")]
    words = {curve.key: [mark.text for mark in curve.build(state, View()).marks] for curve in curves.curves(state)}
    assert words.pop("loss") == ["rate 0.0125", "pause"]
    assert all(texts == ["", ""] for texts in words.values())
    assert [mark.text for mark in curves.with_words(curves.rate(state, View()), state, View()).marks][1] == "pause"


def test_a_gradient_that_is_no_number_leaves_its_chart_equal_to_itself() -> None:
    state = RunState()
    state.gradients = GradientHistory(("stem",))
    for step, norm in enumerate((1.0, math.nan, 2.0)):
        state.gradients.add(step, float(step), [norm])
    assert curves.part_norm(state, View(), 0) == curves.part_norm(state, View(), 0)


def test_the_cursor_reads_the_sample_at_or_before_it() -> None:
    plot = Plot("Loss", (made([(0.0, 1.0), (10.0, 2.0), (20.0, 4.0)]), made([(15.0, 7.0)], "val", points=True)))
    assert readings(plot, -1) == []
    assert readings(plot, 0) == [("train", 1.0)]
    assert readings(plot, 14.9) == [("train", 2.0)]
    assert readings(plot, 1e9) == [("train", 4.0), ("val", 7.0)]
    shown = text(draw(Plot("Loss", plot.lines, cursor=12.0), 60, 10))
    assert shown[0].split() == ["Loss", "step", "12", "━", "train", "2", "●", "val", "-"]
    assert any("│" in row for row in canvas_text(draw(Plot("Loss", plot.lines, cursor=12.0), 60, 10)))


def test_a_plot_keeps_what_it_was_given() -> None:
    ys = [1.0, 2.0]
    before = Plot("x", (Line("x", [0.0, 1.0], ys, ys, "red"),))
    ys[1] = 3.0
    assert before != Plot("x", (Line("x", [0.0, 1.0], ys, ys, "red"),))
    assert before.lines[0].highs == (1.0, 2.0)


def labels(ticks: list[tuple[float, str]]) -> list[str]:
    return [label for _, label in ticks]


def test_ticks_are_written_for_people() -> None:
    assert labels(y_ticks(Span(0, 1), 5, percent=True)) == ["0 %", "20 %", "40 %", "60 %", "80 %", "100 %"]
    assert labels(y_ticks(Span(0.9, 0.93), 4, percent=True)) == ["90 %", "91 %", "92 %", "93 %"]
    assert labels(y_ticks(Span(0.0, 2.6), 6)) == ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5"]
    assert labels(y_ticks(Span(0.0, 1.0), 4)) == ["0.00", "0.25", "0.50", "0.75", "1.00"]
    assert labels(y_ticks(Span(1e-4, 0.2, log=True), 6)) == ["1e-4", "1e-3", "1e-2", "1e-1"]
    assert labels(y_ticks(Span(0.1, 2.5, log=True), 8)) == ["0.1", "0.2", "0.5", "1.0", "2.0"]
    assert labels(x_ticks(Span(0, 4200), 4, "step")) == ["0", "2k", "4k"]
    assert labels(x_ticks(Span(800, 1700), 5, "step")) == ["800", "1k", "1.2k", "1.4k", "1.6k"]
    assert labels(x_ticks(Span(0.1, 3.2), 10, "epoch")) == ["1", "2", "3"]
    assert labels(x_ticks(Span(0, 400), 4, "time")) == ["0:00", "2:00", "4:00", "6:00"]
    assert labels(x_ticks(Span(0, 15000), 4, "time")) == ["0h", "2h", "4h"]
    assert labels(x_ticks(Span(0, 400_000), 4, "time")) == ["0d", "2d", "4d"]


def test_an_axis_with_room_for_two_numbers_has_two() -> None:
    chance = random.Random(4)
    for _ in range(500):
        low = chance.choice([0.0, 1.0, 300.0]) * chance.random()
        axis = span(None, [low, low + 10 ** chance.uniform(-3, 4)])
        for ticks in (y_ticks(axis, 2), y_ticks(axis, 3, percent=True), x_ticks(axis, 2, "epoch")):
            assert len({label for _, label in ticks}) >= 2
            assert ticks[-1][0] - ticks[0][0] > (axis.high - axis.low) / 3
    assert labels(x_ticks(Span(0, 45), 2, "step")) == ["0", "40"]
    assert labels(x_ticks(Span(2.2, 2.9), 3, "epoch")) == ["2.2", "2.8"]
    assert labels(x_ticks(Span(0, 7000), 2, "time")) == ["0h", "1h"]
    assert labels(x_ticks(Span(0, 5500), 1, "time")) == ["0:00"]


@pytest.mark.parametrize("kind", ["step", "epoch", "time"])
def test_ticks_stay_few_and_in_range_whatever_the_range(kind: Axis) -> None:
    chance = random.Random(3)
    for _ in range(300):
        low = chance.choice([0.0, 1.0, -1.0]) * 10 ** chance.uniform(-300, 299)
        axis = span(None, [low, low + 10 ** chance.uniform(-300, 299)])
        for ticks in (x_ticks(axis, 5, kind), y_ticks(axis, 5)):
            assert len(ticks) <= 7
            slack = (axis.high - axis.low) * 1e-6
            assert all(axis.low - slack <= value <= axis.high + slack for value, _ in ticks)


def test_the_published_accuracy_is_written_once() -> None:
    state = RunState()
    start, *rest = MadeRun().whole([0.5, 0.6])
    assert isinstance(start, RunStarted)
    for event in (replace(start, classes=CIFAR10_CLASSES), *rest):
        state.apply(event)
    known = curves.known_accuracy(state)
    assert known is not None
    shown = "\n".join(text(draw(curves.accuracy(state, View()), 120, 14)))
    assert shown.count(f"{known.accuracy * 100:.2f}") == 1


def test_bars_stand_on_each_other_row_by_row() -> None:
    heights = [0, 1, 8, 9, 16, None]
    assert bars(heights, 1) == "   ▁█!"
    assert bars(heights) == " ▁███!"


@pytest.mark.parametrize(
    ("system", "no_color", "native", "ascii_only", "expected"),
    [
        ("truecolor", False, False, False, "many"),
        ("256", False, False, False, "many"),
        ("truecolor", False, True, False, "few"),
        ("standard", False, False, False, "few"),
        ("truecolor", True, False, False, "none"),
        ("truecolor", False, False, True, "none"),
        (None, False, False, False, "none"),
    ],
)
def test_how_many_colours_there_are_has_one_rule(
    system: str | None, no_color: bool, native: bool, ascii_only: bool, expected: str
) -> None:
    app: Any = SimpleNamespace(
        console=SimpleNamespace(color_system=system),
        no_color=no_color,
        native_ansi_color=native,
        ascii_only=ascii_only,
    )
    assert depth(app) == expected
    assert palette(app) == {"none": NONE, "few": FEW, "many": MANY}[expected]
    assert has_colours(app) is (expected == "many")


def test_what_can_be_drawn_is_the_same_whether_it_is_told_fast_or_value_by_value() -> None:
    chance = random.Random(5)
    xs = [float(x) for x in range(500)]
    lows, highs = zip(*(sorted((chance.random(), chance.random())) for _ in xs), strict=True)
    fast = samples(xs, lows, highs, log=True)
    odd = samples([math.nan, *xs], [1.0, *lows], [1.0, *highs], log=True)
    assert fast == odd == (tuple(xs), lows, highs)
    for bad in (math.nan, math.inf, -math.inf, -1.0, 0.0):
        spoilt = (*highs[:250], bad, *highs[251:])
        assert samples(xs, lows, spoilt, log=True)[0] == (*xs[:250], *xs[251:])
    assert samples(xs[::-1], lows, highs, log=True) == (tuple(xs), lows[::-1], highs[::-1])


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (60, " · smallest stage1.block1 0.0500 · largest head 0.900"),
        (40, " · s1.b1 0.0500 – head 0.900"),
        (27, ""),
        (110, " · smallest stage1.block1 0.0500 · largest head 0.900 · 0 flagged · total 0.901 · latest"),
    ],
)
def test_what_is_said_of_norms_is_cut_at_whole_facts(width: int, expected: str) -> None:
    shown = Norms(("stage1.block1", "head"), (0.05, 0.9), ("", ""), 0.5, 1)
    assert shown.facts_within(width) == expected
