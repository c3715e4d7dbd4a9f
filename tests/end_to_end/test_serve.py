"""``resnet-tui serve``: who is answered, what a page gets, and that nothing is left when it ends. Real processes."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import psutil
import pytest
from made_run import MadeRun
from processes_support import runs
from runs_support import keep
from support import Cli

import resnet_tui.serve
from resnet_tui.serve.environment import scrubbed
from resnet_tui.serve.server import Site

SECRET = "a token of the shell"
pytestmark = pytest.mark.usefixtures("loopback")


class Served:
    """A server as a person starts it."""

    def __init__(self, process: subprocess.Popen[str], address: str, said: str) -> None:
        self.process, self.address, self.said = process, address, said
        parts = urlsplit(address)
        self.host, self.path = parts.netloc, parts.path

    def get(self, path: str, **headers: str) -> tuple[int, http.client.HTTPMessage, str]:
        """Ask for ``path`` as a browser would that has the page open, but for ``headers``."""
        connection = http.client.HTTPConnection(self.host, timeout=20)
        connection.putrequest("GET", path, skip_host=True)
        for name, value in ({"Host": self.host} | headers).items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace") if answer.status != 101 else ""
        connection.close()
        return answer.status, answer.headers, text

    def connect(self, path: str = "", **headers: str) -> int:
        """Ask for a WebSocket, the page's own where no ``path`` is given; return the status."""
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13"}
        key = "AAAAAAAAAAAAAAAAAAAAAA=="
        return self.get(path or f"{self.path}ws", **upgrade, Sec_WebSocket_Key=key, **headers)[0]

    def dashboards(self) -> list[psutil.Process]:
        """Return the processes of its pages."""
        return psutil.Process(self.process.pid).children(recursive=True)


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[Served]:
    command = [sys.executable, "-m", "resnet_tui", "serve", "--port", "0", "--runs-dir", str(folder / "runs of 'a'")]
    own = {"RESNET_TUI_CONFIG": str(folder / "config"), "RESNET_TUI_CACHE": str(folder / "cache"), "TOKEN": SECRET}
    process = subprocess.Popen(
        [*command, *arguments], cwd=folder, env=os.environ | own, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        first, second = process.stdout.readline(), process.stdout.readline()
        yield Served(process, first.split()[-1], second)
    finally:
        process.kill()
        process.wait(30)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("a folder; with 'quotes'")
    keep(folder / "runs of 'a'", "first-run", MadeRun(3).whole([0.5, 0.75, 0.9]), MadeRun(3))
    with serving(folder) as started:
        yield started


def until(wanted: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not wanted():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Page:
    """An open page: keys go in, what the dashboard draws comes out."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.drawn = b""

    async def until(self, text: str) -> None:
        async with asyncio.timeout(40):
            while text not in self.text():
                message = await self.socket.receive()
                assert message.type is aiohttp.WSMsgType.BINARY, message
                self.drawn += message.data

    def text(self) -> str:
        return re.sub(r"\x1b\[[0-9;:<>?]*[A-Za-z]", "", self.drawn.decode(errors="replace"))

    async def press(self, keys: str) -> None:
        self.drawn = b""
        await self.socket.send_str(json.dumps(["stdin", keys]))


def with_page(served: Served, body: Callable[[Page], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        address = f"ws://{served.host}{served.path}ws?width=120&height=40"
        origin = f"http://{served.host}"
        async with aiohttp.ClientSession() as session, session.ws_connect(address, origin=origin) as socket:
            await body(Page(socket))

    asyncio.run(main())


# Who is answered ------------------------------------------------------------------------------------------------


def test_the_page_is_answered_and_may_load_nothing_from_elsewhere(served: Served) -> None:
    status, headers, page = served.get(served.path)
    assert status == 200
    assert f"ws://{served.host}{served.path}ws" in page
    assert "https://" not in page
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert f"connect-src 'self' ws://{served.host};" in policy
    assert headers["Referrer-Policy"] == "no-referrer"
    for wanted in re.findall(r'(?:src|href)="(/[^"]+)"', page):
        assert served.get(wanted)[0] == 200, wanted
    localhost = served.host.replace("127.0.0.1", "localhost")
    assert f"ws://{localhost}{served.path}ws" in served.get(served.path, Host=localhost)[2]


@pytest.mark.parametrize(
    "host", ["example.invalid", "example.invalid:{port}", "127.0.0.1", "127.0.0.1:1", "[::1]:{port}"]
)
def test_a_name_that_points_here_is_refused(served: Served, host: str) -> None:
    given = host.format(port=served.host.partition(":")[2])
    status, headers, _ = served.get(served.path, Host=given)
    assert status == 403
    assert given not in str(headers)
    assert served.get("/static/js/textual.js", Host=given)[0] == 403
    assert served.connect(Host=given, Origin=f"http://{given}") == 403


@pytest.mark.parametrize(
    "origin", ["https://example.invalid", "null", "", "http://127.0.0.1", "http://localhost:{port}", "https://{host}"]
)
def test_pages_of_other_sites_get_no_dashboard(served: Served, origin: str) -> None:
    given = origin.format(host=served.host, port=served.host.partition(":")[2])
    assert served.connect(Origin=given) == 403
    assert served.get(served.path, Origin=given)[0] == 403


def test_without_the_pages_own_origin_or_its_key_there_is_no_dashboard(served: Served) -> None:
    assert served.connect() == 403
    assert served.get("/")[0] == 403
    assert served.get(f"{served.path}ws", Origin=f"http://{served.host}")[0] == 400  # no WebSocket
    for path in ("/ws", "/x/ws", served.path[:-2] + "/", f"/download{served.path}", "/static/", "/assets/../page.py"):
        assert served.get(path)[0] in {403, 404}, path
        assert served.connect(path, Origin=f"http://{served.host}") in {403, 404}, path
    assert served.dashboards() == []


def test_every_server_has_a_key_of_its_own() -> None:
    addresses = {Site(["true"], 1).address for _ in range(8)}
    assert len(addresses) == 8
    assert all(len(urlsplit(address).path) > 20 for address in addresses)


def test_only_this_machine_is_listened_to(served: Served) -> None:
    listening = [one for one in psutil.Process(served.process.pid).net_connections() if one.status == "LISTEN"]
    assert [one.laddr.ip for one in listening] == ["127.0.0.1"]
    assert "only to look at" in served.said


# What a page gets -----------------------------------------------------------------------------------------------


def test_a_page_has_a_dashboard_to_look_at_that_ends_with_it(served: Served) -> None:
    async def body(page: Page) -> None:
        await page.until("first-run")
        await page.until("read-only")
        (dashboard,) = served.dashboards()
        assert SECRET not in dashboard.environ().values()
        assert {"PATH", "RESNET_TUI_CONFIG", "TEXTUAL_DRIVER"} <= dashboard.environ().keys()
        assert dashboard.environ()["TEXTUAL_COLOR_SYSTEM"] == "truecolor"
        await page.press("?")
        await page.until("escape: close")

    with_page(served, body)
    until(lambda: not served.dashboards())


def test_ctrl_c_ends_it_with_every_page_at_once(tmp_path: Path) -> None:
    with serving(tmp_path, "--allow-control") as served:
        assert "start, change, stop and delete" in served.said

        async def body(page: Page) -> None:
            await page.until("New run")  # set-up
            families = [*served.dashboards()]
            began = time.monotonic()
            served.process.send_signal(signal.SIGINT)
            assert await asyncio.to_thread(served.process.wait, 20) == 0
            assert time.monotonic() - began < 10
            await asyncio.to_thread(until, lambda: not any(map(runs, families)))

        with_page(served, body)


def test_a_killed_server_leaves_no_dashboard(tmp_path: Path) -> None:
    with serving(tmp_path) as served:

        async def body(page: Page) -> None:
            await page.until("No runs in")
            families = served.dashboards()
            served.process.kill()
            await asyncio.to_thread(until, lambda: not any(map(runs, families)))

        with_page(served, body)


def test_the_environment_keeps_what_is_needed_and_no_secret() -> None:
    kept = {
        "PATH": "/bin",
        "HOME": "/h",
        "LC_ALL": "C",
        "TERM": "xterm",
        "RESNET_TUI_CACHE": "/c",
        "OMP_NUM_THREADS": "1",
        "NVIDIA_VISIBLE_DEVICES": "all",
    }
    secrets = {"API_TOKEN": "x", "AWS_SECRET_ACCESS_KEY": "x", "SSH_AUTH_SOCK": "x", "HF_TOKEN": "x", "path": "x"}
    secrets |= {"NVIDIA_API_KEY": "x", "TORCH_TOKEN": "x", "TEXTUAL_PASSWORD": "x", "RESNET_TUI_SECRET": "x"}
    assert scrubbed(kept | secrets) == kept


# Bad input ------------------------------------------------------------------------------------------------------


def test_a_port_in_use_is_one_message(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = cli("serve", "--port", port)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        f"error: --port {port}: address already in use; give another, or --port 0 for any that is free\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--port", "70000"), "--port 70000: allowed: 1 to 65535, or 0 for any that is free"),
        (("--port", "-1"), "--port -1: allowed"),
        (("no-such-run",), "no-such-run"),
    ],
)
def test_what_cannot_be_served_is_refused(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    ended = cli("serve", *arguments)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert ended.stderr.count("error: ") == 1


def test_a_missing_library_is_named_with_what_installs_it(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "resnet_tui.serve.server", raising=False)
    monkeypatch.delattr(resnet_tui.serve, "server", raising=False)
    for name in ("textual_serve", "textual_serve.server"):
        monkeypatch.setitem(sys.modules, name, None)
    ended = cli("serve")
    assert ended.returncode == 2
    assert "uv sync --extra serve, or pip install '.[serve]'" in ended.stderr
    assert "textual_serve" in ended.stderr
