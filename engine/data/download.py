"""Downloads one file over https, bounded, checked, and never half there. Imports no torch."""

import ipaddress
import os
import urllib.error
import urllib.request
from collections.abc import Generator
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO, BinaryIO
from urllib.parse import urlsplit

from engine.data.cache import writing
from engine.data.checksum import Digest
from engine.data.progress import Pace
from engine.errors import WorldError
from engine.events import Progress
from engine.text import one_line

TIMEOUT_SECONDS = 30
BLOCK = 1 << 18


@dataclass(frozen=True)
class Remote:
    """A file to download."""

    url: str
    digest: Digest
    max_bytes: int
    """More than this is refused, whatever the server says."""


class _DownloadError(Exception):
    """Why the download did not work, in words."""


def download(remote: Remote, target: Path, advice: str) -> Generator[Progress, None, None]:
    """Fetch ``remote`` to ``target``: written beside it, checked, renamed.

    Args:
        remote: where from, and what it must be.
        target: the file.
        advice: what a person can do instead, the end of the error message.

    Raises:
        WorldError: no network, a server's error, a wrong checksum, a full disk.
    """
    part = target.with_name(f"{target.name}.part")
    with writing(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as file:
                yield from _fetch(remote, file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        except _DownloadError as failure:
            raise WorldError(f"{remote.url}: cannot be downloaded: {failure}\n{advice}") from failure
        finally:
            part.unlink(missing_ok=True)


def _fetch(remote: Remote, file: BinaryIO) -> Generator[Progress, None, None]:
    digest = remote.digest.new()
    done = 0
    with _open(remote.url) as response:
        total = _content_length(response)
        pace = Pace("downloading", total, unit="bytes")
        while block := _read(response):
            done += len(block)
            if max(done, total) > remote.max_bytes:
                raise _DownloadError(f"larger than the {remote.max_bytes:,} bytes it may have")
            digest.update(block)
            file.write(block)
            if pace.due():
                yield pace.report(done)
    if total and done < total:
        raise _DownloadError(f"the connection ended after {done:,} of {total:,} bytes")
    if problem := remote.digest.problem(digest):
        raise _DownloadError(f"what came is not the file: its {problem}")
    yield pace.report(done)


def _open(url: str) -> HTTPResponse:
    _check_scheme(url)
    request = urllib.request.Request(url, headers={"User-Agent": "resnet-tui"})  # noqa: S310 - checked above
    opener = urllib.request.build_opener(_CheckedRedirects)
    try:
        response: HTTPResponse = opener.open(request, timeout=TIMEOUT_SECONDS)
    except (OSError, HTTPException, ValueError) as error:
        raise _DownloadError(_reason(error)) from error
    return response


def _read(response: HTTPResponse) -> bytes:
    try:
        return response.read(BLOCK)
    except (OSError, HTTPException) as error:
        raise _DownloadError(_reason(error)) from error


def _content_length(response: HTTPResponse) -> int:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() else 0


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {one_line(str(error.reason), 100)}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return one_line(f"no connection: {cause}", 300)


def _check_scheme(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or "")):
        return
    raise _DownloadError("only https addresses are fetched")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _CheckedRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but not away from https."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Refuse an address that may not be fetched."""
        _check_scheme(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)
