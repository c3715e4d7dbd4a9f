"""The dashboard in a terminal of its own: it is quick to leave, leaves nothing behind, and keeps to what is there."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest
from support import run_cli, tiny, train
from terminal_support import Terminal, resnet_tui

from engine.run_dir import RunDir, iterate


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """Train a tiny run to its end."""
    runs = tmp_path_factory.mktemp("runs")
    train(tiny(train__epochs=3), runs)
    (run,) = iterate(runs)
    return run


def watching(run: RunDir, *options: str, **environment: str) -> Terminal:
    settings = run.path.parent / "config"
    return Terminal(resnet_tui("watch", str(run.path), *options), settings=settings, environment=environment)


@pytest.mark.parametrize("key", ["q", "\x11", "\x03"], ids=["q", "ctrl-q", "ctrl-c"])
def test_leaving_is_quick_and_restores_the_terminal(run: RunDir, key: str) -> None:
    with watching(run) as terminal:
        terminal.wait_for(b"completed")
        terminal.press(key)
        assert terminal.wait_end() == 0
        assert terminal.restored() == []
        assert b"Traceback" not in terminal.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_ends_it_in_order(run: RunDir, number: signal.Signals) -> None:
    with watching(run) as terminal:
        terminal.wait_for(b"completed")
        terminal.kill(number)
        assert terminal.wait_end() == 128 + number
        assert terminal.restored() == []


def test_a_signal_ends_a_screen_where_nothing_moves_and_the_settings_are_kept(tmp_path: Path) -> None:
    for attempt in range(3):  # who has no processor for a second and a half ends all the same, without them
        config = tmp_path / str(attempt)
        with Terminal(resnet_tui(), cwd=tmp_path, settings=config) as terminal:
            terminal.wait_for(b"New run")
            terminal.wait_for(b"stage3")  # the preview, after which nothing is drawn any more
            while terminal.read(0.5):
                pass
            terminal.kill(signal.SIGTERM)
            assert terminal.wait_end() == 128 + signal.SIGTERM
            assert terminal.restored() == []
        if (config / "dashboard.toml").exists():
            return
    raise AssertionError("no settings are kept")


def test_a_signal_in_the_first_instant_leaves_no_wreck(run: RunDir) -> None:
    with watching(run) as terminal:
        terminal.wait_for(b"\x1b[?1049h")  # the terminal was taken just now
        terminal.kill(signal.SIGTERM)
        assert terminal.wait_end() == 128 + signal.SIGTERM
        assert terminal.restored() == []


def test_being_continued_without_having_been_stopped_changes_nothing(run: RunDir) -> None:
    with watching(run) as terminal:
        terminal.wait_for(b"completed")
        terminal.kill(signal.SIGCONT)
        terminal.read(0.3)
        terminal.press("q")
        assert terminal.wait_end() == 0
        assert terminal.restored() == []


def test_a_terminal_that_is_closed_leaves_no_process(run: RunDir) -> None:
    terminal = watching(run)
    terminal.wait_for(b"completed")
    terminal.hang_up()
    deadline = time.monotonic() + 10
    while os.waitpid(terminal.pid, os.WNOHANG) == (0, 0):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_ascii_only_means_every_byte(run: RunDir) -> None:
    with watching(run, "--ascii") as terminal:
        terminal.wait_for(b"completed")
        for tab in "1234567?":
            since = terminal.press(tab)
            terminal.wait_for(lambda seen: len(seen) > 100, since=since)
            terminal.read(0.3)
        assert terminal.output.isascii()


def test_sixteen_colours_are_enough(run: RunDir) -> None:
    with watching(run, TERM="xterm", COLORTERM="") as terminal:
        terminal.wait_for(b"completed")
        terminal.press("3")
        terminal.wait_for(b"stage1")
        terminal.read(0.3)
        assert not re.findall(rb"[34]8;[25];", terminal.output)


def test_no_color_means_none(run: RunDir) -> None:
    with watching(run, NO_COLOR="1") as terminal:
        terminal.wait_for(b"completed")
        terminal.press("3")
        terminal.wait_for(b"stage1")
        terminal.read(0.3)
        for red, green, blue in re.findall(rb"[34]8;2;(\d+);(\d+);(\d+)", terminal.output):
            assert red == green == blue  # shades of grey


def test_it_redraws_when_the_terminal_becomes_tiny_and_large_again(run: RunDir) -> None:
    import fcntl
    import struct
    import termios

    with watching(run) as terminal:
        terminal.wait_for(b"completed")
        for columns, rows in ((20, 5), (1, 1), (200, 60), (80, 24)):
            fcntl.ioctl(terminal.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            terminal.kill(signal.SIGWINCH)
            since = len(terminal.output)
            terminal.wait_for(lambda seen: len(seen) > 10, since=since)
        terminal.press("q")
        assert terminal.wait_end() == 0


@pytest.mark.parametrize("arguments", [("watch", "last"), ("replay", "last"), ()], ids=["watch", "replay", "alone"])
def test_without_a_terminal_it_says_so(run: RunDir, arguments: tuple[str, ...]) -> None:
    said = run_cli(*arguments, cwd=run.path.parent.parent, RESNET_TUI_RUNS=str(run.path.parent))
    assert said.returncode == 2
    assert "Traceback" not in said.stderr
    if arguments:
        assert "needs a terminal" in said.stderr
    else:
        assert "Usage:" in said.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("watch", "none-such"), "'none-such' is no run"),
        (("replay", "last", "--speed", "fast"), "--speed 'fast': allowed: a number from 0.1 to 1000"),
        (("replay", "last", "--speed", "0"), "--speed '0': allowed"),
        (("replay",), "Missing argument"),
    ],
)
def test_bad_input_is_one_message(run: RunDir, arguments: tuple[str, ...], message: str) -> None:
    said = run_cli(*arguments, cwd=run.path.parent.parent, RESNET_TUI_RUNS=str(run.path.parent))
    assert said.returncode == 2
    assert message in said.stderr
    assert "Traceback" not in said.stderr


def test_training_goes_on_when_its_dashboard_is_killed(tmp_path: Path) -> None:
    arguments = ("train", "--dataset", "synthetic", "--depth", "8", "--epochs", "3000", "--device", "cpu")
    with Terminal(resnet_tui(*arguments), cwd=tmp_path, settings=tmp_path / "config") as terminal:
        terminal.wait_for(b"training", timeout=60)
        terminal.kill(signal.SIGKILL)
        terminal.wait_end()
    (run,) = iterate(tmp_path / "runs")
    try:
        size = run.events.stat().st_size
        deadline = time.monotonic() + 30
        while run.events.stat().st_size == size:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert run.is_alive()
    finally:
        from engine.control import StopNow, post

        post(run.control, StopNow())
    deadline = time.monotonic() + 30
    while run.is_alive():
        assert time.monotonic() < deadline
        time.sleep(0.05)
