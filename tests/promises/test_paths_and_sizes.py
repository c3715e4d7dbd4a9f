"""Names cannot lead out of the folders of runs and data, and no file is too large, too deep or of a wrong kind.

Each is met with one message, in bounded memory and time, by a command in a process of its own.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from data_support import image_folder
from hostile_files import PATIENCE, Said, png, run_limited, sparse
from support import Cases

from engine import mistakes
from engine.event_log import EventLog, read_events
from engine.run_dir import RunDir
from resnet_tui import settings
from resnet_tui.run.log_tail import LogTail
from resnet_tui.run.replay import ReplayFeed, read

GIGABYTE = 1 << 30
MOST_MEMORY = 256 << 20
REFUSED = frozenset({1, 2})
KINDS = ("pipe", "device", "folder", "too large")
RESUME = ("train", "--headless", "--resume", "RUN", "--epochs", "2")
EVAL = ("eval", "RUN")


@dataclass(frozen=True)
class Case:
    """A hostile file and the commands that meet it, in a folder of their own."""

    name: str
    make: Callable[[Path], object]
    """Makes it; is given the folder, in which ``runs/RUN``, ``config`` and ``data`` are."""
    commands: tuple[tuple[str, ...], ...]
    allowed: frozenset[int] = REFUSED
    """Exit statuses."""


def put(place: str, kind: str, size: int = GIGABYTE) -> Callable[[Path], None]:
    """Return what puts something of another kind in the place of a file, or a file of ``size`` bytes."""

    def make(folder: Path) -> None:
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        match kind:
            case "pipe":
                os.mkfifo(path)
            case "device":
                path.symlink_to("/dev/zero")
            case "folder":
                path.mkdir()
            case _:
                sparse(path, size)

    return make


def holding(place: str, content: bytes | str) -> Callable[[Path], None]:
    """Return what writes a file."""

    def make(folder: Path) -> None:
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return make


def kinds(size: int) -> Iterator[Case]:
    """Yield cases of files of a wrong kind or of ``size`` bytes, in every place from which anything is read."""
    runs = ("runs",)
    places = {
        "runs/RUN/config.toml": (EVAL, RESUME),
        "runs/RUN/events.jsonl": (RESUME,),
        "runs/RUN/checkpoints/last.safetensors": (),
        "runs/RUN/checkpoints/best.safetensors": (EVAL,),
        "config/presets/mine.toml": (("presets", "mine"), ("train", "--headless", "--preset", "mine")),
        "weights.pt": (
            ("eval", "weights.pt", "--dataset", "digits"),
            ("train", "--headless", "--weights", "weights.pt"),
        ),
        "data/cifar-10-python.tar.gz": (("train", "--headless", "--dataset", "cifar10", "--data-dir", "data"),),
        "data/cifar-10-batches-py/data_batch_1": (("data", "verify", "cifar10", "--data-dir", "data"),),
    }
    for kind in KINDS:
        for place, commands in places.items():
            yield Case(f"{place}: {kind}", put(place, kind, size), commands)
        for place in ("config.toml", "events.jsonl", "lock", "heartbeat"):
            yield Case(f"list, {place}: {kind}", put(f"runs/RUN/{place}", kind, size), (runs,), frozenset({0}))
        for place in ("lock", "heartbeat", "log.txt", "metrics.csv", "control.jsonl"):
            if kind != "too large":
                yield Case(f"resume, {place}: {kind}", put(f"runs/RUN/{place}", kind), (RESUME,))
    for place in ("lock", "heartbeat", "log.txt", "metrics.csv", "control.jsonl", "events.jsonl", "checkpoints"):
        yield Case(f"{place}: a link", linked(place), (RESUME,))


def linked(place: str) -> Callable[[Path], None]:
    """Return what moves a part of a run out of its folder and puts a link in its place."""

    def make(folder: Path) -> None:
        inside, outside = folder / "runs" / "RUN" / place, folder / "outside"
        if inside.exists():
            inside.rename(outside)
        else:
            outside.touch()
        inside.symlink_to(outside)

    return make


def contents() -> Iterator[Case]:
    """Yield cases of files whose content is deep, or small and claims to be large."""
    mine = (("presets", "mine"), ("train", "--headless", "--preset", "mine"))[1:]
    for name, text in {
        "arrays": "x = " + "[" * 30_000,
        "tables": "x = " + "{a = " * 12_000,
        "dotted keys": "train.epochs" + ".a" * 30_000 + " = 1",
        "a table's name": "[train.epochs" + ".a" * 30_000 + "]\nb = 1",
        "a number of many digits": "train.epochs = " + "9" * 60_000,
        "a number of many hexadecimal digits": "train.epochs = 0x" + "f" * 60_000,
        "a long text": f'name = "{"x" * 900_000}"',
        "text with a null": 'data.dir = "a\\u0000b"\ndata.dataset = "imagefolder"',
        "weights with a null": 'weights.source = "a\\u0000b"',
    }.items():
        yield Case(f"preset: {name}", holding("config/presets/mine.toml", text), mine)
    for name, line in {
        "arrays": b"[" * 1_000_000,
        "tables": b'{"a":' * 1_000_000,
        "a long number": b'{"seq":' + b"9" * 10_000_000 + b"}",
    }.items():
        yield Case(f"events: {name}", holding("runs/RUN/events.jsonl", line), (RESUME,), frozenset({0, 1, 2}))
    weights = (("eval", "weights.pt", "--dataset", "digits"),)
    for name, raw in {
        "a bomb": bomb(),
        "entries that claim more": claiming(),
        "a header of 2**62": struct.pack("<Q", 1 << 62) + b"{" + bytes(100),
        "a deep header": struct.pack("<Q", 1_000_001) + b"{" + b'"a":[' * 200_000,
        "a tensor that claims 2**50": safetensors(1 << 50),
        "nested tuples": b"\x80\x02" + b"(" * 1_000_000 + b"t" * 1_000_000 + b".",
        "a pickle that claims 2**40 bytes": b"\x80\x02\x8e" + struct.pack("<Q", 1 << 40),
    }.items():
        yield Case(f"weights: {name}", holding("weights.pt", raw), weights)
    gzip_bomb = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff" + deflated(300 << 20)
    cifar = (("train", "--headless", "--dataset", "cifar10", "--data-dir", "data"),)
    yield Case("archive: a bomb", holding("data/cifar-10-python.tar.gz", gzip_bomb), cifar)
    folder = (("train", "--headless", "--dataset", "imagefolder", "--data-dir", "pictures"),)
    for name, raw in {
        "50,000 x 50,000": png(50_000, 50_000, rows=10),
        "13,000 x 13,000": png(13_000, 13_000),
        "2**31 x 1": png(2**31 - 1, 1, rows=0),
        "text that unpacks": with_text(png(8, 8)),
        "nothing": b"",
    }.items():
        yield Case(f"picture: {name}", pictured(raw), folder)


def deflated(size: int) -> bytes:
    """Return so many zeros as they stand in a gzip or zip file."""
    import zlib

    packing = zlib.compressobj(9, zlib.DEFLATED, -15)
    return b"".join(packing.compress(bytes(1 << 20)) for _ in range(size >> 20)) + packing.flush()


def bomb() -> bytes:
    """Return a torch file whose pickle unpacks to 300 MB."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(300 << 20))
    return buffer.getvalue()


def claiming() -> bytes:
    """Return a torch file of which an entry claims 4 GB."""
    buffer = io.BytesIO()
    torch.save({"w": torch.ones(4)}, buffer)
    raw = buffer.getvalue()
    size = struct.pack("<L", 16)
    return raw.replace(size * 2, struct.pack("<L", 0xFFFFFFF0) * 2)


def safetensors(elements: int) -> bytes:
    """Return a file with one tensor that claims so many bytes."""
    header = json.dumps({"w": {"dtype": "U8", "shape": [elements], "data_offsets": [0, elements]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(16)


def with_text(raw: bytes) -> bytes:
    """Return the picture with a compressed text of 300 MB before its end."""
    import zlib

    packing = zlib.compressobj(9)
    packed = b"".join(packing.compress(bytes(1 << 20)) for _ in range(300)) + packing.flush()
    content = b"zTXtComment\x00\x00" + packed
    chunk = (len(content) - 4).to_bytes(4, "big") + content + zlib.crc32(content).to_bytes(4, "big")
    return raw[:33] + chunk + raw[33:]


def pictured(raw: bytes) -> Callable[[Path], None]:
    """Return what puts a picture among others."""

    def make(folder: Path) -> None:
        image_folder(folder / "pictures")
        (folder / "pictures" / "train" / "ant" / "9.png").write_bytes(raw)

    return make


def names() -> Iterator[Case]:
    """Yield cases of names that would lead elsewhere; nothing is made."""
    nothing = Case("names", lambda _: None, ())
    outside = ("../outside", "/etc", "../../../../etc/passwd", "/dev/zero", "..", ".", "", "a/../../b", "~root",
               "x" * 5000, "\udcff", "a\nb", "runs/RUN/checkpoints")  # fmt: skip
    for name in outside:
        commands = (("train", "--headless", f"--resume={name}"), ("eval", "--", name), ("watch", "--", name),
                    ("replay", "--", name), ("export", "--", name), ("presets", "--", name),
                    ("train", "--headless", f"--preset={name}"), ("train", "--headless", "--set", f"name={name}"),
                    ("train", "--headless", "--weights", name))  # fmt: skip
        yield Case(f"{name[:30]!r}", nothing.make, commands if name else commands[1:5])


def test_it_is_refused_in_words(
    tmp_path: Path, trained_run: RunDir, cases: Cases, figure: Callable[[str], None]
) -> None:
    commands: list[tuple[str, ...]] = []
    expected: list[tuple[str, frozenset[int]]] = []
    every = (*kinds(cases(GIGABYTE // 8, GIGABYTE)), *contents(), *names())
    for number, case in enumerate(every):
        folder = tmp_path / str(number)
        shutil.copytree(trained_run.path, folder / "runs" / "RUN")
        for made in ("config", "data"):
            (folder / made).mkdir()
        case.make(folder)
        for command in case.commands:
            commands.append((str(folder), *command))
            expected.append((f"{case.name}: {' '.join(command)}", case.allowed))
    before = _listing(tmp_path)
    said = run_limited(commands, tmp_path)
    wrong = [f"{name}: {one}" for (name, allowed), one in zip(expected, said, strict=True) if _is_wrong(one, allowed)]
    assert not wrong, "\n".join([f"{len(wrong)} of {len(said)}", *wrong])
    escaped = {path for path in _listing(tmp_path) - before if "cache" not in path and "/runs/" not in path}
    assert escaped == set()
    memory, seconds = max(one.memory for one in said), max(one.seconds for one in said)
    figure(
        f"{len(said)} of {len(said)} commands on {len(every)} hostile files and names ended in words, in at most "
        f"{memory / 1e6:,.0f} MB and {seconds:.1f} s"
    )


def _listing(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix not in {".lock"}}


def _is_wrong(said: Said, allowed: frozenset[int]) -> bool:
    """Whether a command hung, broke down, said nothing, more than a person reads, or has no such option at all."""
    lines = said.errors.splitlines()
    is_quiet = bool(lines) or said.status == 0
    return (
        said.status not in allowed
        or "Traceback" in said.errors
        or "No such option" in said.errors
        or not is_quiet
        or len(said.errors) > 3500
        or said.memory > MOST_MEMORY
        or said.seconds > PATIENCE
    )


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_the_dashboard_reads_does_not_wait(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "file"
    put("file", kind)(tmp_path)
    assert mistakes.read(place) is None
    assert settings.read(place) == settings.Settings()
    assert settings.read_keys(place)[0] == {}
    with pytest.raises(OSError, match=r"neither a file|Is a directory"):
        list(read_events(place))
    with pytest.raises(OSError, match=r"neither a file|Is a directory"):
        list(read(place))
    tail = LogTail(place, lambda: None)
    tail.start()
    run = RunDir(tmp_path)
    run.events.unlink(missing_ok=True)
    place.rename(run.events)
    feed = ReplayFeed(run)
    feed.begin(lambda: None)
    feed.join(PATIENCE)
    assert "events.jsonl: " in feed.problem
    tail.stop()
    tail.join(PATIENCE)
    assert not tail.is_alive()


def test_a_gigabyte_without_a_line_is_read_in_little_memory(
    tmp_path: Path, cases: Cases, figure: Callable[[str], None]
) -> None:
    """What opens a log to append to it, reads it first."""
    size = cases(GIGABYTE // 8, GIGABYTE)
    path = sparse(tmp_path / "events.jsonl", size)
    tracemalloc.start()
    try:
        log = EventLog(path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    log.close()
    assert log.next_seq == 0
    assert most < 64 << 20
    figure(f"a line of {size / 1e6:,.0f} MB read in {most / 1e6:.0f} MB")
