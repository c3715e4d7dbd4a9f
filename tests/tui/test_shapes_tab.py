"""The shapes tab, and its table alone, as a person uses them."""

from panel_support import Host, parts, play, rows, seen, state_of
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from tui_support import drive, text_of, until

from engine.events import GradNorms
from resnet_tui.run.state import RunState
from resnet_tui.tabs.shapes import ShapesTab
from resnet_tui.widgets.shape_nodes import everything, tree
from resnet_tui.widgets.shape_tree import ShapeRows, ShapeTree


def test_every_operation_is_in_the_tree_once_and_sums_agree() -> None:
    for depth in (8, 20):
        tops = tree(rows(depth))
        leaves = [node.row for node in everything(tops) if not node.children]
        assert leaves == list(rows(depth))
        for node in everything(tops):
            assert node.row.params == sum(row.params for row in node.operations)


def test_a_deep_network_begins_with_its_stages_and_unfolds() -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await seen(
            app, pilot, "▸ stage1", "200 blocks", "▸ stage3", "19,421,274 parameters", "2.83 G MACs", "11.0 GiB"
        )
        await pilot.press("down", "enter")
        await seen(app, pilot, "▾ stage1", "▸ block1")
        await pilot.press("down", "enter")
        await seen(app, pilot, "▾ block1", "conv1", "norm1")
        await pilot.press("down", "enter")
        await until(pilot, lambda: "BatchNorm2d" not in app.text)
        table = app.query_one(ShapeRows)
        assert table.node is not None
        assert table.node.row.name == "stage1.block1", "folding from within goes to what was folded"
        await pilot.press("space")
        await pilot.pause()
        assert "▸ block1" in app.text, "space is a replay's key"
        await pilot.press("u")
        await until(pilot, lambda: table.count > 4800)
        await pilot.press("end")
        await seen(app, pilot, "linear")
        await pilot.press("U")
        await until(pilot, lambda: table.count == 6)

    play(ShapesTab(), state_of(1202, readings=2), script)


def test_the_chosen_row_is_spelled_out() -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await seen(app, pilot, "(32 − 3 + 2×1)/1 + 1 = 32")
        table = app.query_one(ShapeRows)
        for _ in range(40):
            if table.node is not None and table.node.row.name == "stage2.block1":
                break
            await pilot.press("down")
        await seen(app, pilot, "16×32×32 → 32×16×16", "→ ⌊16.5⌋ = 16", "zero-pad")

    play(ShapesTab(), state_of(20), script, (120, 40))


def test_norms_stand_beside_their_parts_live_and_flagged() -> None:
    state = state_of(20, lambda part, step: 3e-5 if part == "stage3.block2" else 0.25)

    async def script(app: Host, pilot: Pilot[None]) -> None:
        await seen(app, pilot, "grad norm", "3.00e-5 ▼")
        for step in range(20, 25):
            state.apply(GradNorms(step=step, norms=(0.75,) * len(parts(20)), total=1.0))
        app.look()
        await seen(app, pilot, "0.750")
        assert "▼" not in app.text
        stage = next(line for line in app.lines() if "stage1" in line)
        assert "1.30" in stage, "a stage has the root of the sum of its blocks' squares"

    play(ShapesTab(), state, script, (120, 40))


def test_a_run_without_a_network_says_so_and_takes_keys() -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await pilot.press("down", "enter", "u", "U", "end")
        await seen(app, pilot, "the network is not")

    for size in ((20, 5), (80, 24), (200, 60)):
        play(ShapesTab(), RunState(), script, size)


def test_rows_stay_within_the_screen_at_every_width() -> None:
    for width in (40, 60, 80, 100, 120, 160, 200):

        async def script(app: Host, pilot: Pilot[None]) -> None:
            await seen(app, pilot, "stage1")
            if app.size.width >= 80:
                await seen(app, pilot, "output", "params", "grad norm")

        play(ShapesTab(), state_of(110, readings=2), script, (width, 24))


def test_the_table_stands_alone_and_takes_another_network() -> None:
    class Alone(App[None]):
        def compose(self) -> ComposeResult:
            yield ShapeTree(rows(8), 128)

    async def test() -> None:
        app = Alone()
        async with app.run_test(size=(100, 30)) as pilot:
            await until(pilot, lambda: "at batch 128" in text_of(pilot))
            await until(pilot, lambda: "grad norm" not in text_of(pilot))
            app.query_one(ShapeTree).focus()
            await pilot.press("down")
            app.query_one(ShapeTree).set_rows(rows(110), 64)
            await until(pilot, lambda: "18 blocks" in text_of(pilot) and "at batch 64" in text_of(pilot))

    drive(test)
