"""Published weights: found by name, downloaded once, checked each time."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from data_support import finish
from weights_support import Net, assert_same_logits, load, randomised

from engine.data.checksum import Digest
from engine.errors import UserError, WorldError
from engine.weights import published
from engine.weights.published import NAMES, fetch, is_published, remote_of

NAME = "akamaster:resnet20"


class Server:
    """A web server on this machine that has one file, and counts who asks."""

    def __init__(self, content: bytes) -> None:
        self.content, self.requests = content, 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests += 1
                self.send_response(200)
                self.send_header("Content-Length", str(len(outer.content)))
                self.end_headers()
                self.wfile.write(outer.content)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RESNET_TUI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "cache" / "weights"


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    file = tmp_path / "made.th"
    torch.save({"state_dict": randomised(Net((1, 1, 1), "linear", "shortcut", "A")).state_dict()}, file)
    return file.read_bytes()


@pytest.fixture
def server(folder: Path, content: bytes, monkeypatch: pytest.MonkeyPatch, loopback: None) -> Iterator[Server]:
    server = Server(content)
    digits = hashlib.sha256(content).hexdigest()
    url = f"http://127.0.0.1:{server.http.server_port}/resnet20-{digits[:8]}.th"
    monkeypatch.setitem(published._FILES, NAME, url)
    monkeypatch.delitem(published._WHOLE_SHA256, NAME)
    thread = threading.Thread(target=server.http.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.http.shutdown()
    thread.join()
    server.http.server_close()


def test_every_name_has_an_address_and_a_checksum() -> None:
    for name in NAMES:
        remote = remote_of(name)
        assert is_published(name)
        assert remote.url.startswith("https://")
        assert (remote.digest.kind, len(remote.digest.value) in {8, 64}) == ("sha256", True)
        assert int(remote.digest.value, 16)
        assert f"-{remote.digest.value[:8]}." in remote.url
        assert name.rpartition(":")[2].rpartition("_")[2] in remote.url
    assert remote_of("torchvision:resnet34").url == torchvision.models.ResNet34_Weights.IMAGENET1K_V1.url


def test_what_is_meant_as_a_published_name() -> None:
    assert is_published("torchvision:resnet999")
    assert not any(is_published(source) for source in ("torchvision", "C:\\weights.pt", "runs/a:b", "", ":"))


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("torchvision:resnet35", "torchvision:resnet34"),
        ("akamaster:resnet21", "akamaster:resnet20"),
        ("chenyaofo:", "chenyaofo:cifar10_resnet20"),
        ("akamaster:\x1b[31m", "akamaster:resnet"),
    ],
)
def test_an_unknown_name_is_told_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(UserError, match=f"is not a published name that is known; the nearest: .*{nearest}") as caught:
        load(name)
    assert caught.value.exit_status == 2
    assert "\x1b" not in str(caught.value)


def test_downloads_once_and_loads(server: Server, folder: Path) -> None:
    path, told = finish(fetch(NAME))
    assert path.parent == folder
    assert told[-1].unit == "bytes"
    weights = load(NAME)
    assert server.requests == 1
    assert weights.source == NAME
    assert path.stem.endswith(weights.sha256[:8])
    assert_same_logits(weights, randomised(Net((1, 1, 1), "linear", "shortcut", "A")))


def test_a_file_put_there_by_hand_is_used(server: Server, folder: Path, content: bytes) -> None:
    folder.mkdir(parents=True)
    (folder / remote_of(NAME).url.rpartition("/")[2]).write_bytes(content)
    assert load(NAME).classes == 10
    assert server.requests == 0


def test_a_damaged_file_in_the_cache_is_named(server: Server, folder: Path) -> None:
    path, _ = finish(fetch(NAME))
    path.write_bytes(b"x")
    with pytest.raises(
        WorldError, match=rf"{path}: damaged or incomplete: its sha256 is .*…; remove it; then it is downloaded"
    ):
        load(NAME)
    assert server.requests == 1


@pytest.mark.parametrize("whole", [False, True])
def test_a_wrong_file_is_not_kept(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, whole: bool) -> None:
    if whole:  # the first digits are right, a later one is not
        digits = hashlib.sha256(server.content).hexdigest()
        monkeypatch.setitem(published._WHOLE_SHA256, NAME, digits[:-1] + ("0" if digits[-1] != "0" else "1"))
    else:
        server.content = b"something else"
    with pytest.raises(
        WorldError, match=r"what came is not the file: its sha256 is [0-9a-f]{64}, expected [0-9a-f]+"
    ):
        load(NAME)
    assert [path.suffix for path in folder.iterdir()] == [".lock"]


def test_without_network_it_says_where_to_put_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, loopback: None
) -> None:
    monkeypatch.setitem(published._FILES, NAME, "http://127.0.0.1:9/resnet20-12fca82f.th")
    with pytest.raises(WorldError, match="cannot be downloaded: no connection") as caught:
        load(NAME)
    assert f"put the file resnet20-12fca82f.th into {folder} by hand" in str(caught.value)


def test_a_checksum_is_compared_from_its_start() -> None:
    found = hashlib.sha256(b"x")
    assert not Digest("sha256", found.hexdigest()).problem(found)
    assert not Digest("sha256", found.hexdigest()[:8]).problem(found)
    assert Digest("sha256", found.hexdigest()[1:9]).problem(found).endswith(f"expected {found.hexdigest()[1:9]}…")
    assert Digest("md5", "0" * 32).problem(hashlib.md5(b"x")).endswith(f"expected {'0' * 32}")
