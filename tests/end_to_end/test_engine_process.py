"""The dashboard's handle of a run's process: what it is told, and that the run does not need it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from processes_support import command_line
from support import outcome, tiny

from engine import order, run_dir
from engine.config import RunConfig
from engine.config_file import to_toml
from engine.event_log import read_events
from engine.events import Progress, RunFinished, RunStarted
from engine.run_dir import RunDir
from resnet_tui.run.process import EngineProcess, Reserve


class Told:
    """Starts a process and keeps what it tells."""

    def __init__(
        self,
        config: RunConfig,
        runs: Path | Reserve,
        on_progress: Callable[[Told], None] | None = None,
        **options: Any,
    ) -> None:
        self.progress: list[Progress] = []
        self.run: RunDir | None = None
        self.failed: tuple[str, int] | None = None
        self._on_progress = on_progress
        self._settled = threading.Event()
        self.process = EngineProcess(
            config,
            runs if isinstance(runs, Reserve) else Reserve(runs),
            on_progress=self._progress,
            on_run_dir=self._begun,
            on_failed=self._failed,
            **options,
        )
        self.process.start()

    def _progress(self, event: Progress) -> None:
        self.progress.append(event)
        if self._on_progress is not None:
            self._on_progress(self)

    def _begun(self, run: RunDir) -> None:
        assert run.config_file.is_file()
        assert run.is_alive() or any(isinstance(event, RunFinished) for event in read_events(run.events))
        self.run = run
        self._settled.set()

    def _failed(self, message: str, status: int) -> None:
        self.failed = message, status
        self._settled.set()

    def settled(self) -> Told:
        assert self._settled.wait(60), "neither begun nor failed"
        return self

    def ended(self) -> Told:
        wait_until(lambda: not self.process.running)
        return self


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_run_begins_goes_on_untold_and_is_resumed(tmp_path: Path) -> None:
    told = Told(tiny(), tmp_path / "runs").settled()
    assert told.progress
    assert told.run is not None
    assert told.run.path.parent == tmp_path / "runs"
    told.process.detach()
    told.ended()
    assert told.failed is None
    ended = outcome(read_events(told.run.events))
    assert (ended.outcome, ended.epochs) == ("completed", 2)
    again = Told(tiny(train__epochs=4), tmp_path / "runs", resume=told.run).settled().ended()
    assert again.failed is None
    assert again.run is not None
    assert again.run.path == told.run.path
    assert outcome(read_events(told.run.events)).epochs == 4


def test_a_run_that_cannot_begin_says_why(tmp_path: Path) -> None:
    nowhere = tiny(data__dataset="imagefolder", data__dir=str(tmp_path / "nowhere"))
    told = Told(nowhere, tmp_path / "runs").settled()
    assert told.failed is not None
    message, status = told.failed
    assert status == 2
    assert message.startswith("data.dir: the folder ")
    assert told.run is None
    assert not (tmp_path / "runs").exists()


def test_a_process_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    at_once = Told(tiny(), tmp_path / "runs")
    at_once.process.cancel()
    later = Told(tiny(), tmp_path / "runs", on_progress=lambda told: told.process.cancel())
    for told in (at_once, later):
        told.settled().ended()
        assert told.failed == (order.STOPPED, 143)
        assert not (tmp_path / "runs").exists()


def test_a_run_that_began_before_it_was_cancelled_ends_in_order(tmp_path: Path) -> None:
    told = Told(tiny(train__epochs=5000), tmp_path / "runs").settled()
    assert told.run is not None
    told.process.cancel()  # by who has not heard yet that it has begun
    told.ended()
    assert outcome(read_events(told.run.events)).outcome == "stopped"
    assert told.run.last.exists()


def hosts(folder: Path) -> list[psutil.Process]:
    """Return the children that train, or wait to train, in a folder below ``folder``."""
    return [
        child for child in psutil.Process().children() if any(str(folder) in word for word in command_line(child))
    ]


def test_a_process_that_waits_takes_the_next_run_and_ends_where_none_comes(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "runs")
    reserve.prepare()
    reserve.prepare()  # there is one
    deadline = time.monotonic() + 60
    while not (found := hosts(tmp_path)):  # it has been started, and is not that program yet
        assert time.monotonic() < deadline
    (waiting,) = found
    told = Told(tiny(), reserve).settled()
    assert told.run is not None
    reserve.prepare()
    reserve.close()
    told.ended()
    (started,) = (event for event in read_events(told.run.events) if isinstance(event, RunStarted))
    assert started.process == waiting.pid
    _, alive = psutil.wait_procs(hosts(tmp_path), timeout=60)
    assert not alive
    assert [run.path for run in run_dir.iterate(tmp_path / "runs")] == [told.run.path]


STARTER = """
import os, sys
from pathlib import Path
from engine.config_file import build_config, read_toml
from resnet_tui.run.process import EngineProcess, Reserve
nothing = lambda *_: None
config = build_config(read_toml(Path(sys.argv[1])), {})
EngineProcess(config, Reserve(Path("runs")), on_progress=nothing, on_run_dir=nothing, on_failed=nothing).start()
os._exit(0)
"""


def test_a_run_outlives_who_started_it(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(to_toml(tiny()))
    paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", STARTER, str(file)], cwd=tmp_path, env=os.environ | paths, check=True)

    def finished() -> bool:
        return any(
            event.kind == "run_finished"
            for run in run_dir.iterate(tmp_path / "runs")
            for event in read_events(run.events)
        )

    wait_until(finished)
    (run,) = run_dir.iterate(tmp_path / "runs")
    assert outcome(read_events(run.events)).outcome == "completed"
