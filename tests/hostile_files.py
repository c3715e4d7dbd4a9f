"""Files made to harm by their size or kind, and a process in which commands meet them under a limit of memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MEMORY = 700 << 20
"""Bytes that a command may take beyond what it has at its start."""
PATIENCE = 60
"""Seconds: what still goes on then waits for something that never comes, or reads without end."""

_CHILD = """
import contextlib, io, json, os, resource, signal, sys, time, traceback
from resnet_tui.start import main
import torch, engine.host, engine.evaluate_saved, engine.weights.read, engine.data.imagefolder, engine.data.cifar

most, patience, commands = json.loads(sys.argv[1])

def size():
    return int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()

def highest():
    lines = open("/proc/self/status").read().split("VmHWM:")
    return int(lines[1].split()[0]) * 1024

def late(*_):
    raise SystemExit("it hangs")

os._exit = sys.exit  # how a command ends over an error of the system, so that no stream complains once more
signal.signal(signal.SIGALRM, late)
for folder, *command in commands:
    os.chdir(folder)
    os.environ["RESNET_TUI_CONFIG"] = folder + "/config"
    open("/proc/self/clear_refs", "w").write("5")  # the highest so far is forgotten
    before = highest()
    resource.setrlimit(resource.RLIMIT_AS, (size() + most, resource.RLIM_INFINITY))
    out, errors, began, status = io.StringIO(), io.StringIO(), time.monotonic(), 0
    sys.argv = ["resnet-tui", *command]
    signal.alarm(patience)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        try:
            main()
        except SystemExit as ended:
            status = ended.code or 0
        except BaseException:
            status = traceback.format_exc()
    signal.alarm(0)
    said = [status, out.getvalue()[-4000:], errors.getvalue()[-4000:], highest() - before, time.monotonic() - began]
    sys.__stdout__.write(json.dumps(said) + "\\n")
    sys.__stdout__.flush()
    if status == "it hangs":
        break
"""


@dataclass(frozen=True)
class Said:
    """What became of a command."""

    status: int | str
    """Its exit status; what went wrong, where it has none."""
    out: str
    errors: str
    memory: int
    """Bytes that it took beyond what it had at its start, at most."""
    seconds: float


def run_limited(commands: Sequence[Sequence[str]], cwd: Path, **environment: str) -> list[Said]:
    """Run commands one after another in one process, each under ``MEMORY`` and ``PATIENCE``."""
    ended = subprocess.run(
        [sys.executable, "-c", _CHILD, json.dumps([MEMORY, PATIENCE, commands])],
        cwd=cwd,
        env=os.environ | {"RESNET_TUI_CACHE": str(cwd / "cache"), "COLUMNS": "120"} | environment,
        capture_output=True,
        text=True,
        timeout=60 + PATIENCE * len(commands),
        check=False,
    )
    said = ended.stdout.splitlines()
    assert len(said) == len(commands), f"{commands[len(said)]}: {ended.returncode}: {ended.stderr[-3000:]}"
    return [Said(*json.loads(line)) for line in said]


def sparse(path: Path, size: int, start: bytes = b"") -> Path:
    """Make a file of ``size`` bytes, zeros after ``start``, that takes no room."""
    with path.open("wb") as file:
        file.write(start)
        file.truncate(size)
    return path


def png(width: int, height: int, rows: int | None = None) -> bytes:
    """Return a black picture as small as compression makes it; with ``rows``, of which only so many are there."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + kind + content + check

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x00\x00\x00\x00"
    packing = zlib.compressobj(1)
    packed = b"".join(packing.compress(bytes(width + 1)) for _ in range(height if rows is None else rows))
    packed += packing.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
