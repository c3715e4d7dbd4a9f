"""The process that keeps torch warm for the interface, and downloads: real processes, as the interface has them."""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from data_support import run_config

from engine.config import RunConfig, TrainConfig
from engine.config_file import build_config
from engine.events import Progress
from engine.helper_answers import answer, warm_ups
from engine.helper_messages import (
    HelperFailed,
    Machine,
    Preview,
    PreviewWanted,
    Reply,
    decode_reply,
    encode_reply,
    encode_request,
)
from engine.shapes.groups import grouped
from engine.shapes.table import training_memory
from engine.shapes.trace import shape_table
from resnet_tui.setup.helper import Download, Helper

SECONDS = 180


class Asked:
    """A helper and what it replies."""

    def __init__(self) -> None:
        self.replies: queue.Queue[Reply] = queue.Queue()
        self.helper = Helper(self.replies.put)

    def until(self, number: int) -> Reply:
        """Wait for the reply of that number; others are passed over."""
        deadline = time.monotonic() + SECONDS
        while (reply := self.replies.get(timeout=deadline - time.monotonic())).id != number:
            pass
        return reply


@pytest.fixture(scope="module")
def asked() -> Iterator[Asked]:
    asked = Asked()
    asked.helper.start()
    yield asked
    asked.helper.close()


def config(**settings: Any) -> RunConfig:
    return build_config({}, {key.replace("__", "."): (key, value) for key, value in settings.items()})


def test_preview_is_the_shape_table_of_the_run(asked: Asked) -> None:
    wanted = config(model__depth=20, data__val_size=37, optim__accumulate=2, train__batch_size=100)
    told = asked.until(asked.helper.preview(wanted))
    assert isinstance(told, Preview)
    table = shape_table(wanted.model, (3, 32, 32), 10, 50)
    assert told.table == table
    assert told.memory == training_memory(table, "sgd", 0.9)
    assert grouped(told.table.rows, "stages") == grouped(table.rows, "stages")
    assert (told.data.train, told.data.val, told.steps_per_epoch, told.device_problem) == (1400, 37, 14, "")


def test_a_network_that_does_not_fit_is_told_with_the_operation() -> None:
    data = run_config().data.model_copy(update={"image_size": 3})  # smaller than the configuration allows
    told = answer(PreviewWanted(id=1, config=config(model__arch="densenet").model_copy(update={"data": data})))
    again = decode_reply(encode_reply(told))
    assert again == told
    assert isinstance(again, Preview)
    assert again.table.failure is not None
    assert (again.table.failure.name, again.table.failure.input) == ("stage2.transition.pool", (304, 1, 1))


def test_images_and_features_are_told_apart(asked: Asked) -> None:
    features = asked.until(asked.helper.preview(config(data__dataset="iris")))
    assert isinstance(features, HelperFailed)
    assert "takes images" in features.message


def test_a_device_that_is_not_here_is_told(asked: Asked) -> None:
    told = asked.until(asked.helper.preview(RunConfig(train=TrainConfig(device="cuda:99"))))
    assert isinstance(told, Preview)
    assert "'cuda:99': not on this machine" in told.device_problem


def test_machine_has_a_processor(asked: Asked) -> None:
    told = asked.until(asked.helper.machine())
    assert isinstance(told, Machine)
    processor = told.devices[-1]
    assert processor.name == "cpu"
    assert processor.free_bytes is not None
    assert processor.total_bytes is not None
    assert 0 < processor.free_bytes <= processor.total_bytes
    assert processor.precisions == ("float32", "bfloat16")


def test_of_several_previews_the_newest_is_answered(asked: Asked) -> None:
    asked.until(asked.helper.machine())
    while not asked.replies.empty():
        asked.replies.get()
    numbers = [asked.helper.preview(config(model__depth=1202)) for _ in range(50)]
    newest = asked.helper.preview(config(model__depth=20))
    answered = []
    while (reply := asked.replies.get(timeout=SECONDS)).id != newest:
        answered.append(reply.id)
    assert len(answered) < 5
    assert set(answered) <= set(numbers)
    assert isinstance(reply, Preview)
    assert len(reply.table.rows) == 78


def test_a_helper_that_dies_is_told_once_and_started_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked()
    asked.helper.machine()
    assert isinstance(asked.replies.get(timeout=SECONDS), Machine)
    process = asked.helper._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    told = asked.replies.get(timeout=SECONDS)
    assert isinstance(told, HelperFailed)
    assert told.id == 0
    assert told.message
    again = asked.helper.machine()
    assert asked.replies.get(timeout=SECONDS).id == again
    process = asked.helper._process
    assert process is not None
    with monkeypatch.context() as patch:
        patch.setattr(process, "wait", lambda *_args, **_more: pytest.fail("it is waited for"))
        asked.helper.close()
        asked.helper.close()
    assert process.wait(timeout=SECONDS) == -signal.SIGKILL
    asked.helper.preview(RunConfig())
    assert asked.replies.empty()


def started() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "engine.helper"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_bad_lines_and_interrupts_do_not_end_it_but_the_end_of_stdin_does() -> None:
    process = started()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b'{"kind": "preview_wanted", "id": 1}\n\xff\n')
    process.stdin.flush()
    for _ in range(2):
        told = decode_reply(process.stdout.readline())
        assert isinstance(told, HelperFailed)
        assert "not a request" in told.message
    process.send_signal(signal.SIGINT)
    process.stdin.write(encode_request(PreviewWanted(id=7, config=RunConfig())))
    process.stdin.flush()
    assert decode_reply(process.stdout.readline()).id == 7
    output, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, output, errors) == (0, b"", b"")


def test_ends_on_sigterm() -> None:
    process = started()
    process.terminate()
    process.communicate(timeout=SECONDS)
    assert process.returncode == -signal.SIGTERM


def test_every_architecture_is_warmed_up() -> None:
    for warm_up in warm_ups():
        warm_up()


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("resnet_tui.setup.helper", {"torch", "numpy", "textual"}),
        ("engine.helper", {"torch", "numpy"}),
        ("engine.data.facts", {"torch", "sklearn"}),
    ],
)
def test_what_loads_fast_imports_nothing_large(module: str, absent: set[str]) -> None:
    code = f"import sys, {module}; assert not {absent!r} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=SECONDS)


class Downloaded:
    """A download, and what it told."""

    def __init__(self, dataset: str, folder: Path | None) -> None:
        self.progress: queue.Queue[Progress] = queue.Queue()
        self.ends: queue.Queue[str] = queue.Queue()
        self.download = Download(dataset, folder, self.progress.put, self.ends.put)
        self.download.start()


@pytest.fixture
def endless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loopback: None) -> Iterator[None]:
    """A server from which CIFAR-10 comes and never ends, in the place of the published one."""
    ending = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(100 << 20))
            self.end_headers()
            while not ending.wait(0.01):
                self.wfile.write(bytes(1 << 16))

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            pass

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """The client hangs up; that is what the test is about."""

    server = Quiet(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    # Python runs this first in every process that finds it.
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import dataclasses, sys\n"
        "if 'engine.helper' in sys.orig_argv:\n"
        "    from engine.data import published as p\n"
        "    spec = p.SPECS['cifar10']\n"
        f"    url = 'http://127.0.0.1:{server.server_port}/cifar-10-python.tar.gz'\n"
        "    p.SPECS['cifar10'] = dataclasses.replace(spec, archive=dataclasses.replace(spec.archive, url=url))\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setenv("no_proxy", "*")
    yield
    ending.set()
    server.shutdown()
    thread.join()
    server.server_close()


def _cancel(run: Downloaded) -> None:
    run.download.cancel()


def _kill_politely(run: Downloaded) -> None:
    assert run.download._process is not None
    run.download._process.send_signal(signal.SIGINT)


@pytest.mark.parametrize("end", [_cancel, _kill_politely])
@pytest.mark.usefixtures("endless")
def test_a_download_that_is_ended_leaves_nothing_half_there(
    tmp_path: Path, end: Callable[[Downloaded], None]
) -> None:
    folder = tmp_path / "data"
    run = Downloaded("cifar10", folder)
    while run.progress.get(timeout=SECONDS).done == 0:
        pass
    assert (folder / "cifar-10-python.tar.gz.part").is_file()
    end(run)
    assert run.ends.get(timeout=SECONDS)
    assert {path.name for path in folder.iterdir()} <= {".cifar10.lock"}
    assert run.ends.empty()


def test_a_download_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    run = Downloaded("cifar10", tmp_path / "file" / "below")
    told = run.ends.get(timeout=SECONDS)
    assert "cannot be written" in told or "cannot be read" in told
    assert not told.startswith("error")


def test_what_is_complete_but_damaged_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch", "batches.meta"):
        (folder / name).write_bytes(b"")
    told = Downloaded("cifar10", tmp_path).ends.get(timeout=SECONDS)
    assert "data_batch_1: damaged" in told
    assert "resnet-tui data download cifar10" in told


def test_cancelled_before_it_began(tmp_path: Path) -> None:
    ends: queue.Queue[str] = queue.Queue()
    download = Download("cifar10", tmp_path, lambda _: None, ends.put)
    download.cancel()
    download.start()
    assert ends.get(timeout=SECONDS) == "cancelled"


def test_only_what_is_published_can_be_downloaded(tmp_path: Path) -> None:
    told = Downloaded("digits", tmp_path).ends.get(timeout=SECONDS)
    assert "invalid choice" in told
