"""What holds for every test: one thread a process, compiled modules kept, nothing left running, commands run here.

``pytest --thorough tests/promises`` tries as many cases as ``docs/reliability.md`` tells of, and prints its figures;
without it, as many as fit into a few minutes.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from _pytest.terminal import TerminalReporter
from network_support import Guard

from engine.run_dir import iterate

if TYPE_CHECKING:
    from support import Cases, Cli, Figure

# Test processes share the cores, and threads that spin for each other cost far more.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure(config: pytest.Config) -> None:
    """Let the processes that tests start find modules compiled, and take signals, however the tests were started.

    Such a process imports torch, and compiling that anew, where Python was told to keep nothing compiled, takes as
    long again. Nothing is written beside the sources; where Python keeps compiled modules anyway, nothing changes.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:  # in the background, or under nohup; a child would inherit it
            signal.signal(number, signal.SIG_DFL)
    cache = getattr(config, "cache", None)  # there is none with -p no:cacheprovider
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", "") and cache is not None:
        os.environ.setdefault("PYTHONPYCACHEPREFIX", str(cache.mkdir("bytecode")))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a person ask for all cases."""
    parser.addoption("--thorough", action="store_true", help="Try every promise with all its cases.")


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print the figures that tests of promises gave."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    figures = [f"{value}  ({report.nodeid.rpartition('::')[2]}, {report.duration:.1f} s)"
               for report in reports for name, value in report.user_properties if name == "figure"]  # fmt: skip
    if figures:
        terminalreporter.section("figures of the promises")
        for line in figures:
            terminalreporter.write_line(line)


@pytest.fixture
def cases(request: pytest.FixtureRequest) -> Cases:
    """Return ``cases(quick, thorough)``: how many to try."""
    return lambda quick, thorough: thorough if request.config.getoption("--thorough") else quick


@pytest.fixture
def figure(record_property: Figure) -> Callable[[str], None]:
    """Return a function that tells what a test of a promise found, such as ``25 of 25 kills survived``."""
    return lambda found: record_property("figure", found)


_guard = Guard()


@pytest.fixture(scope="session", autouse=True)
def _guarded() -> Iterator[None]:
    """Watch every socket for as long as there are tests."""
    with pytest.MonkeyPatch.context() as patch:
        _guard.install(patch)
        yield


@pytest.fixture(autouse=True)
def no_network(_guarded: None) -> Iterator[None]:
    """Fail a test that uses the network, also in a thread or where it catches what comes of it."""
    yield
    used = _guard.seen.copy()
    _guard.seen.clear()
    assert not used, f"the network was used: {', '.join(used)}"


@pytest.fixture
def loopback(no_network: None) -> Iterator[None]:
    """Let a test reach what it serves on this machine, and nothing beyond."""
    _guard.loopback_allowed = True
    yield
    _guard.loopback_allowed = False


@pytest.fixture(autouse=True)
def no_run_is_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """End the processes of the test's runs, however it ends: an endless one would slow down all that come after."""
    folder = request.getfixturevalue("tmp_path") / "runs" if "tmp_path" in request.fixturenames else None
    yield
    for run in iterate(folder) if folder is not None else ():
        if run.is_alive():
            with contextlib.suppress(OSError, ValueError, IndexError):
                process = int(run.heartbeat.read_text().split()[0])
                if process != os.getpid():
                    os.kill(process, signal.SIGKILL)


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    """Run ``resnet-tui`` as ``support.run_cli`` does, but in this process, which has torch in memory already."""
    from resnet_tui.start import main

    def run(*arguments: str, cwd: Path = tmp_path, **environment: Any) -> CompletedProcess[str]:
        given = {"RESNET_TUI_CACHE": cwd / "cache", "COLUMNS": 120} | environment
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", ["resnet-tui", *arguments])
        capsys.readouterr()
        # Put back afterwards: a command hands its folder on to what it starts in a variable.
        variables = mock.patch.dict(os.environ, {name: str(value) for name, value in given.items()})
        with variables, pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        status = ended.value.code or 0
        assert isinstance(status, int)
        return CompletedProcess(sys.argv, status, out, err)

    yield run
    logging.captureWarnings(False)
    for name in ("engine", "py.warnings"):  # a run's log.txt must not get what other tests say
        logger = logging.getLogger(name)
        logger.propagate = True
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            handler.close()
