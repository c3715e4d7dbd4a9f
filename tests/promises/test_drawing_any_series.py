"""Any series, finite or not, draws at any size, in a time that its size alone bounds."""

from __future__ import annotations

import asyncio
import math
import random
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_run import IMAGES, MadeRun
from support import Cases
from tab_support import TabApp
from textual.pilot import Pilot
from textual.strip import Strip
from tui_support import until

from engine import words
from engine.events import Evaluated, Event, GradNorms, ModelBuilt, ShapeRow, Step, System
from engine.mistakes import Mistake, Mistakes, write
from engine.run_dir import RunDir
from resnet_tui.budget import Budget
from resnet_tui.charts import strokes
from resnet_tui.charts.axes import Span, span, value_words, x_ticks, x_words, y_ticks
from resnet_tui.charts.plot import Drawing, Level, Line, Mark, Plot, draw, readings
from resnet_tui.panel import Panel
from resnet_tui.run.series import Series, smoothed
from resnet_tui.tabs.charts import ChartsTab
from resnet_tui.tabs.classes import ClassesTab
from resnet_tui.tabs.gradients import GradientsTab
from resnet_tui.tabs.overview import OverviewTab
from resnet_tui.tabs.shapes import ShapesTab
from resnet_tui.tabs.system import SystemTab
from resnet_tui.view import AXES, View
from resnet_tui.widgets.class_bars import bar
from resnet_tui.widgets.meter import column_chart, resampled
from resnet_tui.widgets.pixels import scaled
from resnet_tui.widgets.run_table import spark

SIZES = [(1, 1), (2, 1), (1, 9), (17, 5), (40, 10), (80, 24), (133, 41), (400, 100)]
EXTREMES = (math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, -5e-324, 1e-300, 1e300, -1e300, 1e308, -1e308, 1.0)
COUNTS = (0, 1, -1, 7, 10**6, 2**31, 2**63 - 1, -(2**63))
DROPPED = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}

numbers = st.one_of(st.sampled_from(EXTREMES), st.floats(), st.floats(-10, 10), st.integers(-50, 50).map(float))
columns = st.one_of(
    st.lists(numbers, max_size=60), st.tuples(numbers, st.integers(0, 60)).map(lambda v: [v[0]] * v[1])
)
names = st.text(max_size=12)
ranges = st.none() | st.tuples(numbers, numbers)
lines = st.builds(Line, names, columns, columns, columns, st.just("cyan"), points=st.booleans(), dim=st.booleans())
plots = st.builds(
    Plot,
    names,
    st.lists(lines, max_size=5).map(tuple),
    st.lists(st.builds(Mark, numbers, names), max_size=3).map(tuple),
    st.lists(st.builds(Level, numbers, names), max_size=2).map(tuple),
    ranges,
    ranges,
    st.booleans(),
    st.booleans(),
    st.sampled_from(AXES),
    st.none() | numbers,
)
widths, heights = st.integers(1, 400), st.integers(1, 100)


def assert_drawn(strips: Sequence[Strip], width: int, height: int) -> None:
    """It has that size, and nothing in it is more than a character."""
    assert [strip.cell_length for strip in strips] == [width] * height
    text = "".join(strip.text for strip in strips)
    assert not {unicodedata.category(character) for character in set(text)} & DROPPED


def test_charts(cases: Cases, monkeypatch: pytest.MonkeyPatch, figure: Callable[[str], None]) -> None:
    most, drawn = 0, 0
    plotted = strokes._plotted

    def counted(path: list[Any], dots: tuple[int, int], canvas: strokes.Canvas, marker: str) -> tuple[str, ...]:
        nonlocal most
        # The lowest and the highest of a column, each drawn from where the one before ended, or as so many dashes.
        assert len(path) <= max(4 * canvas.columns + 4, 2 * (strokes._MOST_DASHES + 2 * canvas.columns) + 4)
        most = max(most, len(path))
        return plotted(path, dots, canvas, marker)

    monkeypatch.setattr(strokes, "_plotted", counted)

    @settings(max_examples=cases(100, 1500), derandomize=True, deadline=None, database=None)
    @given(plots, widths, heights, st.none() | numbers, st.booleans(), st.booleans())
    def tried(plot: Plot, width: int, height: int, at: float | None, ascii_only: bool, focused: bool) -> None:
        nonlocal drawn
        drawing = draw(plot, width, height, read_at=at, ascii_only=ascii_only, focused=focused)
        assert_drawn(drawing.strips, width, height)
        assert all(isinstance(value, float) for _, value in readings(plot, 1.0 if at is None else at))
        _assert_column(drawing, width)
        drawn += 1

    tried()
    for width, height in SIZES if cases(0, 1) else SIZES[-3:-1]:
        for value in EXTREMES:
            many = tuple(value if i % 7 else float(i) for i in range(20_000))
            line = Line("long", [float(i) for i in range(len(many))], many, many, "cyan")
            assert_drawn(draw(Plot("long", (line,)), width, height).strips, width, height)
            drawn += 1
    figure(f"{drawn} of {drawn} charts drawn, of at most {most:,} points each")


def _assert_column(drawing: Drawing, width: int) -> None:
    if drawing.canvas is not None:
        assert 0 <= drawing.left < width
        assert math.isfinite(drawing.canvas.x_at(width / 2))


def test_axes_and_small_charts(cases: Cases, figure: Callable[[str], None]) -> None:
    tried = 0

    @settings(max_examples=cases(150, 3000), derandomize=True, deadline=None, database=None)
    @given(columns, numbers, numbers, widths, heights, st.booleans())
    @example([1e308] * 9, 0.0, 1.0, 1, 1, False)
    @example([0.0, -5e-324], 0.0, 1.0, 2, 1, False)
    def small(values: list[float], low: float, high: float, width: int, height: int, log: bool) -> None:
        nonlocal tried
        tried += 1
        assert len(spark(values, width)) <= width
        assert sum(map(len, bar(low, width))) == width
        series = Series(16)
        for step, value in enumerate(values):
            series.add(step, step * width, value)
        for bins in (series.by_time(), series.by_step(), series.by_epoch(height)):
            shown = resampled(bins, width)
            assert len(shown) in {0, width}
            assert [len(row) for row in column_chart(shown, high, height)] == [len(shown)] * height
            smoothed(bins.means, 0.9)
        known = [value for value in values if 1e-300 <= abs(value) <= 1e300]
        axis = span((low, high), [abs(value) for value in known] if log else known, log=log)
        assert axis.low < axis.high
        assert len(y_ticks(axis, max(1, height // 2))) <= 3 * height + 8
        for kind in AXES:
            linear = Span(axis.low, axis.high)
            assert len(x_ticks(linear, max(1, width // 10), kind)) <= width + 8
            assert len(x_words(low, kind)) < 500
        written = value_words(low) if math.isfinite(low) else ""
        for text in (written, words.duration(low), words.loss(low), words.percent(low)):
            assert text.isprintable()
        view = View(window=(axis.low, axis.high), cursor=low if math.isfinite(low) else None)
        view.zoomed(0.5, (axis.low, axis.high)).panned(0.2, (axis.low, axis.high))

    small()
    figure(f"{tried} of {tried} axes and small charts drawn")


def test_pictures_of_any_proportions() -> None:
    for shape in ((1, 1, 1), (3, 1, 4096), (4, 4096, 1), (2, 3, 5), (2000, 1, 1)):
        for side in (1, 16, 24):
            picture = scaled(bytes(math.prod(shape)), shape, side)
            assert max(len(picture), len(picture[0])) == side


class Hostile:
    """Events with numbers of all kinds, in legal order."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.classes = self.random.choice((1, 2, 10, 100))
        self.parts = tuple(f"stage{i // 3}.block{i}" for i in range(self.random.choice((0, 1, 5, 60))))

    def number(self) -> float:
        return self.random.choice((*EXTREMES, self.random.uniform(-5, 5), 10 ** self.random.uniform(-320, 308)))

    def count(self) -> int:
        return self.random.choice((*COUNTS, self.random.randrange(100)))

    def events(self) -> Iterator[Event]:
        made = MadeRun(5)
        started, _ = made.begin()
        yield started
        row = ShapeRow("stage1", "block1", "x", "Conv2d", (self.count(),), (1,), (0,), (self.count(),) * 3,
                       (self.count(),) * 3, self.count(), self.count(), "", self.count(), self.count(),
                       (self.count(),))  # fmt: skip
        yield made.at(ModelBuilt(rows=(row,) * 3, blocks=self.parts, params=self.count(), macs=self.count()))
        for step in range(1, self.random.choice((1, 3, 30))):
            number = self.number
            yield made.at(Step(step=step if self.random.random() < 0.9 else self.count(), epoch=1, steps=self.count(),
                               images=self.count(), loss=number(), accuracy=number(), lr=number(),
                               images_per_second=number()), after=1.0)  # fmt: skip
            yield made.at(GradNorms(step=step, norms=tuple(number() for _ in self.parts), total=number()))
            yield made.at(System(cpu_percent=number(), memory_bytes=self.count(), host_cpu_percent=number(),
                                 host_memory_bytes=self.count(), host_memory_total=self.count(),
                                 device_memory_bytes=self.count(), device_memory_total=self.count(),
                                 device_percent=number(), device_watts=number(),
                                 device_celsius=number()))  # fmt: skip
        for epoch in range(1, self.random.choice((2, 4))):
            yield made.at(self.evaluated(epoch))

    def evaluated(self, epoch: int) -> Evaluated:
        confusion = tuple(tuple(abs(self.count()) for _ in range(self.classes)) for _ in range(self.classes))
        per_class = tuple(self.number() for _ in range(self.classes))
        return Evaluated(step=epoch * 10, epoch=epoch, split="test", loss=self.number(), accuracy=self.number(),
                         top5=self.number(), per_class=per_class, confusion=confusion, images=IMAGES,
                         seconds=self.number())  # fmt: skip

    def mistakes(self) -> Mistakes:
        shape = self.random.choice(((1, 1, 1), (3, 1, 300), (3, 300, 1), (3, 8, 8), (2, 5, 3), (40, 2, 2)))
        pixels = bytes(self.random.randrange(256) for _ in range(math.prod(shape)))
        wrong = Mistake(2**62, self.random.randrange(99_999), self.random.randrange(99_999), 1.0, pixels)
        return Mistakes(step=1, epoch=1, split="test", shape=shape, mistakes=(wrong,) * self.random.randrange(41))


TABS: tuple[Callable[[RunDir], Panel], ...] = (
    lambda _: OverviewTab(),
    lambda _: ChartsTab(""),
    lambda _: GradientsTab(),
    lambda run: ClassesTab(run),
    lambda _: ShapesTab(),
    lambda run: SystemTab(Budget(), run),
)


@pytest.mark.parametrize("tab", TABS, ids=["overview", "charts", "gradients", "classes", "shapes", "system"])
def test_every_tab(
    tmp_path: Path, cases: Cases, figure: Callable[[str], None], tab: Callable[[RunDir], Panel]
) -> None:
    seeds, run = cases(2, 10), RunDir(tmp_path)

    async def shown() -> int:
        drawn = 0
        for seed in range(seeds):
            hostile = Hostile(seed)
            write(run.mistakes, hostile.mistakes())
            app = TabApp(tab(run), ascii_only=bool(seed % 2))
            async with app.run_test(size=SIZES[-3]) as pilot:
                await _settled(pilot)
                app.feed(*hostile.events())
                for width, height in SIZES if seed % 4 == 0 else random.Random(seed).sample(SIZES, 3):
                    await pilot.resize_terminal(width, height)
                    app.draw()
                    await _settled(pilot)
                    assert_drawn(app.screen._compositor.render_strips(), width, height)
                    drawn += 1
        return drawn

    drawn = asyncio.run(shown())
    figure(f"{drawn} of {drawn} screens drawn, of {seeds} runs")


async def _settled(pilot: Pilot[None]) -> None:
    await pilot.pause()
    await until(pilot, lambda: not pilot.app.workers._workers)
    await pilot.pause()
