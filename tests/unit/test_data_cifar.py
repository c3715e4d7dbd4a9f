"""CIFAR: found, downloaded, unpacked, checked. Small archives of the same format stand for the real ones."""

import hashlib
import io
import pickle
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_support import finish, loaded, served_at, small_cifar
from torchvision.datasets import CIFAR10, CIFAR100

from engine.config import DataConfig
from engine.data.checksum import Digest
from engine.data.published import SPECS, Spec
from engine.data.sources import check, load
from engine.errors import UserError, WorldError
from engine.events import Progress


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RESNET_TUI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "cache"


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Spec, Path]:
    """The small archive in a folder, in the place of CIFAR-10."""
    spec, archive = small_cifar(tmp_path / "given")
    monkeypatch.setitem(SPECS, "cifar10", spec)
    return spec, archive


class Server:
    """A web server on this machine that answers every path with ``respond``."""

    def __init__(self) -> None:
        self.content = b""
        self.announced: int | None = None
        self.status = 200
        self.location = ""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(outer.status)
                length = len(outer.content) if outer.announced is None else outer.announced
                self.send_header("Content-Length", str(length))
                if outer.location:
                    self.send_header("Location", outer.location)
                self.end_headers()
                self.wfile.write(outer.content)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                pass

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that has seen enough hangs up; that is what some tests are about."""

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/small.tar.gz"


@pytest.fixture
def server(loopback: None) -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.http.shutdown()
    thread.join()
    server.http.server_close()


def serve(server: Server, given: tuple[Spec, Path], monkeypatch: pytest.MonkeyPatch) -> Spec:
    spec, archive = given
    server.content = archive.read_bytes()
    spec = served_at(spec, server.url)
    monkeypatch.setitem(SPECS, "cifar10", spec)
    return spec


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_what_is_published_is_what_torchvision_knows(name: str) -> None:
    spec = SPECS[name]
    reader = {"cifar10": CIFAR10, "cifar100": CIFAR100}[name]
    assert (spec.archive.url, spec.archive.digest) == (reader.url, Digest("md5", reader.tgz_md5))
    assert (spec.archive_name, spec.batches) == (reader.filename, reader.base_folder)
    files = [*map(tuple, reader.train_list + reader.test_list), (reader.meta["filename"], reader.meta["md5"])]
    assert list(spec.files.items()) == files
    assert f"{spec.labels.removesuffix('s')}_names" == reader.meta["key"]
    assert [name for name in spec.files if "test" in name] == [name for name, _ in reader.test_list]


def test_archive_given_by_hand_is_unpacked_beside_it(given: tuple[Spec, Path]) -> None:
    spec, archive = given
    check(DataConfig(dataset="cifar10", dir=archive.parent))
    data = loaded(dataset="cifar10", dir=archive.parent)
    assert (data.shape, len(data.train), len(data.test)) == ((3, 32, 32), 12, 4)
    assert data.train.x.dtype == np.uint8
    assert data.classes == ("ant", "b\ufffdee")
    assert data.train.y.tolist() == [0, 1] * 6
    # The first training image as the format lays it out: red rows, green rows, blue rows.
    raw = np.random.default_rng(0).integers(0, 256, (6, 3072), dtype=np.uint8)
    np.testing.assert_array_equal(data.train.x[0], raw[0].reshape(3, 32, 32))
    left = {path.name for path in archive.parent.iterdir()} - {".cifar10.lock"}
    assert left == {archive.name, spec.batches}


def test_unpacked_batches_are_found_by_either_folder(given: tuple[Spec, Path]) -> None:
    spec, archive = given
    expected = loaded(dataset="cifar10", dir=archive.parent).train.x
    archive.unlink()
    for folder in (archive.parent, archive.parent / spec.batches):
        check(DataConfig(dataset="cifar10", dir=folder))
        np.testing.assert_array_equal(loaded(dataset="cifar10", dir=folder).train.x, expected)


def test_archive_put_into_the_cache_by_hand_is_used(given: tuple[Spec, Path], cache: Path) -> None:
    _, archive = given
    cache.mkdir()
    archive.rename(cache / archive.name)
    assert len(loaded(dataset="cifar10").train) == 12


def test_a_folder_without_the_dataset_is_refused(given: tuple[Spec, Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for work in (lambda c: check(c), lambda c: finish(load(c, 1))):
        with pytest.raises(
            UserError, match=r"neither the folder small-batches nor the archive small\.tar\.gz"
        ) as caught:
            work(DataConfig(dataset="cifar10", dir=tmp_path / "empty"))
        assert caught.value.exit_status == 2
    assert list((tmp_path / "empty").iterdir()) == []


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_damaged_archive_is_named_and_not_unpacked(given: tuple[Spec, Path], damage: str) -> None:
    spec, archive = given
    raw = bytearray(archive.read_bytes())
    if damage == "cut":
        del raw[len(raw) // 2 :]
    else:
        raw[len(raw) // 2] ^= 1
    archive.write_bytes(raw)
    expected = spec.archive.digest.value
    message = f"{archive}: damaged or incomplete: its md5 is [0-9a-f]{{32}}, expected {expected}; remove it"
    with pytest.raises(WorldError, match=message) as caught:
        loaded(dataset="cifar10", dir=archive.parent)
    assert caught.value.exit_status == 1
    assert not (archive.parent / spec.batches).exists()


@pytest.mark.parametrize("name", ["data_batch_2", "test_batch", "batches.meta"])
def test_a_changed_batch_is_named_and_never_unpickled(given: tuple[Spec, Path], tmp_path: Path, name: str) -> None:
    spec, archive = given
    loaded(dataset="cifar10", dir=archive.parent)
    fired = tmp_path / "fired"
    # A pickle that creates a file when it is read.
    evil = f"cpathlib\nPath\n(V{fired}\ntRp0\n0cbuiltins\ngetattr\n(g0\nVtouch\ntR(tR.".encode()
    pickle.loads(evil)
    fired.unlink()  # so it does work
    (archive.parent / spec.batches / name).write_bytes(evil)
    with pytest.raises(WorldError, match=f"{name}: damaged or incomplete: .*remove the folder .*{spec.batches}"):
        loaded(dataset="cifar10", dir=archive.parent)
    assert not fired.exists()


def test_a_missing_batch_is_named(given: tuple[Spec, Path]) -> None:
    spec, archive = given
    loaded(dataset="cifar10", dir=archive.parent)
    (archive.parent / spec.batches / "data_batch_1").unlink()
    with pytest.raises(WorldError, match="data_batch_1: cannot be read: No such file"):
        loaded(dataset="cifar10", dir=archive.parent)


def test_downloads_with_progress_into_the_cache_and_only_once(
    given: tuple[Spec, Path], server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = serve(server, given, monkeypatch)
    check(DataConfig(dataset="cifar10"))
    assert not cache.exists()
    data, told = finish(load(DataConfig(dataset="cifar10"), 1))
    assert len(data.train) == 12
    size = len(server.content)
    assert Progress(activity="downloading", done=size, total=size, unit="bytes") in told
    assert {path.name for path in cache.iterdir()} == {spec.archive_name, spec.batches, ".cifar10.lock"}
    server.status = 500
    assert len(loaded(dataset="cifar10").train) == 12


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ({"content": b"short"}, "what came is not the file: its md5 is [0-9a-f]{32}, expected [0-9a-f]{32}"),
        ({"content": b"short", "announced": 99}, "the connection ended after 5 of 99 bytes"),
        ({"content": b"x" * (1 << 21), "announced": 0}, "what came is not the file"),
        ({"content": b"x", "announced": 1 << 30}, "larger than the 1,048,576 bytes it may have"),
        ({"status": 404}, "the server answers 404"),
        ({"status": 302, "location": "http://192.0.2.1/small.tar.gz"}, "only https addresses are fetched"),
        ({"status": 302, "location": "file:///etc/passwd"}, "only https addresses are fetched|not allowed"),
    ],
)
def test_a_failed_download_says_what_to_do_and_leaves_nothing(
    given: tuple[Spec, Path],
    server: Server,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: dict[str, Any],
    message: str,
) -> None:
    serve(server, given, monkeypatch)
    for name, value in spoil.items():
        setattr(server, name, value)
    with pytest.raises(WorldError, match=message) as caught:
        loaded(dataset="cifar10")
    assert f"put the archive from {server.url} into {cache} by hand" in str(caught.value)
    assert "--dataset digits" in str(caught.value)
    assert [path.name for path in cache.iterdir()] == [".cifar10.lock"]


def test_a_body_without_length_is_bounded(
    given: tuple[Spec, Path], server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = serve(server, given, monkeypatch)
    monkeypatch.setitem(SPECS, "cifar10", replace(spec, archive=replace(spec.archive, max_bytes=100)))
    with pytest.raises(WorldError, match="larger than the 100 bytes"):
        loaded(dataset="cifar10")
    assert [path.name for path in cache.iterdir()] == [".cifar10.lock"]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1:9/small.tar.gz", "no connection: .*refused"),
        ("http://192.0.2.1/small.tar.gz", "only https addresses are fetched"),
        ("ftp://127.0.0.1/small.tar.gz", "only https addresses are fetched"),
    ],
)
def test_without_network(
    given: tuple[Spec, Path], monkeypatch: pytest.MonkeyPatch, loopback: None, url: str, message: str
) -> None:
    monkeypatch.setitem(SPECS, "cifar10", served_at(given[0], url))
    with pytest.raises(WorldError, match=message) as caught:
        loaded(dataset="cifar10")
    assert "what to do instead: use a copy you have with --data-dir" in str(caught.value)


def test_an_archive_cannot_write_outside_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: tuple[Spec, Path]
) -> None:
    spec, archive = given
    with tarfile.open(archive, "w:gz") as tar:
        info = tarfile.TarInfo("../../escaped")
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    digest = Digest("md5", hashlib.md5(archive.read_bytes()).hexdigest())
    monkeypatch.setitem(SPECS, "cifar10", replace(spec, archive=replace(spec.archive, digest=digest)))
    with pytest.raises(WorldError, match=r"cannot be unpacked: .*/data_batch_1, .* not in it"):
        loaded(dataset="cifar10", dir=archive.parent)
    assert not list(tmp_path.rglob("escaped"))
