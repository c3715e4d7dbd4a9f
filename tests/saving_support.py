"""Runs in processes of their own that can be killed, or be refused a write, at any step of saving a checkpoint."""

from __future__ import annotations

import errno
import io
import json
import multiprocessing
import os
import signal
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support import tiny, train

from engine.checkpoint import load_checkpoint
from engine.config import RunConfig
from engine.errors import UserError
from engine.events import Event, Step
from engine.host import run_in_foreground
from engine.run_dir import RunDir, iterate

EPOCHS, STEPS_PER_EPOCH = 3, 5


class Steps:
    """The steps of saving in this process, in order; at one of them it does what it is told."""

    def __init__(self, at: int | None, act: Callable[[], None]) -> None:
        self.seen: list[str] = []
        self._at, self._act = at, act

    def reach(self, what: str) -> None:
        self.seen.append(what)
        if len(self.seen) - 1 == self._at:
            self._act()


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def refuse() -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


_ACTS = {"kill": kill, "refuse": refuse}


class Watched(io.BufferedWriter):
    """A file whose content is written in two halves."""

    def __init__(self, path: Path, steps: Steps) -> None:
        super().__init__(io.FileIO(path, "w"))
        self._steps = steps

    def write(self, content: Any, /) -> int:
        self._steps.reach("write")
        half = len(content) // 2
        written = super().write(content[:half])
        super().flush()
        self._steps.reach("write the second half")
        return written + super().write(content[half:])

    def flush(self) -> None:
        if not self.closed:
            self._steps.reach("flush")
            super().flush()


def hook(steps: Steps) -> None:
    """Let every call that saving a checkpoint makes pass through ``steps`` first. Not to be undone."""
    opening, replacing, syncing = Path.open, Path.replace, os.fsync
    watched: list[Watched] = []

    def opened(path: Path, mode: str = "r", *rest: Any, **named: Any) -> Any:
        if path.parent.name != "checkpoints" or "w" not in mode:
            return opening(path, mode, *rest, **named)
        steps.reach("open")
        watched.append(Watched(path, steps))
        return watched[-1]

    def replaced(path: Path, target: Path) -> Path:
        if target.parent.name == "checkpoints":
            steps.reach(f"rename to {target.name}")
        return replacing(path, target)

    def synced(descriptor: int) -> None:
        if any(not file.closed and file.fileno() == descriptor for file in watched):
            steps.reach("sync")
        elif stat.S_ISDIR(os.fstat(descriptor).st_mode):
            steps.reach("sync the folder")
        else:
            steps.reach("sync the log")
        syncing(descriptor)

    Path.open, Path.replace, os.fsync = opened, replaced, synced  # type: ignore[assignment]


def _config(every: int) -> RunConfig:
    return tiny(train__epochs=EPOCHS, train__checkpoint_every_steps=every, telemetry__every_steps=1)


def train_here(folder: Path, every: int, at: int | None, act: str) -> None:
    """Train the run in ``folder``, or go on with it; write the steps of saving to ``told.json`` beside it."""
    steps = Steps(at, _ACTS[act])
    hook(steps)
    config = _config(every)
    problem = ""
    try:
        train(config, folder / "runs", resume=next(iterate(folder / "runs"), None))
    except UserError as error:
        problem = str(error)
    (folder / "told.json").write_text(json.dumps({"steps": steps.seen, "problem": problem}))


_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["__main__", "engine.loop", "engine.host", "torch._dynamo"])  # once for all


def in_a_process(folder: Path, every: int, at: int | None = None, act: str = "kill") -> int:
    """Call ``train_here`` in a process of its own; return its exit status, negative for a signal."""
    folder.mkdir(exist_ok=True)
    process = _processes.Process(target=train_here, args=(folder, every, at, act))
    process.start()
    process.join(120)
    assert process.exitcode is not None, "it hangs"
    return process.exitcode


class _Refusing(Steps):
    """Refuses one kind of step, from its n-th on, for as long as there is a file ``full``."""

    def __init__(self, folder: Path, kind: str, nth: int) -> None:
        super().__init__(None, kill)
        self._full, self._kind, self._nth = folder / "full", kind, nth

    def reach(self, what: str) -> None:
        super().reach(what)
        if what == self._kind and self.seen.count(what) >= self._nth and self._full.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class _Holding:
    """A sink that lets the run wait at a step while there is a file ``hold``."""

    def __init__(self, folder: Path, step: int) -> None:
        self._hold, self._step = folder / "hold", step

    def emit(self, event: Event) -> None:
        while isinstance(event, Step) and event.step == self._step and self._hold.exists():
            time.sleep(0.01)

    def close(self) -> None:
        pass


def train_in_background(folder: Path, every: int, refuse: str, nth: int, hold_at: int) -> None:
    """Train as ``train --headless`` does."""
    hook(_Refusing(folder, refuse, nth))
    sinks = [_Holding(folder, hold_at)]
    sys.exit(run_in_foreground(_config(every), runs=folder / "runs", sinks=sinks))


class Background:
    """A run in a process of its own; as long as it is entered."""

    def __init__(self, folder: Path, every: int, refuse: str = "", nth: int = 0, hold_at: int = 0) -> None:
        """Begin.

        Args:
            folder: gets ``runs``; the file ``full`` in it makes calls fail, ``hold`` lets the run wait.
            every: steps between two checkpoints.
            refuse: which step of saving fails.
            nth: the first of these that does.
            hold_at: at which step the run waits for ``go_on``.
        """
        folder.mkdir(exist_ok=True)
        self._folder = folder
        for name, wanted in (("full", refuse), ("hold", hold_at)):
            if wanted:
                (folder / name).touch()
        self._process = _processes.Process(target=train_in_background, args=(folder, every, refuse, nth, hold_at))

    def __enter__(self) -> Background:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def run_dir(self) -> RunDir:
        """Wait until the run has a log, and return its folder."""
        deadline = time.monotonic() + 60
        while not (runs := [run for run in iterate(self._folder / "runs") if run.events.exists()]):
            assert self.is_alive(), "it ended"
            assert time.monotonic() < deadline, "it never began"
            time.sleep(0.01)
        return runs[0]

    def go_on(self) -> None:
        (self._folder / "hold").unlink()

    def is_alive(self) -> bool:
        return self._process.is_alive()

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def status(self) -> int:
        """Wait for the end and return the exit status, negative for a signal."""
        self._process.join(60)
        assert self._process.exitcode is not None, "it hangs"
        return self._process.exitcode


def told(folder: Path) -> dict[str, Any]:
    """Return what ``train_here`` wrote."""
    found: dict[str, Any] = json.loads((folder / "told.json").read_text())
    return found


def only_run(folder: Path) -> RunDir:
    (run,) = iterate(folder / "runs")
    return run


def digests(run: RunDir) -> tuple[str, ...]:
    """Return the hash over everything in ``last`` and in ``best``."""
    return tuple(_digest(path) for path in (run.last, run.best))


def _digest(checkpoint: Path) -> str:
    load_checkpoint(checkpoint)  # what is hashed is there
    content = checkpoint.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    found: str = header["__metadata__"]["sha256"]
    return found
