"""No untrusted byte reaches the terminal as a command, no text breaks what shows it or becomes an action."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hostile_text import ACTIONS, FRAGMENTS, Hostile, assert_plain, commands, hostile_events, hostile_run
from made_run import MadeRun
from rich.console import Console
from support import Cases, Cli
from terminal_support import Terminal, resnet_tui
from textual.pilot import Pilot
from tui_support import dashboard, until

from engine.checkpoint import load_checkpoint, save_checkpoint
from engine.config_file import to_toml
from engine.data.listing import list_images
from engine.events import Event, Warned, decode, encode
from engine.run_dir import RunDir
from engine.sinks.console import ConsoleSink
from engine.sinks.log_file import LogFileSink
from engine.text import clean, one_line
from resnet_tui.charts import norms
from resnet_tui.run.class_scores import abbreviated, class_names, fitted
from resnet_tui.run.log_tail import LogTail
from resnet_tui.run.source import WatchedRun

ON_A_SCREEN = {b"CSI m", b"CSI K", b"CSI A", b"CSI ?h", b"CSI ?l", b"CSI G", b"CSI H", b"\n", b"\r"}
"""What rich uses to draw a table in colours and to draw it anew."""


def test_functions_and_consoles(cases: Cases, tmp_path: Path, figure: Callable[[str], None]) -> None:
    hostile, wanted = Hostile(1), cases(500, 20_000)
    while hostile.made < wanted:
        for text in hostile.texts(60):
            assert_plain(clean(text))
            assert_plain(one_line(text), besides="")
            assert_plain(norms.name(text) + norms.short(text), besides="")
            event = Warned(message=text)
            assert encode(event).isascii()
            assert decode(encode(event)) == event
        names = class_names(hostile.texts(60), 60)
        for width in (1, 4, 16):
            assert_plain(
                "".join(fitted(name, width) for name in names) + "".join(abbreviated(names, width)), besides=""
            )
        events = list(hostile_events(hostile, 12))
        assert commands(_shown(events, terminal=True)) <= ON_A_SCREEN
        assert commands(_shown(events, terminal=False)) <= {b"\n"}
        assert commands(_logged(events, tmp_path / str(hostile.made))) <= {b"\n"}
        (tmp_path / "log.txt").write_bytes("\n".join(hostile.texts(60)).encode())
        for line in _tail(tmp_path / "log.txt"):
            assert_plain(line, besides="")
    figure(f"{hostile.made:,} of {hostile.made:,} texts came out plain")


def _shown(events: list[Event], *, terminal: bool) -> bytes:
    """Return what a console shows of a run."""
    out, notes = io.StringIO(), io.StringIO()
    consoles = [
        Console(file=file, force_terminal=terminal, width=100, color_system="truecolor" if terminal else None)
        for file in (out, notes)
    ]
    sink = ConsoleSink(consoles[0], messages=consoles[1])
    sink.set_run(Path(FRAGMENTS[1]))
    for event in events:
        sink.emit(event)
    sink.close()
    return (out.getvalue() + notes.getvalue()).encode()


def _logged(events: list[Event], path: Path) -> bytes:
    sink = LogFileSink(path)
    for event in events:
        sink.emit(event)
    sink.close()
    return path.read_bytes()


def _tail(path: Path) -> list[str]:
    tail = LogTail(path, lambda: None)
    tail._read()
    return [line.text for line in tail.take()]


def test_every_tab_and_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cases: Cases, figure: Callable[[str], None]
) -> None:
    """Many texts on each screen; what stands there is plain, and no piece of it does anything when it is clicked."""
    seen, made = 0, 0

    async def looked_at(seed: int) -> None:
        nonlocal seen, made
        folder, hostile = tmp_path / str(seed), Hostile(seed)
        runs = [hostile_run(folder / "runs", hostile, 25) for _ in range(3)]
        _hostile_presets(folder / "config", hostile)
        (folder / "config" / "keys.toml").write_bytes(_as_toml(hostile, "keys"))
        async with dashboard(folder, monkeypatch, WatchedRun(runs[0]), size=(180, 50)) as pilot:
            await until(pilot, lambda: pilot.app.screen.query("RunHeader") and "failed" in _text(pilot))
            steps = [
                "1",
                "2",
                "3",
                "enter",
                "escape",
                "4",
                "o",
                "m",
                "m",
                "m",
                "5",
                "6",
                "7",
                "slash",
                "p",
                "w",
                "n",
                "enter",
                "escape",
                "question_mark",
                "escape",
                "ctrl+p",
                "escape",
                "f4",
                "space",
                "space",
                "c",
                "escape",
                "d",
                "escape",
                "slash",
                "x",
                "escape",
                "p",
                "space",
                "f2",
                "enter",
                "escape",
                "ctrl+s",
                "escape",
            ]
            for key in steps:
                await pilot.press(key)
                await pilot.pause(0.05)
                _check_screen(pilot)
                seen += 1
            for text in hostile.texts(20):
                pilot.app.notify(text, title=text, markup=False)
            await pilot.pause(0.1)
            _check_screen(pilot)
            assert pilot.app.is_running
        made += hostile.made

    for seed in range(cases(1, 12)):
        asyncio.run(looked_at(seed))
    figure(f"{seen} screens with {made:,} texts: all plain, none an action")


def _text(pilot: Pilot[Any]) -> str:
    return "\n".join(strip.text for strip in pilot.app.screen._compositor.render_strips())


def _check_screen(pilot: Pilot[Any]) -> None:
    assert pilot.app._exception is None
    for strip in pilot.app.screen._compositor.render_strips():
        assert_plain(strip.text, besides="")
        for segment in strip:
            if segment.style is not None:
                said = f"{segment.style.meta} {segment.style.link}"
                assert not any(action in said for action in ACTIONS), said


def _hostile_presets(config: Path, hostile: Hostile) -> None:
    """Make presets of hostile names, values and comments."""
    folder = config / "presets"
    folder.mkdir(parents=True)
    for number in range(12):
        about = "".join(f"# {text.splitlines()[0] if text.splitlines() else ''}\n" for text in hostile.texts(3))
        (folder / f"fine-{number}.toml").write_text(about + to_toml(MadeRun().config), errors="replace")
        (folder / hostile.name(80)).with_suffix(".toml").write_bytes(_as_toml(hostile, "train"))


def _as_toml(hostile: Hostile, table: str) -> bytes:
    import tomli_w

    return tomli_w.dumps({table: {hostile.text(): hostile.text() for _ in range(3)}}).encode(errors="replace")


def test_commands(tmp_path: Path, cases: Cases, cli: Cli, figure: Callable[[str], None]) -> None:
    """What is printed, also as JSON and in errors, where there is no terminal."""
    said = 0
    for seed in range(cases(1, 20)):
        folder, hostile = tmp_path / str(seed), Hostile(1000 + seed)
        runs = [hostile_run(folder / "runs", hostile, 4) for _ in range(3)]
        (runs[1].events).write_text("".join(hostile.texts(5)), errors="replace")
        runs[2].config_file.write_bytes(_as_toml(hostile, "train"))
        _hostile_presets(folder / "config", hostile)
        pictures = _hostile_pictures(folder / "pictures", hostile)
        name = os.fsencode(hostile.name()).decode(errors="replace")
        for command in (
            ("runs",),
            ("runs", "--json"),
            ("presets",),
            ("presets", "--json"),
            ("presets", "fine-1"),
            ("presets", "--", name),
            ("presets", "fine-1", "--json"),
            ("data",),
            ("data", "--data-dir", str(pictures)),
            ("data", "--json", "--data-dir", str(pictures)),
            ("data", "verify", "imagefolder", "--data-dir", str(pictures)),
            ("eval", str(runs[0].path)),
            ("eval", str(runs[2].path)),
            ("eval", "--", name),
            ("watch", "--", name),
            ("watch", str(runs[0].path)),
            ("replay", "--speed", name, "last"),
            ("train", "--headless", "--preset", name),
            ("train", "--headless", "--resume", str(runs[0].path)),
            ("train", "--headless", "--resume", str(runs[2].path)),
            ("train", "--headless", "--set", f"optim.{name}=1"),
            ("train", "--headless", "--dataset", name),
            ("train", "--headless", "--data-dir", name, "--dataset", "imagefolder"),
            ("train", "--headless", "--weights", name),
            ("export", str(runs[0].path), "--format", name),
            ("shapes", "--explain", name),
            ("shapes", "--input", name),
            ("no-such-command-" + name,),
            ("runs", "--no-" + name),
        ):
            result = cli(*command, cwd=folder, RESNET_TUI_CONFIG=folder / "config")
            assert "Traceback" not in result.stderr, (command, result.stderr)
            assert ("No such option" in result.stderr) == (command[-1] == f"--no-{name}"), (command, result.stderr)
            for text in (result.stdout, result.stderr):
                assert commands(text.encode(errors="surrogateescape")) <= {b"\n", b"\t"}, (command, text)
            assert "--json" not in command or result.stdout.isascii()
            said += 1
    figure(f"{said} of {said} answers of commands were plain text")


def test_an_error_quotes_arguments_in_plain_text(cli: Cli) -> None:
    table = ("train", "--headless", "--set", "model.arch.\x1b]0;pwn\x07x=1")
    for arguments in (("runs", "--no-\u200b"), ("no\u202esuch",), ("data", "--\ufeff"), ("--\x9b31m",), table):
        result = cli(*arguments)
        assert result.returncode == 2
        assert commands(result.stderr.encode()) <= {b"\n"}


def test_names_in_a_checkpoint_are_quoted_in_plain_text(trained_run: RunDir, cli: Cli) -> None:
    tensors, state = load_checkpoint(trained_run.last)
    for name in ("model.\x1b]0;PWN\x07", "optim.99.\x9b31m", "optim.\u202ex.y"):
        save_checkpoint(trained_run.last, tensors | {name: tensors["model.head.linear.bias"].clone()}, state)
        result = cli("train", "--headless", "--resume", str(trained_run.path), "--epochs", "9")
        assert result.returncode == 1
        assert "the checkpoint does not fit the network" in result.stderr
        assert commands(result.stderr.encode(errors="surrogateescape")) <= {b"\n"}


def _hostile_pictures(folder: Path, hostile: Hostile) -> Path:
    """Make an image folder with hostile names, one of which is no picture."""
    from data_support import picture

    names = {hostile.name(60) for _ in range(3)} | {"plain"}
    for number, name in enumerate(sorted(names)):
        for split in ("train", "test"):
            path = picture(folder / "picture.png", (number, 0, 0))
            (folder / split / name).mkdir(parents=True)
            path.rename(folder / split / name / f"{hostile.name(60)}.png")
    (folder / "train" / "plain" / f"{hostile.name(60)}broken.png").write_bytes(b"x")
    list_images(folder)
    return folder


def markup(source: str) -> list[str]:
    """Return the calls in a module's source that would read text as markup which is not written there."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func).rpartition(".")[2]
        off = any(word.arg == "markup" and ast.unparse(word.value) == "False" for word in node.keywords)
        on = any(word.arg == "markup" and ast.unparse(word.value) != "False" for word in node.keywords)
        message = node.args[0] if node.args else None
        told = name == "notify" and message is not None and not isinstance(message, ast.Constant)
        if on or name == "from_markup" or (told and not off):
            found.append(ast.unparse(node))
    return found


def test_no_text_is_read_as_markup(figure: Callable[[str], None]) -> None:
    assert len(markup("self.notify(x)\nself.notify(f'{x}')\nContent.from_markup(x)\nStatic(markup=True)")) == 4
    assert markup("self.notify('x')\nself.notify(x, markup=False)\nStatic(x, markup=False)") == []
    root = Path(__file__).parents[2]
    files = [path for package in ("engine", "resnet_tui") for path in sorted((root / package).rglob("*.py"))]
    found = {path.name: calls for path in files if (calls := markup(path.read_text()))}
    assert found == {}
    figure(f"0 of {len(files)} modules read text as markup")


KEYS = "1234567?"
FURTHER = ("\x1b", "\x10", "\x1b", "\x1bOS", " ", " ", "c", "\x1b", "/x\r", "\x1b", "\x1bOQ", "\r", "\x1b")
"""Help, palette, the list of runs, two of them compared, filtered, set-up, a list of choices."""


def _session(run: RunDir, config: Path) -> bytes:
    """Return every byte that the dashboard writes while all its tabs and screens are visited."""
    command = resnet_tui("watch", f"--runs-dir={run.path.parent}", "--", str(run.path))
    with Terminal(command, size=(150, 45), settings=config) as terminal:
        terminal.wait_for(b"failed")
        answered = 0
        for key in (*KEYS, *FURTHER):
            since = terminal.press(key)
            with contextlib.suppress(AssertionError):  # a key may change nothing: what it opens is open
                terminal.wait_for(lambda seen: len(seen) > 20, 5, since=since)
                answered += 1
            while terminal.read(0.15):  # until nothing more comes of this key
                pass
        assert answered >= len((*KEYS, *FURTHER)) - 3
        terminal.press("\x11")
        assert terminal.wait_end() == 0
        assert terminal.restored() == []
        return terminal.output


def test_bytes_of_the_dashboard(tmp_path: Path, cases: Cases, figure: Callable[[str], None]) -> None:
    harmless, plain = Hostile(0), RunDir(tmp_path / "plain" / "runs" / "a")
    harmless.text = lambda: "word"  # type: ignore[method-assign]
    run = hostile_run(plain.path.parent, harmless, 25)
    usual = commands(_session(run, tmp_path / "plain" / "config"))
    total = 0
    for seed in range(cases(1, 5)):
        hostile, folder = Hostile(2000 + seed), tmp_path / str(seed)
        runs = [hostile_run(folder / "runs", hostile, 25) for _ in range(3)]
        _hostile_presets(folder / "config", hostile)
        output = _session(runs[0], folder / "config")
        total += len(output)
        assert commands(output) - usual == set()
        assert not re.search(rb"\x1b[\]PX^_][^\x07\x1b]*PWN", output)
    figure(f"{total:,} bytes of the dashboard: none but the {len(usual)} commands that harmless text needs")
