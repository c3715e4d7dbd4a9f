"""Serves the dashboard as a page to this machine alone, with textual-serve's terminal and protocol.

textual-serve by itself answers whoever reaches its port: it looks at neither Host nor Origin, so any page that a
browser has open could have a dashboard of its own, and its page loads a font from elsewhere. Here

- only 127.0.0.1 is listened on, and only a Host that means this port is answered, which a name that someone has let
  point here (DNS rebinding) does not;
- a WebSocket needs the Origin of the page itself, so pages of other sites get none;
- the address has a key in it, made anew every time, since other users of this machine reach its ports as well;
- the page may load nothing from elsewhere, open nothing and be shown in no frame, and there are no downloads.
"""

import asyncio
import contextlib
import io
import logging
import os
import secrets
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from aiohttp import web
from textual_serve.server import Server

from engine.errors import UserError
from engine.text import clean, one_line
from resnet_tui.serve.environment import scrubbed

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

HOST = "127.0.0.1"
_PATIENCE = 2.0
"""Seconds that pages have to say goodbye; their dashboards take less."""
_HERE = Path(__file__).parent
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",  # the terminal makes its style sheets itself
        "font-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'{socket}",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "sandbox allow-scripts allow-same-origin",  # so it opens no other pages
    )
)


class Site:
    """What is served, and to whom."""

    def __init__(self, command: Sequence[str], port: int) -> None:
        """Serve a process of ``command`` to each page, on ``port``."""
        shell = subprocess.list2cmdline(command) if sys.platform == "win32" else f"exec {shlex.join(command)}"
        self._server = Server(shell, host=HOST, port=port, title="resnet-tui")
        self._hosts = {name if port == 80 else f"{name}:{port}" for name in (HOST, "localhost")}
        self._path = f"/{secrets.token_urlsafe(16)}/"
        self.address = f"http://{HOST}:{port}{self._path}"
        """Of the page."""
        self._page = Template((_HERE / "index.html").read_text())
        self._open: dict[asyncio.Task[object], asyncio.Transport] = {}
        """What attends to each page, and the page's connection."""

    def app(self) -> web.Application:
        """Return what answers requests."""
        app = web.Application(middlewares=[self._refuse_others])
        app.add_routes(
            [
                web.get(self._path, self._show),
                web.get(f"{self._path}ws", self._connect, allow_head=False),
                web.static("/static", self._server.statics_path),
                web.static("/assets", _HERE / "assets"),
            ]
        )
        app.on_response_prepare.append(self._protect)
        app.on_shutdown.append(self._end)
        return app

    @web.middleware
    async def _refuse_others(self, request: web.Request, handler: "Handler") -> web.StreamResponse:
        """Answer only what was sent to this port by its name, and by no page of another site."""
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            raise web.HTTPForbidden(text=f"Only {' and '.join(sorted(self._hosts))} are served here.\n")
        if any(origin != f"http://{hosts[0]}" for origin in request.headers.getall("Origin", [])):
            raise web.HTTPForbidden(text="Pages of other sites are not served here.\n")
        if request.path == "/":
            raise web.HTTPForbidden(
                text="Open the whole address that resnet-tui serve printed: it has a key in it.\n"
            )
        return await handler(request)

    async def _protect(self, request: web.Request, response: web.StreamResponse) -> None:
        socket = f" ws://{request.host}" if request.host in self._hosts else ""
        response.headers.update(
            {
                "Content-Security-Policy": _POLICY.format(socket=socket),
                "Cross-Origin-Resource-Policy": "same-origin",
                "Cross-Origin-Opener-Policy": "same-origin",
                "Referrer-Policy": "no-referrer",  # the address has the key in it
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "no-store" if request.path.startswith(self._path) else "no-cache",
            }
        )

    async def _show(self, request: web.Request) -> web.Response:
        text = self._page.substitute(socket=f"ws://{request.host}{self._path}ws")
        return web.Response(text=text, content_type="text/html")

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        """Give a page its dashboard, for as long as it is open."""
        if "Origin" not in request.headers:
            raise web.HTTPForbidden(text="Only the page itself is served a dashboard.\n")
        if not web.WebSocketResponse().can_prepare(request):
            raise web.HTTPBadRequest(text="This is a WebSocket.\n")
        task, connection = asyncio.current_task(), request.transport
        if task is None or connection is None:
            raise web.HTTPBadRequest(text="The page has gone.\n")
        self._open[task] = connection
        try:
            return await self._server.handle_websocket(request)
        finally:
            del self._open[task]

    async def _end(self, _app: web.Application) -> None:
        """End every dashboard, and let go of pages that do not answer."""
        for task in self._open:
            task.cancel()
        if self._open:
            await asyncio.wait(self._open, timeout=_PATIENCE)
        for connection in self._open.values():
            connection.abort()


def serve(command: Sequence[str], port: int, told: Callable[[str], None]) -> None:
    """Serve dashboards until SIGINT or SIGTERM; what this process has in its environment and they do not need goes.

    Args:
        command: the process of a page, with its arguments.
        port: where to listen; 0: any that is free.
        told: gets the address when pages can be opened.

    Raises:
        UserError: the port cannot be had.
    """
    with contextlib.closing(_listening(port)) as listening:
        needed = scrubbed(os.environ)
        os.environ.clear()
        os.environ.update(needed)
        site = Site(command, listening.getsockname()[1])
        said = logging.StreamHandler()
        said.setFormatter(_OneLine())
        logging.basicConfig(level=logging.WARNING, handlers=[said])
        told(site.address)
        with contextlib.redirect_stdout(_Plain()):  # where textual-serve writes what a page's process says in the end
            web.run_app(site.app(), sock=listening, print=None, access_log=None, shutdown_timeout=_PATIENCE)


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        why = os.strerror(error.errno or 0).lower()
        raise UserError(f"--port {port}: {why}; give another, or --port 0 for any that is free") from None


class _Plain(io.TextIOBase):
    """Says on stderr what is written to it, fit for a terminal."""

    def write(self, text: str, /) -> int:
        """Say ``text``."""
        sys.stderr.write(clean(text))
        return len(text)


class _OneLine(logging.Formatter):
    """Says what went wrong with a page without a traceback, fit for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        error = record.exc_info[1] if record.exc_info else None
        what = f"{record.getMessage()} ({type(error).__name__})" if error is not None else record.getMessage()
        return one_line(f"page: {what}")
