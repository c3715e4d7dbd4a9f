"""A run's folder: whether it is alive, and that nothing but a dead run's own is ever deleted."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support import tiny

from engine import run_dir
from engine.errors import UserError
from engine.run_dir import RunDir

ASK = """
import sys
from pathlib import Path
from engine.run_dir import RunDir
run = RunDir(Path(sys.argv[1]))
print(sum(run.is_alive() for _ in range(20_000)))
"""


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return run_dir.create(tmp_path / "runs", tiny())


def test_readers_asking_at_once_mislead_neither_each_other_nor_the_writer(run: RunDir) -> None:
    run.release()
    asking = [subprocess.Popen([sys.executable, "-c", ASK, str(run.path)], stdout=subprocess.PIPE) for _ in range(2)]
    answers = [process.communicate(timeout=60)[0].strip() for process in asking]
    assert answers == [b"0", b"0"], "a reader took another for the writer"
    stop = threading.Event()

    def ask() -> None:
        while not stop.wait(0.01):
            run.is_alive()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            writer = RunDir(run.path)
            writer.acquire()
            assert run.is_alive()
            writer.release()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not run.is_alive()


def test_a_reader_without_the_right_to_write_sees_whether_it_is_alive(run: RunDir) -> None:
    (run.path / "lock").chmod(0o444)
    assert RunDir(run.path).is_alive()
    run.release()
    assert not RunDir(run.path).is_alive()


def test_a_run_is_removed_once_it_is_dead_and_links_in_it_are_not_followed(run: RunDir, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ".kept.tmp").write_text("mine")
    run.checkpoints.rmdir()
    run.checkpoints.symlink_to(elsewhere)
    with pytest.raises(UserError, match="being trained by another process"):
        RunDir(run.path).remove()
    assert run.config_file.is_file()
    run.release()
    RunDir(run.path).remove()
    assert not run.path.exists()
    assert (elsewhere / ".kept.tmp").read_text() == "mine"


def test_what_is_no_run_is_not_removed(run: RunDir, tmp_path: Path) -> None:
    run.release()
    link = tmp_path / "link"
    link.symlink_to(run.path)
    project = tmp_path / "project"
    project.mkdir()
    (project / "config.toml").touch()
    for other in (link, project, tmp_path, tmp_path / "nothing"):
        with pytest.raises(UserError, match="is no run's folder"):
            RunDir(other).remove()
    assert run.config_file.is_file()
    assert link.is_symlink()
    assert (project / "config.toml").exists()
