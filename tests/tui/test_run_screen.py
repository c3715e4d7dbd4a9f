"""From keys to the engine and back: the run screen on real runs, its own and those of others."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from support import of, tiny
from textual.pilot import Pilot
from tui_support import dashboard, drive, only_run, recorded, run_screen, text_of, until

from engine.config import RunConfig
from engine.events import CheckpointSaved, ControlApplied, Evaluated, RunFinished, Warned
from engine.run_dir import RunDir
from resnet_tui.run.replay import SPEEDS, ReplayFeed
from resnet_tui.run.source import NewRun, ReplayedRun, WatchedRun
from resnet_tui.screens.run_tabs import FILES, TABS


def endless() -> RunConfig:
    return tiny(train__epochs=5000)


async def started(pilot: Pilot[None], state: str = "training") -> RunDir:
    screen = run_screen(pilot)
    await until(pilot, lambda: screen.doing == state)
    assert screen.run_dir is not None
    return screen.run_dir


async def typed(pilot: Pilot[None], text: str) -> None:
    await pilot.press("ctrl+u", *("full_stop" if c == "." else c for c in text), "enter")


async def quit_with(pilot: Pilot[None], key: str) -> None:
    """Quit and answer the dialog with ``key``."""
    await pilot.press("q")
    await until(pilot, lambda: "Leave it running" in text_of(pilot))
    await pilot.press(key)
    await until(pilot, lambda: not pilot.app.is_running)


def applied(folder: Path) -> list[str]:
    return [event.command for event in of(recorded(folder), ControlApplied)]


def test_a_run_that_cannot_write_says_what_it_waits_for_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        async with dashboard(tmp_path, monkeypatch, NewRun(endless())) as pilot:
            screen = run_screen(pilot)
            run = await started(pilot)
            await pilot.press("p")  # while it trains, it makes the file anew at the end of each epoch
            await until(pilot, lambda: screen.doing == "paused")
            metrics = run.metrics.rename(run.path / "aside")
            run.metrics.mkdir()  # what cannot be written, not even by root
            await pilot.press("p")
            await until(pilot, lambda: screen.doing == "waiting")
            await until(pilot, lambda: "! waiting" in text_of(pilot))
            assert (
                "metrics.csv cannot be written: Is a directory; the run goes on once that can be written"
                in text_of(pilot)
            )
            run.metrics.rmdir()
            metrics.rename(run.metrics)
            await until(pilot, lambda: screen.doing in {"training", "evaluating"})
            await until(
                pilot, lambda: any("waited" in event.message for event in of(recorded(run.path.parent), Warned))
            )
            step = screen.state.summary.step
            await until(pilot, lambda: screen.state.summary.step > step)
            await quit_with(pilot, "s")

    drive(test)


def test_every_action_reaches_the_engine_and_is_said_to_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = tmp_path / "runs"

    async def test() -> None:
        async with dashboard(tmp_path, monkeypatch, NewRun(endless())) as pilot:
            screen = run_screen(pilot)
            assert screen.doing == "starting"
            await started(pilot)
            await pilot.press("p")
            await until(pilot, lambda: screen.doing == "paused")
            await until(pilot, lambda: "✓ pause: the engine took it" in text_of(pilot))
            await pilot.press("c")
            await until(pilot, lambda: "✓ saved checkpoints/last.safetensors at step" in text_of(pilot))
            await pilot.press("r")
            await typed(pilot, "0.0125")
            await until(pilot, lambda: "✓ learning rate 0.0125: the engine took it" in text_of(pilot))
            await pilot.press("a")
            await typed(pilot, "7")
            await until(pilot, lambda: "✓ 7 more epochs: the engine took it" in text_of(pilot))
            assert screen.state.summary.epochs == 5007
            for key, value in (("r", "-1"), ("r", "fast"), ("a", "0"), ("a", "1.5")):
                await pilot.press(key)
                await typed(pilot, value)
                await until(pilot, lambda: "allowed:" in text_of(pilot))
                await pilot.press("escape")
                await until(pilot, lambda: pilot.app.screen is screen)
            await pilot.press("p")
            await until(pilot, lambda: screen.doing in {"training", "evaluating"})
            evaluated = len(of(recorded(runs), Evaluated))
            await pilot.press("e")
            await until(pilot, lambda: "✓ evaluation: the engine took it" in text_of(pilot))
            await until(pilot, lambda: len(of(recorded(runs), Evaluated)) > evaluated)
            await pilot.press("s")
            await pilot.press("enter")  # the first choice: after this epoch
            await until(pilot, lambda: screen.doing == "stopped")
        events = recorded(runs)
        asked = [event.command for event in of(events, ControlApplied)]
        assert asked == [
            "pause",
            "checkpoint_now",
            "set_learning_rate",
            "extend_epochs",
            "resume",
            "evaluate_now",
            "stop_after_epoch",
        ]
        assert {event.source for event in of(events, ControlApplied)} == {f"dashboard {os.getpid()}"}
        assert of(events, CheckpointSaved)
        (finished,) = of(events, RunFinished)
        assert finished.outcome == "stopped"

    drive(test)


def test_a_run_that_is_left_trains_on_and_once_killed_is_lost_within_five_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"

    async def leave() -> None:
        async with dashboard(tmp_path, monkeypatch, NewRun(endless())) as pilot:
            await started(pilot)
            await quit_with(pilot, "l")

    async def come_back() -> None:
        async with dashboard(tmp_path, monkeypatch, WatchedRun(only_run(runs))) as pilot:
            await started(pilot)
            screen = run_screen(pilot)
            step = screen.state.summary.step
            await until(pilot, lambda: screen.state.summary.step > step)
            started_event = screen.state.started
            assert started_event is not None
            os.kill(started_event.process, signal.SIGKILL)
            await until(pilot, lambda: screen.doing == "lost", timeout=5)
            await until(pilot, lambda: "lost" in text_of(pilot))
            assert not screen.can_act

    drive(leave)
    assert only_run(runs).is_alive()
    assert applied(runs) == []
    drive(come_back)


def test_a_run_that_cannot_begin_says_why_and_the_dashboard_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        source = NewRun(tiny(train__device="cuda:7"))
        async with dashboard(tmp_path, monkeypatch, source) as pilot:
            screen = run_screen(pilot)
            await until(pilot, lambda: screen.doing == "failed")
            await until(pilot, lambda: "train.device = 'cuda:7': not on this machine" in text_of(pilot))
            await pilot.press("q")
            await until(pilot, lambda: not pilot.app.is_running)  # nothing to ask about

    drive(test)


def test_two_viewers_see_what_one_of_them_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = tmp_path / "runs"

    async def test() -> None:
        async with dashboard(tmp_path, monkeypatch, NewRun(endless())) as first:
            run = await started(first)
            async with dashboard(tmp_path, monkeypatch, WatchedRun(run, readonly=True)) as second:
                await until(second, lambda: run_screen(second).doing in {"training", "evaluating"})
                await until(second, lambda: "read-only" in text_of(second))
                await second.press("p", "c", "s")
                await second.pause()
                assert second.app.screen is run_screen(second)  # no dialog either
                await first.press("p")
                for pilot in (first, second):
                    await until(pilot, lambda pilot=pilot: run_screen(pilot).doing == "paused")  # type: ignore[misc]
                await first.press("r")
                await typed(first, "0.001")
                for pilot in (first, second):
                    await until(
                        pilot,
                        lambda pilot=pilot: (
                            [c.text for c in run_screen(pilot).state.changes]  # type: ignore[misc]
                            == ["pause", "set learning rate 0.001"]
                        ),
                    )
                await first.press("p")
                await until(second, lambda: run_screen(second).doing in {"training", "evaluating"})
                await quit_with(first, "s")  # stop it now
                await until(second, lambda: run_screen(second).doing == "stopped")
        assert applied(runs) == ["pause", "set_learning_rate", "resume", "stop_now"]

    drive(test)


@pytest.mark.parametrize("size", [(80, 24), (200, 60), (20, 5)])
def test_every_tab_draws_at_every_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished_run: RunDir, size: tuple[int, int]
) -> None:
    async def test() -> None:
        async with dashboard(tmp_path, monkeypatch, WatchedRun(finished_run), size=size) as pilot:
            screen = run_screen(pilot)
            await until(pilot, lambda: screen.doing == "completed")
            for digit, tab in enumerate(TABS, 1):
                await pilot.press(str(digit))
                await until(pilot, lambda tab=tab: screen.tab == tab)  # type: ignore[misc]
                for key in ("x", "l", "left_square_bracket", "plus", "left", "right", "0", "escape", "down", "up"):
                    await pilot.press(key)
            if size[0] >= 80:
                await pilot.press("1")
                await until(pilot, lambda: "loss" in text_of(pilot) and "accuracy" in text_of(pilot))

    drive(test)


def test_a_replay_plays_stands_still_seeks_and_ends_as_the_run_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished_run: RunDir
) -> None:
    async def test() -> None:
        async with dashboard(tmp_path, monkeypatch, ReplayedRun(finished_run, speed=500)) as pilot:
            screen = run_screen(pilot)
            await until(pilot, lambda: screen.doing == "completed")
            whole = screen.state.summary
            assert not screen.can_act
            feed = screen.feed
            assert isinstance(feed, ReplayFeed)
            await pilot.press(*["less_than_sign"] * 12)
            assert feed.speed == SPEEDS[0]
            await pilot.press("space")  # from the start again
            await until(pilot, lambda: not feed.ended)
            await pilot.press("space")
            assert feed.paused
            await until(pilot, lambda: screen.state.summary is not whole)
            assert screen.state.summary.outcome is None
            for _ in range(21):
                before = feed.position
                await pilot.press("shift+right")
                await until(pilot, lambda before=before: feed.position > before or feed.ended)  # type: ignore[misc]
            await until(pilot, lambda: screen.doing == "completed")
            assert screen.state.summary.rows == whole.rows
            await pilot.press("shift+left")
            await until(pilot, lambda: screen.doing != "completed")

    drive(test)


def test_the_view_is_kept_for_the_next_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished_run: RunDir
) -> None:
    async def test() -> None:
        async with dashboard(tmp_path, monkeypatch, WatchedRun(finished_run)) as pilot:
            await pilot.press("3", "x", "l")
            await until(pilot, lambda: run_screen(pilot).tab == "gradients")
            await pilot.press("q")
        async with dashboard(tmp_path, monkeypatch, WatchedRun(finished_run)) as pilot:
            screen = run_screen(pilot)
            assert (screen.tab, screen.view.axis, screen.view.log) == ("gradients", "epoch", True)

    drive(test)


def test_keys_can_be_given_other_meanings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished_run: RunDir
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "keys.toml").write_text('[keys]\n"view.axis" = "w"\n')

    async def test() -> None:
        async with dashboard(tmp_path, monkeypatch, WatchedRun(finished_run)) as pilot:
            await pilot.press("x")
            assert run_screen(pilot).view.axis == "step"
            await pilot.press("w")
            assert run_screen(pilot).view.axis == "epoch"
            await pilot.press("question_mark")
            await until(pilot, lambda: "view.axis" in text_of(pilot))

    drive(test)


def test_no_tab_minds_being_resized_while_it_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished_run: RunDir
) -> None:
    async def test() -> None:
        async with dashboard(tmp_path, monkeypatch, WatchedRun(finished_run)) as pilot:
            screen = run_screen(pilot)
            await until(pilot, lambda: screen.doing == "completed")
            for digit in range(1, len(TABS) + 1):
                await pilot.press(str(digit))
                for size in ((20, 5), (200, 60), (33, 9)):
                    await pilot.resize_terminal(*size)
                    await until(pilot, lambda size=size: tuple(pilot.app.size) == size)  # type: ignore[misc]

    drive(test)


def test_asking_for_tabs_at_the_same_moment_makes_none_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished_run: RunDir
) -> None:
    """A run begins, which makes the tabs that read its files anew, while keys are pressed."""

    async def test() -> None:
        async with dashboard(tmp_path, monkeypatch, WatchedRun(finished_run)) as pilot:
            screen = run_screen(pilot)
            await until(pilot, lambda: screen.doing == "completed")
            for tab in sorted(FILES):
                await asyncio.gather(screen.action_tab(tab), screen.action_tab(tab))
                await asyncio.gather(screen.tabs.make_anew(FILES), screen.action_tab(tab))
                assert screen.tabs.current == screen.tab == tab
                there = [panel.id for panel in screen.tabs.children]
                assert sorted(there) == sorted({"overview", tab})  # type: ignore[type-var]

    drive(test)
