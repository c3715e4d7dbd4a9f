"""What several tests share: tiny configurations, sinks that keep events, and the legal order of events."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from engine.config import RunConfig
from engine.config_file import build_config
from engine.control import Control, StopNow
from engine.events import Event, RunFinished, Step
from engine.run_dir import RunDir
from engine.sinks import Sink
from engine.thread import EngineThread

TINY: dict[str, Any] = {
    "name": "tiny",
    "model": {"depth": 8},
    "data": {"dataset": "synthetic", "synthetic_size": 72, "synthetic_classes": 3, "image_size": 16},
    "optim": {"lr": 0.05},
    "train": {"epochs": 2, "batch_size": 16, "device": "cpu"},
    "telemetry": {"every_steps": 2},
}
"""Five steps an epoch, the last of 8 images; an epoch takes a few hundredths of a second."""


def tiny(**settings: Any) -> RunConfig:
    """Return ``TINY`` with ``section__key`` settings changed."""
    flags = {key.replace("__", "."): (key, value) for key, value in settings.items()}
    return build_config(TINY, flags, "tiny")


class Recorder:
    """A sink that keeps every event and lets a test act on one or wait for one."""

    def __init__(self, on_event: Callable[[Event], None] | None = None) -> None:
        self.events: list[Event] = []
        self.closed = False
        self._changed = threading.Condition()
        self._on_event = on_event

    def emit(self, event: Event) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()
        if self._on_event is not None:
            self._on_event(event)

    def close(self) -> None:
        self.closed = True

    def wait_for(self, wanted: Callable[[Event], bool], timeout: float = 60) -> None:
        with self._changed:
            seen = self._changed.wait_for(lambda: any(wanted(event) for event in self.events), timeout)
        assert seen, f"never came; the last were {self.events[-3:]}"


def train(
    config: RunConfig,
    runs: Path | None = None,
    *,
    resume: RunDir | None = None,
    on_event: Callable[[Event], None] | None = None,
    control: Control | None = None,
    sinks: Sequence[Sink] = (),
) -> list[Event]:
    """Train to the end in an engine thread and return what was said."""
    recorder = Recorder(on_event)
    thread = EngineThread(config, runs=runs, resume=resume, sinks=[recorder, *sinks], control=control)
    thread.start()
    thread.result()
    assert recorder.closed
    return recorder.events


def stop_at(step: int) -> tuple[Control, Callable[[Event], None]]:
    """Return a control, and a listener that stops the run once ``step`` was told."""
    control = Control()

    def on_event(event: Event) -> None:
        if isinstance(event, Step) and event.step == step:
            control.send(StopNow())

    return control, on_event


E = TypeVar("E", bound=Event)


def of(events: Iterable[Event], kind: type[E]) -> list[E]:
    """Return the events of one kind."""
    return [event for event in events if isinstance(event, kind)]


_LETTERS = {
    "progress": "p",
    "run_started": "R",
    "model_built": "M",
    "weights_loaded": "l",
    "epoch_started": "E",
    "pruned": "x",
    "step": "s",
    "grad_norms": "g",
    "system": "y",
    "evaluated": "v",
    "checkpoint_saved": "c",
    "control_applied": "a",
    "warning": "w",
    "run_finished": "F",
}
LEGAL_ORDER = re.compile("p*Rl?M(E[yavcpw]*x?(sg?|[yavcpw])*)*F")
"""The order that the docstring of ``engine.events`` allows, a letter a kind."""


def letters(events: Iterable[Event]) -> str:
    """Write the kinds of ``events`` as a word."""
    return "".join(_LETTERS[event.kind] for event in events)


Cases = Callable[[int, int], int]
"""Of two numbers of cases, the one to try: the first in every run of the tests, the second with ``--thorough``."""
Figure = Callable[[str, object], None]

Cli = Callable[..., subprocess.CompletedProcess[str]]
"""Runs ``resnet-tui`` with arguments; a folder as ``cwd`` and variables may be given."""


def run_cli(*arguments: str, cwd: Path, timeout: float = 120, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``resnet-tui`` as a user would, with its own cache folder below ``cwd``."""
    return subprocess.run(
        [sys.executable, "-m", "resnet_tui", *arguments],
        cwd=cwd,
        env=os.environ | {"RESNET_TUI_CACHE": str(cwd / "cache"), "COLUMNS": "120"} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def outcome(events: Iterable[Event]) -> RunFinished:
    """Return the last event, which must be ``run_finished``."""
    last = list(events)[-1]
    assert isinstance(last, RunFinished), last
    return last
