"""The file of the runs that wait: what it keeps, and what it says of one that is damaged."""

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from support import tiny

from engine.errors import UserError, WorldError
from engine.queue.file import Queue
from engine.run_dir import iterate

WRITES = """
import sys
from pathlib import Path
from engine.config import RunConfig
from engine.queue.file import Queue
queue, config = Queue(Path(sys.argv[1])), RunConfig()
print("ready", flush=True)
while True:
    with queue.edit() as draft:
        draft.add("again", config)
        draft.remove([entry.number for entry in draft.entries[:-3]])
"""


def filled(runs: Path, count: int = 3) -> Queue:
    queue = Queue(runs)
    with queue.edit() as draft:
        for seed in range(1, count + 1):
            draft.add("some", tiny(train__seed=seed))
    return queue


def order(queue: Queue) -> list[int]:
    return [entry.number for entry in queue.entries()]


def test_what_was_added_is_there_in_full_and_in_order(tmp_path: Path) -> None:
    queue = filled(tmp_path / "runs")
    again = Queue(tmp_path / "runs")
    assert [entry.config for entry in again.entries()] == [tiny(train__seed=seed) for seed in (1, 2, 3)]
    assert {entry.group for entry in again.entries()} == {"some"}
    assert order(queue) == [1, 2, 3]
    assert list(iterate(tmp_path / "runs")) == [], "the queue is no run"


def test_an_absent_queue_is_empty_and_nothing_is_written_to_read_it(tmp_path: Path) -> None:
    assert Queue(tmp_path / "runs").entries() == ()
    assert not (tmp_path / "runs").exists()


def test_numbers_stay_and_are_never_given_again(tmp_path: Path) -> None:
    queue = filled(tmp_path)
    with queue.edit() as draft:
        draft.move(3, 1)
        draft.remove([1])
    assert order(queue) == [3, 2]
    with queue.edit() as draft:
        draft.remove([2, 3])
        draft.add("", tiny())
    assert order(queue) == [4]


def test_a_number_that_is_not_there_changes_nothing(tmp_path: Path) -> None:
    queue = filled(tmp_path)
    with pytest.raises(UserError, match=r"number 9 is not in the queue: there are 1, 2, 3"), queue.edit() as draft:
        draft.remove([1, 9])
    assert order(queue) == [1, 2, 3]


def test_many_who_add_at_once_lose_nothing(tmp_path: Path) -> None:
    def add() -> None:
        for _ in range(5):
            with Queue(tmp_path).edit() as draft:
                draft.add("", tiny())

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert order(Queue(tmp_path)) == list(range(1, 21))


def test_a_kill_at_any_instant_leaves_a_whole_queue(tmp_path: Path) -> None:
    queue = filled(tmp_path)
    for wait in (0.0, 0.013, 0.05):
        process = subprocess.Popen([sys.executable, "-c", WRITES, str(tmp_path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        threading.Event().wait(wait)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert len(queue.entries()) == 3
        with queue.edit() as draft:
            draft.change(draft.entries[0].number, problem=f"killed after {wait}")
    assert not list(tmp_path.glob("*.tmp")), "what was left by who was killed is cleared away"


def entry(**changes: Any) -> str:
    config = tiny().model_dump(mode="json")
    return json.dumps({"version": 1, "next_number": 2, "entries": [{"number": 1, "config": config} | changes]})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (entry()[:200], "not JSON to its end, at character"),
        ("", "not JSON"),
        ("[" * 100_000, "in each other"),
        ("\x00\xff", "damaged"),
        ("{}", "no version"),
        ('{"version": 0, "entries": []}', "version 0, where this program knows 1"),
        (entry(number=0), "entries.0.number"),
        (entry(number=2), "not below next_number"),
        (entry(run="../../elsewhere"), "the name of a folder in the runs folder"),
        (entry(run="C:elsewhere"), "the name of a folder in the runs folder"),
        (entry(config={"optim": {"lr": -1}}), "entries.0.config.optim.lr"),
        (entry(other=1), "entries.0.other"),
    ],
)
def test_a_damaged_queue_says_what_and_where_and_stays_as_it_is(tmp_path: Path, content: str, said: str) -> None:
    queue = Queue(tmp_path)
    queue.path.write_text(content, encoding="latin-1")
    with pytest.raises(WorldError, match=r"queue\.json: damaged: .*Put it aside") as raised:
        queue.entries()
    assert said in str(raised.value)
    assert f"resnet-tui runs --runs-dir {tmp_path} lists them" in str(raised.value)
    with pytest.raises(WorldError), queue.edit() as draft:
        draft.add("", tiny())
    assert queue.path.read_text(encoding="latin-1") == content


def test_a_queue_of_a_newer_program_is_not_called_damaged(tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    queue.path.write_text('{"version": 99, "entries": "of another kind"}')
    with pytest.raises(WorldError, match="made by a newer program: version 99, where this one knows 1") as raised:
        queue.entries()
    assert "damaged" not in str(raised.value)
    assert "update" in str(raised.value)


def test_what_was_typed_is_kept_and_older_queues_have_none(tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    queue.path.write_text(entry())
    with queue.edit() as draft:
        draft.add("", tiny(), preset="quickstart", case="optim.lr=0.1")
    old, new = queue.entries()
    assert (old.called, old.case) == ("tiny", "")
    assert (new.called, new.case) == ("quickstart (tiny)", "optim.lr=0.1")


def test_text_of_a_hostile_queue_is_fit_for_a_terminal(tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    queue.path.write_text(entry(group="a\x1b[31m\nb", problem="\x07\u202e"))
    (found,) = queue.entries()
    assert found.group.isprintable()
    assert "\x07" not in found.problem
