"""No run is shown as running that is not, and none is trained by two processes."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from support import Cases, Cli, tiny, train

from engine.control import Pause, post
from engine.event_log import read_events
from engine.events import RunStarted, Step
from engine.resume_check import attempt, process_context
from engine.run_dir import RunDir, iterate

STREAMED: dict[str, Any] = {"data__residence": "stream", "data__workers": 2}
LONGEST = 60.0


def begin(folder: Path, run: RunDir | None, number: int = 0, **settings: Any) -> BaseProcess:
    config = tiny(train__epochs=100_000, train__checkpoint_every_steps=5, **settings)
    resume = run.path if run is not None else None
    arguments = config, folder / "runs", resume, folder / f"said-{number}.txt", 1
    process: BaseProcess = process_context().Process(target=attempt, args=arguments)
    process.start()
    return process


def wait(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < deadline, "never came"
        time.sleep(0.01)


def started(run: RunDir) -> int:
    return sum(isinstance(event, RunStarted) for event in read_events(run.events))


@pytest.mark.parametrize("settings", [{}, STREAMED], ids=["memory", "stream"])
def test_a_killed_run_is_listed_as_lost(
    settings: dict[str, Any], tmp_path: Path, cli: Cli, cases: Cases, figure: Callable[[str], None]
) -> None:
    slowest = 0.0
    for case in range(cases(1, 10)):
        folder = tmp_path / str(case)
        folder.mkdir()

        def state(runs: Path = folder / "runs") -> str:
            (entry,) = json.loads(cli("runs", "--json", "--runs-dir", str(runs)).stdout)
            return str(entry["state"])

        process = begin(folder, None, **settings)
        try:
            wait(lambda: any(isinstance(e, Step) for r in iterate(folder / "runs") for e in read_events(r.events)))  # noqa: B023 (called at once)
            assert state() == "running"
        finally:
            process.kill()
        killed = time.monotonic()
        process.join()
        (run,) = iterate(folder / "runs")
        # Its number goes to another process, which is alive, and the file looks as if it had just been touched.
        os.utime(run.heartbeat)
        run.heartbeat.write_bytes(run.heartbeat.read_bytes().replace(b"%d" % (process.pid or 0), b"%d" % os.getpid()))
        wait(lambda: state() == "lost")
        slowest = max(slowest, time.monotonic() - killed)
        run.heartbeat.unlink()  # or the end of this test would end this process
        assert slowest < 5
    figure(f"{cases(1, 10)} of {cases(1, 10)} killed runs listed as lost within {slowest:.2f} s, their number reused")


def test_of_two_resumes_at_once_one_trains(tmp_path: Path, cases: Cases, figure: Callable[[str], None]) -> None:
    train(tiny(train__epochs=1), tmp_path / "begun")
    (begun,) = iterate(tmp_path / "begun")
    config = begun.config_file.read_text()
    assert "epochs = 1\n" in config
    begun.config_file.write_text(config.replace("epochs = 1\n", "epochs = 100000\n"))
    wanted, together = cases(10, 100), 5
    for first in range(0, wanted, together):
        numbers = range(first, min(first + together, wanted))
        folders = [tmp_path / str(number) for number in numbers]
        for folder in folders:
            shutil.copytree(begun.path, folder / "runs" / "run")
        _both_at_once(folders)
    figure(f"{wanted} of {wanted} times one of two resumes at once trained, and the other was refused")


def _both_at_once(folders: list[Path]) -> None:
    runs = [RunDir(folder / "runs" / "run") for folder in folders]
    pairs = [[begin(folder, run, 0), begin(folder, run, 1)] for folder, run in zip(folders, runs, strict=True)]
    try:
        for folder, run, pair in zip(folders, runs, pairs, strict=True):
            wait(lambda: started(run) > 1)  # noqa: B023 (called at once)
            post(run.control, Pause())  # it has shown that it trains, and others want the processor
            wait(lambda: any(process.exitcode is not None for process in pair))  # noqa: B023
            refused = [number for number, process in enumerate(pair) if process.exitcode is not None]
            assert len(refused) == 1, "neither trains"
            said = (folder / f"said-{refused[0]}.txt").read_text()
            assert pair[refused[0]].exitcode == 2, said
            assert "is being trained by another process" in said
            assert started(run) == 2, "the second began as well"
    finally:
        for process in (process for pair in pairs for process in pair):
            process.kill()
            process.join()
