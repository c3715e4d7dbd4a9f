"""A finished run that several tests look at; and no test, however it ends, leaves a run behind."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import tiny, train

from engine.run_dir import RunDir, iterate


@pytest.fixture(autouse=True)
def no_run_is_left_behind(tmp_path: Path) -> Iterator[None]:
    """End the processes of the test's runs."""
    yield
    for run in iterate(tmp_path / "runs"):
        if run.is_alive():
            with contextlib.suppress(OSError, ValueError):
                process = int(run.heartbeat.read_text())
                if process != os.getpid():
                    os.kill(process, signal.SIGKILL)


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """Train a tiny run to its end."""
    runs = tmp_path_factory.mktemp("finished")
    train(tiny(train__epochs=4), runs)
    (run,) = iterate(runs)
    return run
