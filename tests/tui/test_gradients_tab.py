"""The gradients tab as a person uses it, over made runs."""

import math
from itertools import pairwise

import pytest
from made_run import MadeRun
from panel_support import Host, order, parts, play, seen, state_of
from textual.pilot import Pilot
from tui_support import until

from engine.events import ControlApplied, GradNorms, ModelBuilt
from resnet_tui.run.gradient_history import GradientHistory
from resnet_tui.run.state import RunState
from resnet_tui.tabs.gradients import GradientsTab
from resnet_tui.view import View
from resnet_tui.widgets.block_list import BlockList
from resnet_tui.widgets.heat_map import HeatMap
from resnet_tui.widgets.rows import Rows


def rising(part: str, step: int) -> float:
    """The third block of stage 2 hardly learns from step 6 on."""
    place = (1 + parts(110).index(part)) / 60
    return place / 1e4 if part == "stage2.block3" and step > 6 else place


def test_which_block_has_the_smallest_gradient_is_found_at_once_in_resnet110_at_80x24() -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await seen(app, pilot, "smallest stage2.block3", "largest head 0.933", "1 flagged", "1/100 of the median")
        assert order(app.lines()[2:6]) == ["stem", "stage1.block1", "stage1.block2", "stage1.block3"]
        await pilot.press("o")
        await seen(app, pilot, "by norm")
        first = app.lines()[2]
        assert order([first]) == ["stage2.block3"]
        assert "▼" in first
        assert app.query_one(BlockList).part == parts(110).index("stage2.block3")
        await pilot.press("o")
        await until(pilot, lambda: "by norm" not in app.text)
        assert app.query_one(BlockList).part == parts(110).index("stage2.block3"), "stays chosen where it is"

    play(GradientsTab(), state_of(110, rising), script)


def test_a_part_opens_to_its_chart_and_rows_and_closes() -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await pilot.press("down", "down", "enter")
        await seen(app, pilot, "gradient stage1.block2", "conv1", "Conv2d", "no. 3 of 11 by norm")
        app.look(cursor=3.0)
        await seen(app, pilot, "norm 0.700 (step 3)")
        await pilot.press("escape")
        await seen(app, pilot, "step 3 · smallest stem 0.500")
        app.look(cursor=None)
        await pilot.press("down")
        assert app.query_one(BlockList).part == 3, "keys are with the list again"

    state = state_of(20, lambda part, step: 0.5 + parts(20).index(part) / 10)
    play(GradientsTab(), state, script)


def test_a_part_that_is_closed_leaves_every_name_on_the_screen_once() -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await seen(app, pilot, "stage3.block3")
        before = app.lines()[1:-3]
        await pilot.press("enter")
        await seen(app, pilot, "no. 1 of 11 by norm")
        await pilot.press("escape")
        await until(pilot, lambda: app.lines()[1:-3] == before)

    play(GradientsTab(), state_of(20), script, (120, 32))


def test_a_norm_is_said_to_be_a_mean_and_the_total_is_of_the_same_readings() -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await seen(app, pilot, "total 33.2 · mean of 5", "mean of 5 ")  # 11 parts of 10 each, on average
        app.look(cursor=3.0)
        await seen(app, pilot, "step 3 · smallest", "total 9.95", " norm ")
        assert "mean of" not in app.text

    # The last five: 10 times 1/4, 1/2, 1, 2, 4.
    state = state_of(20, lambda part, step: 3.0 if step < 8 else 10.0 * 2.0 ** (step - 10))
    play(GradientsTab(), state, script, (120, 32))


def test_the_mouse_over_the_picture_reads_and_leaves_the_cursor_alone() -> None:
    moves: list[float] = []

    class Watching(GradientsTab):
        def on_chart_cursor_moved(self, message: HeatMap.CursorMoved) -> None:
            moves.append(message.x)

    async def script(app: Host, pilot: Pilot[None]) -> None:
        heat = app.query_one(HeatMap)
        place = (heat.size.width // 2, 1)
        app.look(cursor=2.0)
        await pilot.hover(heat, offset=place)
        await seen(app, pilot, "stem 0.500 at step")
        await pilot.hover(app.query_one(BlockList))
        await until(pilot, lambda: "at step" not in app.text)
        assert moves == []
        await pilot.click(heat, offset=place)
        await until(pilot, lambda: len(moves) == 1)
        assert 4 < moves[0] < 8

    play(Watching(), state_of(20), script, (120, 32))


def test_a_mark_at_the_end_of_the_axis_does_not_cut_its_unit() -> None:
    state = state_of(20)

    async def script(app: Host, pilot: Pilot[None]) -> None:
        axis = app.query_one(HeatMap)
        await until(pilot, lambda: any(line.endswith(" step") for line in app.lines()))
        state.apply(ControlApplied(step=12, command="pause", value=None, source="x", id="1"))
        app.look()
        await seen(app, pilot, "◆")
        line = next(line for line in app.lines() if "◆" in line)
        assert axis.size.width > 40
        assert not set("step") & set(line.split()[-1]), line

    play(GradientsTab(), state, script, (120, 32))


def test_a_click_on_the_picture_chooses_the_part_and_reads_its_value() -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        heat, blocks = app.query_one(HeatMap), app.query_one(BlockList)
        await pilot.click(heat, offset=(heat.size.width // 2, heat.size.height - 3))
        await until(pilot, lambda: (blocks.part or 0) > 560)
        await seen(app, pilot, "stage3.block18", "0.500 at step 2")

    play(GradientsTab(), state_of(1202, readings=4), script, (160, 40))


@pytest.mark.parametrize(("size", "depth"), [((20, 5), 110), ((40, 12), 8), ((80, 24), 110), ((200, 60), 8)])
def test_half_filled_states_show_why_and_never_raise(size: tuple[int, int], depth: int) -> None:
    made = MadeRun()
    started, built = made.begin()
    assert isinstance(built, ModelBuilt)

    async def script(app: Host, pilot: Pilot[None]) -> None:
        for event in (started, built, GradNorms(step=1, norms=(0.0, math.nan), total=math.nan)):
            app.state.apply(event)
            for axis in ("step", "epoch", "time"):
                app.look(axis=axis, window=None)
                app.look(window=(0.0, 0.5), cursor=0.25)
                app.look(window=(3.0, 3.0), cursor=-1.0)
                await pilot.pause()
            await pilot.press("o", "enter", "escape", "end", "enter", "escape")
        app.state = state_of(depth, lambda part, step: math.inf if step == 12 else 10.0 ** (step - 30))
        app.look(window=None, cursor=None)
        await pilot.pause()

    play(GradientsTab(), RunState(), script, size)


def test_norms_that_are_switched_off_are_said_to_be() -> None:
    from dataclasses import replace

    from engine.config_file import build_config
    from engine.events import RunStarted

    started, built = MadeRun().begin()
    assert isinstance(started, RunStarted)
    state = RunState()
    state.apply(replace(started, config=build_config({"telemetry": {"gradient_norms": False}}, {})))
    state.apply(built)

    async def script(app: Host, pilot: Pilot[None]) -> None:
        await seen(app, pilot, "switched off")

    play(GradientsTab(), state, script)


def test_without_colour_the_picture_is_characters_and_marks_stand_on_the_axis(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    state = state_of(20, lambda part, step: 0.001 if part == "stage2.block2" and step > 6 else 1.0)
    state.apply(ControlApplied(step=6, command="set_learning_rate", value=0.1, source="x", id="1"))

    async def script(app: Host, pilot: Pilot[None]) -> None:
        panel = app.panel
        panel.styles.width, panel.styles.height = 50, 14
        await seen(app, pilot, "◆", "s2.b2")
        app.look(cursor=10.0)
        await seen(app, pilot, "┴", "│")
        app.look(cursor=None)
        await until(pilot, lambda: "┴" not in app.text)
        lines = app.lines()
        row = next(line for line in lines if line.lstrip().startswith("s2.b2"))
        cells = row.split()[-1]
        assert set(cells[:10]) == {"@"}, "large norms first"
        assert set(cells[-10:]) == {"."}, "small ones after"
        other = next(line for line in lines if line.lstrip().startswith("s2.b3"))
        assert set(other.split()[-1]) == {"@"}
        axis = next(line for line in lines if "◆" in line)
        assert abs(axis.index("◆") - row.index("@.")) <= 2, "the change stands where the norms fall"
        assert lines[13].split()[0] == "0.001"
        assert lines[13].split()[-1].startswith("1")

    play(HeatMap(), state, script)


def test_the_list_and_the_picture_stand_row_by_row_where_all_parts_fit() -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await seen(app, pilot, "head")
        names = [i for i, line in enumerate(app.lines()) if line.lstrip().startswith(("stem", "stage", "head"))]
        assert app.query_one(HeatMap).rows_each() == 2
        assert {b - a for a, b in pairwise(names)} == {2}

    play(GradientsTab(), state_of(20), script, (120, 32))


def test_flags_do_not_take_frozen_parts_for_vanished_or_the_others_for_exploding() -> None:
    history = GradientHistory(("a", "b", "c", "d"))
    for step in range(5):
        history.add(step, step, (0.0, 0.0, 0.0, 1.0))
    assert history.flags() == ("none", "none", "none", "")
    history.add(6, 6, (1.0, 1.0, 1.0, 1.0))
    assert history.flags() == ("", "", "", ""), "thawed"
    for step in range(7, 12):
        history.add(step, step, (1.0, 1e-3, 1.0, 1e3))
    assert history.flags() == ("", "vanishing", "", "exploding")


def test_the_scale_stays_while_readings_come_and_ignores_zeros() -> None:
    history = GradientHistory(tuple(map(str, range(50))))
    for step in range(1000):
        history.add(step, step, [0.0, *(0.02 + part / 50 for part in range(49))])
    low, high = history.spread()
    assert -1.8 < low < -1.3
    assert -0.1 < high < 0.1


def test_the_cursor_reads_the_norms_of_that_moment() -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        app.look(cursor=4.0)
        await seen(app, pilot, "step 4", "4.00")
        app.look(axis="epoch", cursor=0.7)
        await seen(app, pilot, "epoch 0.7", "7.00")
        app.look(axis="step", cursor=None)
        await seen(app, pilot, "flagged")

    play(GradientsTab(), state_of(20, lambda part, step: float(step)), script)


def test_lists_scroll_to_what_is_chosen() -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await pilot.press("end")
        await seen(app, pilot, "stage3.block200")
        await pilot.press("home", "pagedown", "up")
        rows = app.query_one(BlockList)
        assert isinstance(rows, Rows)
        await until(pilot, lambda: 5 < rows.cursor < 30)

    play(GradientsTab(), state_of(1202, readings=2), script)


def test_showing_is_cheap_for_the_deepest_network() -> None:
    import time

    state = state_of(1202, readings=40)

    async def script(app: Host, pilot: Pilot[None]) -> None:
        best = math.inf
        for step in range(50, 60):
            state.apply(GradNorms(step=step, norms=(0.1,) * 602, total=1.0))
            begin = time.perf_counter()
            app.panel.show(state, View())
            for widget in (app.query_one(HeatMap), app.query_one(BlockList)):
                for y in range(widget.size.height):
                    widget.render_line(y)
            best = min(best, time.perf_counter() - begin)
        assert best < 0.1, "ten times what it takes"

    play(GradientsTab(), state, script, (120, 40))
