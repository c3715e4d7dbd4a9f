"""No network except a download that a person asked for, and nothing listens.

The whole suite is under a guard (``conftest.no_network``), which is tried here. What other processes do is read from
the operating system, and from what Python itself tells of every socket.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from network_support import Guard, NetworkUsedError
from support import Cases, tiny
from terminal_support import Terminal, resnet_tui

from engine.config_file import to_toml
from engine.event_log import read_events
from engine.events import Step
from engine.run_dir import RunDir, iterate

USES: dict[str, Callable[[], object]] = {
    "connect": lambda: socket.create_connection(("127.0.0.1", 9), 1),
    "connect by number": lambda: socket.socket().connect(("192.0.2.1", 80)),
    "connect, version 6": lambda: socket.socket(socket.AF_INET6).connect(("::1", 9)),
    "connect_ex": lambda: socket.socket().connect_ex(("127.0.0.1", 9)),
    "bind": lambda: socket.socket().bind(("127.0.0.1", 0)),
    "listen": lambda: socket.socket().listen(),
    "send": lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9)),
    "send with options": lambda: socket.socket(type=socket.SOCK_DGRAM).sendmsg([b"x"], [], 0, ("127.0.0.1", 9)),
    "look up": lambda: socket.getaddrinfo("example.invalid", 80),
    "look up the old way": lambda: socket.gethostbyname("example.invalid"),
}


def test_the_guard_of_this_suite_notices(monkeypatch: pytest.MonkeyPatch, figure: Callable[[str], None]) -> None:
    guard = Guard()
    guard.install(monkeypatch)
    for number, (name, use) in enumerate(USES.items(), 1):
        with pytest.raises(NetworkUsedError):
            use()
        assert len(guard.seen) == number, name
    thread = threading.Thread(target=lambda: _ignored(USES["connect"]))
    thread.start()
    thread.join()
    assert len(guard.seen) == len(USES) + 1
    left, right = socket.socketpair()
    with left, right:
        left.sendall(b"x")
        assert right.recv(1) == b"x"
    assert len(guard.seen) == len(USES) + 1
    figure(f"{len(guard.seen)} of {len(USES) + 1} uses of a network noticed by the guard around every test")


def test_the_guard_lets_a_test_reach_this_machine_only(loopback: None) -> None:
    guard = Guard()
    guard.loopback_allowed = True
    guard.check("connect", "127.0.0.1")
    guard.check("connect", "::1")
    for host in ("192.0.2.1", "0.0.0.0", "", "example.invalid", "localhost.example.invalid"):
        with pytest.raises(NetworkUsedError):
            guard.check("connect", host)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass


def _ignored(use: Callable[[], object]) -> None:
    with contextlib.suppress(BaseException):
        use()


WATCHED = """
import json, os, socket, sys
log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
def hook(event, arguments):
    if event.startswith(("socket.", "urllib.")):
        local = getattr(arguments[0] if arguments else None, "family", None) == socket.AF_UNIX
        private = local and event == "socket.bind" and os.stat(os.path.dirname(arguments[1])).st_mode & 0o777 == 0o700
        said = [event, "private" if private else "local" if local else "", repr(arguments[1:2])]
        os.write(log, json.dumps(said).encode() + b"\\n")
sys.addaudithook(hook)
if sys.argv[2] == "try":
    socket.socket().connect_ex(("127.0.0.1", 9))
for command in json.loads(sys.argv[3]):
    from resnet_tui.start import main
    sys.argv = ["resnet-tui", *command]
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, command
"""
"""Runs commands one after another in a process, and in those it forks, that writes down whatever any does with a
socket: Python calls such a hook itself, whoever asks."""
UNUSED = ("socket.gethostname", "socket.__new__")
"""Asks this machine's kernel for its name; makes a socket, which is not to use it."""


def watched(folder: Path, *commands: tuple[str, ...], attempt: bool = False) -> list[tuple[str, str, str]]:
    """Run ``commands`` and return what they did with sockets: the event, ``local`` for a Unix socket, ``private`` for
    one that begins to listen where only this user can reach it, and the address."""
    log = folder / "sockets"
    arguments = [str(log), "try" if attempt else "", json.dumps(commands)]
    ended = subprocess.run(
        [sys.executable, "-c", WATCHED, *arguments],
        env=os.environ | {"RESNET_TUI_CACHE": str(folder / "cache"), "RESNET_TUI_CONFIG": str(folder / "config")},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    seen = [tuple(json.loads(line)) for line in log.read_text().splitlines()]
    return [(event, kind, address) for event, kind, address in seen if event not in UNUSED]


def streaming(folder: Path, **settings: Any) -> Path:
    """Return a preset whose pictures come from worker processes."""
    config = tiny(data__residence="stream", data__workers=2, **settings)
    preset = folder / "streaming.toml"
    preset.write_text(to_toml(config))
    return preset


def test_commands_use_no_network(tmp_path: Path, figure: Callable[[str], None]) -> None:
    run = "last"
    commands = (
        ("train", "--headless", "--preset", str(streaming(tmp_path)), "--epochs", "1"),
        ("train", "--headless", "--resume", run, "--epochs", "2"),
        ("runs",),
        ("presets",),
        ("eval", run),
        ("export", run, "--output", "weights.safetensors"),
        ("shapes",),
        ("data",),
        ("doctor",),
    )
    seen = watched(tmp_path, *commands)
    assert [said for said in seen if not said[1]] == []
    listening = [said for said in seen if said[0] == "socket.bind"]  # torch's workers, to hand pictures over
    assert all(kind == "private" and "pymp-" in address for _, kind, address in listening)
    assert watched(tmp_path, attempt=True)[-1][0] == "socket.connect"  # so it would have been seen
    figure(f"0 uses of a network by {len(commands)} commands and 2 workers; {len(listening)} private Unix sockets")


def test_no_process_has_a_socket_open(tmp_path: Path, cases: Cases, figure: Callable[[str], None]) -> None:
    """Looked at while a dashboard sets up, starts and watches a run with workers, and beside it a headless run."""
    wanted = cases(20, 200)
    preset = streaming(tmp_path, train__epochs=1000)
    command = [
        sys.executable,
        "-m",
        "resnet_tui",
        "train",
        "--headless",
        "--preset",
        str(preset),
        "--runs-dir",
        "runs",
    ]
    kept = {"RESNET_TUI_CACHE": str(tmp_path / "cache"), "RESNET_TUI_RUNS": str(tmp_path / "runs")}
    seen: dict[int, str] = {}
    with subprocess.Popen(command, cwd=tmp_path, env=os.environ | kept, stdout=subprocess.DEVNULL) as headless:
        try:
            run = _first_step(tmp_path / "runs")
            with Terminal(resnet_tui(), cwd=tmp_path, settings=tmp_path / "config", environment=kept) as terminal:
                looks = 0
                for keys, text in (("", b"New run"), ("\x1bOS", run.name.encode()[:14]), ("\r", b"loss")):
                    since = terminal.press(keys) if keys else 0
                    terminal.wait_for(text, since=since)
                while looks < wanted or _roles(seen) < {"dashboard", "helper", "training", "worker"}:
                    for process in (*_family(headless.pid, "training"), *_family(terminal.pid, "dashboard")):
                        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended meanwhile, or is about to
                            assert process[0].net_connections(kind="inet") == []
                            seen[process[0].pid] = process[1]
                    looks += 1
                    assert looks < wanted + 2000, _roles(seen)
                    terminal.read(0.01)
        finally:
            headless.terminate()
            headless.wait(30)
    figure(f"0 sockets in {len(seen)} processes ({', '.join(sorted(_roles(seen)))}), looked at {looks} times")


def _first_step(runs: Path) -> RunDir:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for run in iterate(runs):
            if any(isinstance(event, Step) for event in read_events(run.events)):
                return run
        time.sleep(0.05)
    raise AssertionError("it never trained")


def _family(pid: int, name: str) -> list[tuple[psutil.Process, str]]:
    """Return a process and those below it, each with what it is for."""
    with contextlib.suppress(psutil.NoSuchProcess):
        found = psutil.Process(pid)
        return [(found, name), *((child, _role(child, name)) for child in found.children(recursive=True))]
    return []


def _role(process: psutil.Process, parent: str) -> str:
    with contextlib.suppress(psutil.Error):
        if "engine.helper" in process.cmdline():
            return "helper"
    return "worker" if parent == "training" else "waiting"


def _roles(seen: dict[int, str]) -> set[str]:
    return set(seen.values())
