"""Runs side by side: curves, figures, and only the settings that differ."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from made_run import MadeRun
from runs_support import HOSTILE, Shown, drive, keep, until
from support import tiny, train
from textual.pilot import Pilot

from engine import run_dir
from engine.events import Event, RunStarted, encode
from engine.run_dir import RunDir
from resnet_tui.charts.comparison import Figure, best_text
from resnet_tui.charts.plot import readings
from resnet_tui.run.compared import on_one_scale
from resnet_tui.run.gradient_history import GradientHistory
from resnet_tui.run.state import RunState
from resnet_tui.screens.compare import CompareScreen
from resnet_tui.widgets.chart import Chart
from resnet_tui.widgets.heat_map import HeatMap


@pytest.fixture
def pair(tmp_path: Path) -> list[RunDir]:
    first = keep(tmp_path, "first", MadeRun(3).whole([0.5, 0.75, 0.625]), optim__lr=0.05, train__seed=4)
    return [first, keep(tmp_path, "second", MadeRun(3).whole([0.25, 0.5, 0.875]))]


async def read(app: Shown, pilot: Pilot[None], count: int = 2) -> None:
    await until(pilot, lambda: app.first.query(Chart).first().plot.lines[count - 1 :])
    await pilot.pause()


def charts(app: Shown) -> dict[str, Chart]:
    return {chart.plot.title: chart for chart in app.first.query(Chart)}


def test_both_curves_stand_on_one_chart_over_epochs_or_time(pair: list[RunDir]) -> None:
    async def steps(app: Shown, pilot: Pilot[None]) -> None:
        await read(app, pilot)
        accuracy = charts(app)["test accuracy"].plot
        assert [tuple(line.xs) for line in accuracy.lines] == [(1, 2, 3)] * 2
        assert [tuple(line.lows) for line in accuracy.lines] == [(0.5, 0.75, 0.625), (0.25, 0.5, 0.875)]
        assert len({line.colour for line in accuracy.lines}) == 2
        assert accuracy.x_kind == "epoch"
        await pilot.press("x", "l")
        await pilot.pause()
        accuracy, loss = charts(app)["test accuracy"].plot, charts(app)["training loss"].plot
        assert accuracy.x_kind == loss.x_kind == "time"
        assert accuracy.lines[0].xs[0] == pytest.approx(12.5)
        assert (accuracy.log_y, loss.log_y) == (False, True)
        assert "log scale" in app.seen()
        await pilot.press("x")
        await pilot.pause()
        accuracy = charts(app)["test accuracy"].plot
        assert (accuracy.x_kind, tuple(accuracy.lines[0].xs)) == ("step", (10, 20, 30))
        assert "2 runs over steps" in app.seen()
        await pilot.press("x")
        await pilot.pause()
        assert "2 runs over epochs" in app.seen()

    drive(CompareScreen(pair), steps)


def test_figures_stand_side_by_side_and_only_what_differs_is_named(pair: list[RunDir]) -> None:
    async def steps(app: Shown, pilot: Pilot[None]) -> None:
        await read(app, pilot)
        rows = {line.split("  ")[0].strip(): line.split() for line in app.seen().splitlines()}
        assert rows["best test"][2:] == ["75.00", "%", "87.50", "%", "✓"]
        assert rows["average error"][2:] == ["37.50", "%", "✓", "45.83", "%"]
        assert rows["optim.lr"][1:] == ["0.05", "0.1"]
        assert rows["train.seed"][1:] == ["4", "1"]
        assert "optim.momentum" not in rows

    drive(CompareScreen(pair), steps, (120, 50))


def test_runs_of_different_data_have_a_note_and_none_is_the_best(pair: list[RunDir], tmp_path: Path) -> None:
    def renamed(event: Event) -> Event:
        return dataclasses.replace(event, classes=("cat", "dog")) if isinstance(event, RunStarted) else event

    other = keep(tmp_path, "pets", map(renamed, MadeRun(1).whole([0.5])))

    async def steps(app: Shown, pilot: Pilot[None]) -> None:
        await read(app, pilot, 3)
        assert "Different data (1 and 2: digits" in app.seen()
        assert "cat, dog" in app.seen()
        best = next(line for line in app.seen().splitlines() if line.strip().startswith("best "))
        assert "✓" not in best

    drive(CompareScreen([*pair, other]), steps, (160, 50))


def test_options_that_only_one_architecture_has_are_dashes(tmp_path: Path) -> None:
    runs = [
        keep(tmp_path, "a", MadeRun(1).whole([0.5])),
        keep(tmp_path, "b", MadeRun(1).whole([0.5])),
    ]
    text = runs[1].config_file.read_text()
    model = text[text.index("[model]") : text.index("[data]")]
    runs[1].config_file.write_text(text.replace(model, '[model]\narch = "densenet"\n\n'))

    async def steps(app: Shown, pilot: Pilot[None]) -> None:
        await read(app, pilot)
        rows = {line.split()[0]: line.split()[1:] for line in app.seen().splitlines() if line.strip()}
        assert rows["model.arch"] == ["resnet", "densenet"]
        assert rows["model.shortcut"] == ["A", "-"]

    drive(CompareScreen(runs), steps, (120, 80))


def test_equal_runs_differ_in_nothing(tmp_path: Path) -> None:
    runs = [keep(tmp_path, name, MadeRun(1).whole([0.5])) for name in "ab"]

    async def steps(app: Shown, pilot: Pilot[None]) -> None:
        await read(app, pilot)
        assert "Every setting is the same" in app.seen()

    drive(CompareScreen(runs), steps, (120, 50))


def test_a_damaged_run_and_hostile_names_do_no_harm(pair: list[RunDir], tmp_path: Path) -> None:
    made = MadeRun(1)

    def renamed(event: Event) -> Event:
        return dataclasses.replace(event, device=HOSTILE) if isinstance(event, RunStarted) else event

    hostile = keep(tmp_path, f"h{HOSTILE.replace('/', '')}", map(renamed, made.whole([0.5])))
    damaged = keep(tmp_path, "damaged", [])
    damaged.config_file.write_text("[model")

    async def steps(app: Shown, pilot: Pilot[None]) -> None:
        await read(app, pilot, 3)
        await until(pilot, lambda: "not valid TOML" in app.seen())
        assert "[@click=app.exit]y" in app.seen().replace("\n", "")
        assert not {"\x1b", "\x07", "\u202e"} & set(app.seen())

    drive(CompareScreen([*pair, damaged, hostile]), steps, (200, 60))


@pytest.mark.parametrize("size", [(20, 5), (40, 12), (80, 24), (200, 60)])
def test_every_size_shows_something(pair: list[RunDir], size: tuple[int, int]) -> None:
    async def steps(app: Shown, pilot: Pilot[None]) -> None:
        await read(app, pilot)
        assert app.seen().strip()
        await pilot.press("x", "down", "g", "escape")
        await until(pilot, lambda: app.screen is not app.first)

    drive(CompareScreen(pair), steps, size)


def test_six_runs_are_told_apart_without_colour(tmp_path: Path) -> None:
    accuracies = [0.3 + epoch / 100 for epoch in range(40)]
    runs = [keep(tmp_path, str(n), MadeRun(40).whole([value + n / 20 for value in accuracies])) for n in range(6)]

    async def steps(app: Shown, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: {line.name for line in charts(app)["test accuracy"].plot.lines} == set("123456"))
        await pilot.pause()
        title = app.seen().splitlines()[1]
        assert all(f"{glyph} {number}" in title for number, glyph in enumerate("━╍┉●◆×", 1)), title
        plot = charts(app)["test accuracy"].plot
        assert dict(readings(plot, 8))["6"] == pytest.approx(0.3 + 0.07 + 0.25), "between two markers"

    drive(CompareScreen(runs), steps, (200, 60))


def test_a_live_run_is_shown_as_of_when_it_was_read(pair: list[RunDir]) -> None:
    pair[0].events.write_bytes(b"".join(map(encode, [*MadeRun(3).begin(), *MadeRun(3).epoch(1)])))
    pair[0].acquire()

    async def steps(app: Shown, pilot: Pilot[None]) -> None:
        await read(app, pilot)
        assert re.search(r"2 runs over epochs, 1 live, as of \d\d:\d\d", app.seen())
        assert "training" in app.seen()

    drive(CompareScreen(pair), steps)
    pair[0].release()


def test_figures_that_read_the_same_are_equally_good() -> None:
    row = [Figure("best", text, value, "higher") for text, value in (("81.94 %", 0.81941), ("81.94 %", 0.81939))]
    assert best_text(row) == ""
    assert best_text([*row, Figure("best", ""), Figure("best", "80.00 %", 0.8, "higher")]) == "81.94 %"
    assert best_text([row[0]._replace(better="lower"), Figure("best", "7.00 %", 0.07, "lower")]) == "7.00 %"


def test_real_runs_have_gradients_too(tmp_path: Path) -> None:
    for seed in (1, 2):
        train(tiny(train__seed=seed), tmp_path)

    async def steps(app: Shown, pilot: Pilot[None]) -> None:
        await read(app, pilot)
        norm = charts(app)["gradient norm"]
        assert norm.display
        assert [len(line.xs) > 2 for line in norm.plot.lines] == [True, True]

        def cursors() -> set[float | None]:
            return {chart.plot.cursor for chart in app.first.query(Chart)}

        await pilot.click(norm, offset=(20, 5))
        await until(pilot, lambda: len(cursors()) == 1 and cursors() != {None})
        await pilot.press("escape")
        await until(pilot, lambda: cursors() == {None})
        assert app.screen is app.first

    drive(CompareScreen(list(run_dir.iterate(tmp_path))), steps)


def test_gradients_stand_side_by_side_on_one_scale(tmp_path: Path) -> None:
    kinds: dict[str, dict[str, Any]] = {
        "resnet": {},
        "plain": {"model__shortcut": "none"},
        "frozen": {"telemetry__gradient_norms": False},
    }
    for name, settings in kinds.items():
        train(tiny(name=name, **settings), tmp_path)
    runs = sorted(run_dir.iterate(tmp_path), key=lambda run: "frozen" in run.name)

    async def steps(app: Shown, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "frozen" in app.seen() and "reading" not in app.seen())
        assert not app.first.query(HeatMap).first().region, "curves first"
        await pilot.press("g")
        await until(pilot, lambda: app.seen().count("stage1.block1") >= 2)
        assert "gradients on one scale" in app.seen()
        assert all(f"{place} {run.name[:10]}" in app.seen() for place, run in enumerate(runs, 1))
        assert "gradient norms are switched off" in app.seen()
        legend = next(line for line in app.seen().splitlines() if re.match(r" +0\.\d+ +\d", line))
        first, second = legend[:66].split(), legend[66:132].split()
        assert first == second, "the same ends and the same decades between them"

        maps = app.first.query(HeatMap)
        await pilot.click(maps[0], offset=(30, 5))
        await until(pilot, lambda: all("│" in str(one.render_line(4).text) for one in maps[:2]))
        await pilot.press("escape", "g")
        await until(pilot, lambda: "gradients on one scale" not in app.seen())
        assert app.screen is app.first

    drive(CompareScreen(runs), steps, (200, 50))


def test_one_scale_holds_what_every_run_has_and_changes_none() -> None:
    states = {place: RunState() for place in range(3)}
    for place, norms in ((0, (0.01, 0.1)), (2, (0.1, 10.0))):
        states[place].gradients = GradientHistory(("stem", "head"))
        states[place].gradients.add(1, 1.0, norms)
    before = {place: state.gradients.spread() for place, state in states.items()}
    shown = on_one_scale(states)
    assert all(state.gradients.spread() == pytest.approx((-2.0, 1.0)) for state in shown.values())
    assert shown[2].gradients.latest == (0.1, 10.0)
    assert {place: state.gradients.spread() for place, state in states.items()} == before


def test_a_live_run_is_followed_until_it_ends(pair: list[RunDir], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resnet_tui.run.compared.LOOK_SECONDS", 0.02)
    made = MadeRun(3)
    pair[0].events.write_bytes(b"".join(map(encode, [*made.begin(), *made.epoch(1), *made.end_epoch(1, 0.5)])))
    pair[0].acquire()

    async def steps(app: Shown, pilot: Pilot[None]) -> None:
        def epochs() -> int:
            return len(charts(app)["test accuracy"].plot.lines[0].xs)

        await read(app, pilot)
        await until(pilot, lambda: epochs() == 1)
        with pair[0].events.open("ab") as log:
            log.write(b"".join(map(encode, [*made.epoch(2), *made.end_epoch(2, 0.6)])))
        await until(pilot, lambda: epochs() == 2)
        pair[0].release()
        await until(pilot, lambda: "live" not in app.seen().splitlines()[0])

    drive(CompareScreen(pair), steps)
