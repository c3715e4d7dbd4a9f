"""The log tab: everything that a run said, whatever it is, searched, filtered and followed."""

import re
from pathlib import Path
from typing import Any

import pytest
from support import tiny, train
from tab_support import TabApp
from textual.pilot import Pilot
from textual.widgets import Input
from tui_support import drive, only_run, text_of, until

from engine.run_dir import RunDir
from resnet_tui.run.log_tail import LONGEST, MOST_LINES
from resnet_tui.tabs.log import LogTab
from resnet_tui.widgets.log_view import LogView

STAMP = "2026-11-21T06:21:47+00:00 "


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path)


def lines_of(pilot: Pilot[Any]) -> list[str]:
    return [line.text for line in pilot.app.query_one(LogView).lines if line.level != "day"]


def append(run: RunDir, text: str) -> None:
    with run.log.open("a", encoding="utf-8") as file:
        file.write(text)


def test_the_log_of_a_real_run_is_shown_and_searched(tmp_path: Path) -> None:
    train(tiny(), tmp_path)
    run = only_run(tmp_path)

    async def test() -> None:
        app = TabApp(LogTab(run))
        async with app.run_test(size=(120, 40)) as pilot:
            wanted = ("ResNet-8", "epoch 2 of 2", "completed", "following")
            await until(pilot, lambda: all(text in text_of(pilot) for text in wanted))
            await until(pilot, lambda: app.focused is app.query_one(LogView))
            await pilot.press("slash")
            await until(pilot, lambda: app.focused is app.query_one(Input))
            await pilot.press(*"EPOCH 2")
            await until(pilot, lambda: re.search(r"match 1 of \d", text_of(pilot)))
            assert app.query_one(Input).value == "EPOCH 2"
            await until(pilot, lambda: "completed" in text_of(pilot))
            await pilot.press("tab", "space")
            await until(pilot, lambda: "completed" not in text_of(pilot))
            await until(pilot, lambda: "epoch 2 of 2" in text_of(pilot))
            await pilot.press("escape")
            await until(pilot, lambda: "completed" in text_of(pilot))
            assert app.focused is app.query_one(LogView)

    drive(test)


def test_hostile_lines_are_harmless(run: RunDir) -> None:
    run.log.write_bytes(
        b"[/red] [@click=app.quit]x[/]\n"
        b"\x1b]52;c;aGk=\x07 \x1b[31mred\x1b[0m \xe2\x80\xae reversed\n"
        b"\xff\xfe not UTF-8\n" + b"y" * (1 << 20) + b"\n10 %\r50 %\r100 %\r\n\ttabbed\n"
        b"2026-11-21T06:21:47+00:00 warning: [bold]careful[/bold]\n"
        b'Traceback (most recent call last):\n  File "x.py", line 1\nValueError: oh\nafter it\n'
        b"no end"
    )

    async def test() -> None:
        app = TabApp(LogTab(run))
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: "no end" in lines_of(pilot))
            lines = app.query_one(LogView).lines
            texts = [line.text for line in lines]
            assert not any(re.search("[\x00-\x1f\x7f-\x9f\u202e]", text) for text in texts)
            assert texts[0] == "[/red] [@click=app.quit]x[/]"
            assert len(texts[3]) == LONGEST + 1
            assert texts[4:6] == ["100 %", "    tabbed"]
            levels = {line.text: line.level for line in lines}
            assert levels["warning: [bold]careful[/bold]"] == "warning"
            assert levels["ValueError: oh"] == levels['  File "x.py", line 1'] == "error"
            assert levels["after it"] == ""
            await until(pilot, lambda: "06:21:47 ! warning: [bold]careful" in text_of(pilot))
            await until(pilot, lambda: "× ValueError: oh" in text_of(pilot))
            await pilot.press("home")
            await until(pilot, lambda: "[/red] [@click=app.quit]x[/]" in text_of(pilot))
            await pilot.press("w")
            await until(pilot, lambda: "after it" in text_of(pilot))  # the long line is one row

    drive(test)


def test_a_growing_log_is_followed_until_one_looks_back(run: RunDir) -> None:
    append(run, "".join(f"{STAMP}line {i}\n" for i in range(100)))

    async def test() -> None:
        app = TabApp(LogTab(run))
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: "line 99" in text_of(pilot))
            append(run, f"{STAMP}half a li")
            append(run, f"ne\n{STAMP}last\n")
            await until(pilot, lambda: "last" in text_of(pilot))
            await pilot.press("home")
            await until(pilot, lambda: "line 0\n" in text_of(pilot) and "more below" in text_of(pilot))
            append(run, f"{STAMP}newer\n")
            await until(pilot, lambda: lines_of(pilot)[-1] == "newer")
            await until(pilot, lambda: "line 0\n" in text_of(pilot))
            await pilot.press("end")
            await until(pilot, lambda: "newer" in text_of(pilot) and "following" in text_of(pilot))
            await pilot.resize_terminal(100, 12)
            await until(pilot, lambda: "newer" in text_of(pilot) and "following" in text_of(pilot))

    drive(test)


def test_memory_is_bounded_and_what_is_read_stays_in_sight(run: RunDir) -> None:
    append(run, "".join(f"line {i}\n" for i in range(MOST_LINES)))

    async def test() -> None:
        app = TabApp(LogTab(run))
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: lines_of(pilot)[-1:] == [f"line {MOST_LINES - 1}"])
            view = app.query_one(LogView)
            view.scroll_to(y=1000, animate=False, immediate=True, force=True)
            await until(pilot, lambda: "line 1000\n" in text_of(pilot))
            append(run, "".join(f"more {i}\n" for i in range(300)))
            await until(pilot, lambda: lines_of(pilot)[-1] == "more 299")
            assert len(view.lines) == MOST_LINES
            await until(pilot, lambda: text_of(pilot).splitlines()[0].strip() == "line 1000")

    drive(test)


def test_matches_are_visited_in_order_and_marked(run: RunDir) -> None:
    append(run, "".join(f"{STAMP}line {i}{' needle' if i % 50 == 0 else ''}\n" for i in range(200)))

    async def test() -> None:
        app = TabApp(LogTab(run))
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: "line 199" in text_of(pilot))
            await pilot.press("home", "slash", *"needle")
            await until(pilot, lambda: "match 1 of 4" in text_of(pilot))
            await pilot.press("down")
            await until(pilot, lambda: "match 2 of 4" in text_of(pilot) and "line 50 needle" in text_of(pilot))
            await pilot.press("down", "up", "up", "up")
            await until(pilot, lambda: "match 4 of 4" in text_of(pilot) and "line 150 needle" in text_of(pilot))
            view = app.query_one(LogView)
            row = next(i for i in range(view.virtual_size.height) if "150" in "".join(s.text for s in view.line(i)))
            marked = [s.text for s in view.line(row) if s.style is not None and s.style.bgcolor is not None]
            assert marked == ["needle"]
            append(run, f"{STAMP}one more needle\n")
            await until(pilot, lambda: "match 4 of 5" in text_of(pilot))
            await pilot.press(*" not there")
            await until(pilot, lambda: "no match" in text_of(pilot))

    drive(test)


@pytest.mark.parametrize("kept", [True, False])
def test_without_a_log_it_says_so_even_in_a_tiny_terminal(run: RunDir, kept: bool) -> None:
    async def test() -> None:
        app = TabApp(LogTab(run if kept else None))
        async with app.run_test(size=(20, 5)) as pilot:
            said = "nothing yet" if kept else "this run keeps no"
            await until(pilot, lambda: said in text_of(pilot))
            await pilot.press("w", "slash", "x", "enter", "escape")
            if kept:
                append(run, f"{STAMP}日本語 and words that are longer than a line\n")
                await until(pilot, lambda: "06:21:47" in text_of(pilot))

    drive(test)


def test_enter_keeps_the_search_and_gives_back_the_keys(run: RunDir) -> None:
    append(run, "".join(f"{STAMP}line {i}{' needle' if i % 50 == 0 else ''}\n" for i in range(200)))

    async def test() -> None:
        app = TabApp(LogTab(run))
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: "line 199" in text_of(pilot))
            await pilot.press("home", "slash", *"needle", "enter", "n")
            await until(pilot, lambda: "match 2 of 4" in text_of(pilot))
            await pilot.press("N", "N", "f")  # no letters any more, but keys
            await until(pilot, lambda: "match 4 of 4" in text_of(pilot) and "line 1\n" not in text_of(pilot))
            assert app.query_one(Input).value == "needle"
            await pilot.press("slash", "s", "enter", "escape")
            await until(pilot, lambda: len(set(text_of(pilot).split("line "))) > 10)
            assert app.query_one(Input).value == ""
            await pilot.press("slash", "enter")  # nothing is searched for: nothing stays
            await until(pilot, lambda: not app.query_one(LogTab).has_class("searching"))

    drive(test)
