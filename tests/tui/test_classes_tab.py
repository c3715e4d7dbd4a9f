"""The classes tab: bars, confusion matrix, confused pairs and wrong pictures, at every size and without colours."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from made_run import MadeRun
from tab_support import TabApp, opened
from textual.color import Color
from tui_support import drive, text_of, until

from engine import mistakes
from engine.events import Evaluated, RunStarted, Split
from engine.mistakes import Mistake, Mistakes
from engine.run_dir import RunDir
from resnet_tui.tabs.classes import ClassesTab
from resnet_tui.widgets import pixels
from resnet_tui.widgets.confusion import ConfusionGrid
from resnet_tui.widgets.thumbnails import Thumbnails

ANIMALS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def started(classes: Sequence[str] = ANIMALS) -> RunStarted:
    (event, *_) = MadeRun().begin()
    assert isinstance(event, RunStarted)
    return replace(event, classes=tuple(classes))


def evaluated(
    epoch: int,
    confused: dict[tuple[int, int], int],
    *,
    classes: int = 10,
    split: Split = "test",
    a_class: int = 100,
    empty: Sequence[int] = (),
) -> Evaluated:
    """Return an evaluation of ``a_class`` images a class, right but for ``confused`` by true and predicted label."""
    rows = [[0] * classes for _ in range(classes)]
    for label in range(classes):
        rows[label][label] = 0 if label in empty else a_class
    for (true, predicted), count in confused.items():
        rows[true][true] -= count
        rows[true][predicted] += count
    images = sum(map(sum, rows))
    return Evaluated(
        seq=epoch * 10,
        step=epoch * 10,
        epoch=epoch,
        split=split,
        loss=0.5,
        accuracy=sum(rows[i][i] for i in range(classes)) / images,
        top5=None,
        per_class=tuple(row[i] / sum(row) if sum(row) else math.nan for i, row in enumerate(rows)),
        confusion=tuple(map(tuple, rows)),
        images=images,
        seconds=1.0,
    )


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path)


@pytest.fixture(autouse=True)
def _many_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")


def wrong(*pictures: bytes, shape: tuple[int, ...] = (3, 2, 2), epoch: int = 1) -> Mistakes:
    items = tuple(
        Mistake(index=i, label=3, predicted=5, confidence=0.987, pixels=picture) for i, picture in enumerate(pictures)
    )
    return Mistakes(step=epoch * 10, epoch=epoch, split="test", shape=shape, mistakes=items)


def test_each_part_is_reached_on_a_small_terminal() -> None:
    async def test() -> None:
        app = TabApp(ClassesTab(None))
        async with opened(app, size=(80, 24)) as pilot:
            app.draw()
            await until(pilot, lambda: "no evaluation yet" in text_of(pilot))
            app.feed(started(), evaluated(1, {(3, 5): 12, (0, 8): 7}))
            await until(pilot, lambda: "automobile" in text_of(pilot))
            await until(pilot, lambda: "88.00 %" in text_of(pilot))
            await pilot.press("m")
            await until(pilot, lambda: "cat taken for dog: 12 of 100 (12.0 %)" in text_of(pilot))
            await until(pilot, lambda: "airpl autom  bird" in text_of(pilot))
            await pilot.press("up")
            await until(pilot, lambda: "bird taken for dog: 0 of 100 (0.0 %)" in text_of(pilot))
            await pilot.press("down", *["ctrl+left"] * 2)
            await until(pilot, lambda: "cat right: 88 of 100" in text_of(pilot))
            await pilot.press("m")
            await until(pilot, lambda: "cat        → dog" in text_of(pilot))
            lines = [line.split() for line in text_of(pilot).splitlines() if "→" in line]
            assert lines == [
                ["cat", "→", "dog", "12.0", "%", "(12", "of", "100)"],
                ["airplane", "→", "ship", "7.0", "%", "(7", "of", "100)"],
            ]
            await pilot.press("m")
            await until(pilot, lambda: "no pictures: this run has kept none yet" in text_of(pilot))

    drive(test)


def test_bars_sort_by_accuracy_say_the_change_and_know_empty_classes() -> None:
    async def test() -> None:
        app = TabApp(ClassesTab(None))
        async with opened(app, size=(120, 40)) as pilot:
            first, second = evaluated(1, {(3, 5): 40}), evaluated(2, {(3, 5): 10, (4, 5): 5}, empty=[9])
            app.feed(started(), first, second, one_by_one=True)
            await until(pilot, lambda: "no images" in text_of(pilot))
            seen = text_of(pilot)
            assert "▲ 30.00" in seen
            assert "▼ 5.00" in seen
            assert "change since epoch 1" in seen
            assert "airplane" in seen.splitlines()[2]
            await pilot.press("o")
            await until(pilot, lambda: "cat" in text_of(pilot).splitlines()[2])
            assert "truck" in text_of(pilot).splitlines()[11], "a class without images comes last"

    drive(test)


def test_splits_are_switched_where_there_are_several() -> None:
    async def test() -> None:
        app = TabApp(ClassesTab(None))
        async with opened(app, size=(120, 40)) as pilot:
            app.feed(started(), evaluated(1, {(0, 1): 1}, split="test"))
            await until(pilot, lambda: "test, epoch 1" in text_of(pilot))
            await until(pilot, lambda: "v split" not in text_of(pilot))
            app.feed(evaluated(1, {(0, 1): 50}, split="train"))
            await pilot.press("v")
            await until(pilot, lambda: "train, epoch 1: accuracy 95.00 %" in text_of(pilot))
            await pilot.press("v")
            await until(pilot, lambda: "test, epoch 1: accuracy 99.90 %" in text_of(pilot))

    drive(test)


@pytest.mark.parametrize("size", [(20, 5), (80, 24), (120, 40), (200, 60)])
def test_a_hundred_classes_are_shaded_and_named_under_the_mouse(size: tuple[int, int]) -> None:
    async def test() -> None:
        names = [f"kind {i}" for i in range(100)]
        app = TabApp(ClassesTab(None))
        async with opened(app, size=size) as pilot:
            app.feed(started(names), evaluated(1, {(7, 3): 60}, classes=100))
            if size < (100, 24):
                await pilot.press("m")
            grid = app.query_one(ConfusionGrid)
            await until(pilot, lambda: grid.named() == "kind 7 taken for kind 3: 60 of 100 (60.0 %)")
            assert not grid.numbered
            if size != (20, 5):
                await until(pilot, lambda: "▀" in text_of(pilot))
                lines = text_of(pilot).splitlines()
                row = next(y for y, line in enumerate(lines) if "kind 12 " in line and "▀" in line)
                column = lines[row].rindex("kind 12 ") + len("kind 12 ")
                await pilot.hover(offset=(column + 12, row))  # the class itself, or the one that shares its line
                await until(pilot, lambda: grid.named().startswith(("kind 12 right: 100", "kind 12 taken for")))

    drive(test)


def test_pictures_have_their_colours_and_say_what_they_are_of(run: RunDir) -> None:
    # A row of red, green and a row of blue, white.
    red, green, blue = bytes([255, 0, 0, 255]), bytes([0, 255, 0, 255]), bytes([0, 0, 255, 255])
    mistakes.write(run.mistakes, wrong(red + green + blue))

    async def test() -> None:
        app = TabApp(ClassesTab(run))
        async with opened(app, size=(80, 24)) as pilot:
            app.feed(started(), evaluated(1, {(3, 5): 1}))
            await pilot.press("m", "m", "m")
            await until(pilot, lambda: "cat → dog" in text_of(pilot))
            await until(pilot, lambda: "98.7 % sure" in text_of(pilot))
            view = app.query_one(Thumbnails)
            assert view.border_title == "wrong pictures of test, epoch 1, most confident first"

            def colours(row: int) -> list[tuple[Color, Color]]:
                return [
                    (Color.from_rich_color(s.style.color), Color.from_rich_color(s.style.bgcolor))
                    for s in view.line(row)[:16]
                    if s.style is not None and s.style.color is not None and s.style.bgcolor is not None
                ]

            red_, green_, blue_ = Color(255, 0, 0), Color(0, 255, 0), Color(0, 0, 255)
            assert colours(0) == [(red_, red_)] * 8 + [(green_, green_)] * 8
            assert colours(7)[:8] == [(blue_, blue_)] * 8
            assert colours(7)[8:] == [(Color(255, 255, 255), Color(255, 255, 255))] * 8

    drive(test)


def test_pictures_are_characters_where_there_are_no_colours(run: RunDir) -> None:
    mistakes.write(run.mistakes, wrong(bytes([0, 255, 0, 255]), shape=(1, 2, 2)))

    async def test() -> None:
        app = TabApp(ClassesTab(run), ascii_only=True)
        async with opened(app, size=(80, 24)) as pilot:
            app.feed(started(), evaluated(1, {(3, 5): 1}))
            await pilot.press("m", "m", "m")
            await until(pilot, lambda: " " * 8 + "@" * 8 in text_of(pilot))
            await until(pilot, lambda: "▀" not in text_of(pilot))

    drive(test)


def test_pictures_follow_the_evaluations_and_features_have_none(run: RunDir) -> None:
    mistakes.write(run.mistakes, wrong(bytes(12)))

    async def test() -> None:
        app = TabApp(ClassesTab(run))
        async with opened(app, size=(200, 60)) as pilot:
            app.feed(started(), evaluated(1, {(3, 5): 1}))
            await until(pilot, lambda: "of test, epoch 1" in text_of(pilot))
            row = Mistake(index=0, label=1, predicted=0, confidence=0.5, values=(1.0, 2.0))
            mistakes.write(run.mistakes, Mistakes(step=20, epoch=2, split="test", shape=(2,), mistakes=(row,)))
            app.feed(evaluated(2, {(3, 5): 1}))
            await until(pilot, lambda: "no pictures: the data are features" in text_of(pilot))
            run.mistakes.write_bytes(b"\x00 damaged")
            app.feed(evaluated(3, {}))
            await until(pilot, lambda: "no pictures: this run has kept none yet" in text_of(pilot))
            await until(pilot, lambda: "no image was taken for another class" in text_of(pilot))

    drive(test)


def test_hostile_class_names_are_shown_as_text(run: RunDir) -> None:
    names = ["[/red]", "[@click=app.quit]x", "\x1b]52;c;x\x07", "日本語の名前", *ANIMALS[4:]]
    mistakes.write(run.mistakes, wrong(bytes(12)))

    async def test() -> None:
        app = TabApp(ClassesTab(run))
        async with opened(app, size=(200, 60)) as pilot:
            app.feed(started(names), evaluated(1, {(3, 2): 10, (0, 1): 5}))
            await until(pilot, lambda: "→ [@click=app.q" in text_of(pilot))
            await until(pilot, lambda: "日本" in text_of(pilot))
            assert "\x1b" not in text_of(pilot)

    drive(test)


def test_a_replay_that_went_back_shows_what_was_known_then() -> None:
    async def test() -> None:
        app = TabApp(ClassesTab(None))
        async with opened(app, size=(80, 24)) as pilot:
            app.feed(started(), evaluated(2, {(0, 1): 1}))
            await until(pilot, lambda: "epoch 2" in text_of(pilot))
            app.state = type(app.state)()
            app.feed(started())
            await until(pilot, lambda: "no evaluation yet" in text_of(pilot))

    drive(test)


def test_areas_are_averaged_and_proportions_kept() -> None:
    grey = pixels.scaled(bytes([0, 100, 200, 100, 0, 0, 0, 0]), (1, 2, 4), 2)
    assert grey == [[(25, 25, 25), (75, 75, 75)]]
    levels = bytes(range(0, 90, 10))
    assert [[pixel[0] for pixel in row] for row in pixels.scaled(levels, (1, 3, 3), 2)] == [[13, 27], [53, 67]]
