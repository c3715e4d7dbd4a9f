"""How a run that is wanted stands, and which runs of a folder count for a campaign."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from made_run import MadeRun
from runs_support import keep
from support import tiny

from engine.config import RunConfig
from engine.data import cifar
from engine.errors import WorldError
from engine.events import ControlApplied, Event
from engine.queue import standing
from engine.queue.campaign import Campaign
from engine.queue.file import Entry, Queue
from engine.queue.locks import is_held, lock, run_lock, worker_lock
from engine.queue.standing import Standing, State, stands
from engine.run_dir import RunDir
from resnet_tui.commands import queue as commands
from resnet_tui.commands.working import finish


def finished(outcome: str) -> list[Event]:
    made = MadeRun(2)
    return [*made.begin(), *made.epoch(1), *made.end_epoch(1, 0.5), made.finish(outcome)]


def killed() -> list[Event]:
    return finished("completed")[:-1]


def entry(run: str = "", problem: str = "", device: str = "") -> Entry:
    return Entry(number=1, config=MadeRun(2).config, run=run, problem=problem, device=device)


@pytest.mark.parametrize(
    ("events", "state"),
    [
        (finished("completed"), "done"),
        (finished("stopped"), "interrupted"),
        (killed(), "interrupted"),
        ([], "interrupted"),
        (finished("failed"), "failed"),
        (finished("diverged"), "diverged"),
    ],
)
def test_a_run_s_own_folder_says_how_it_stands(tmp_path: Path, events: Iterable[Event], state: State) -> None:
    keep(tmp_path, "one", events, MadeRun(2))
    assert stands(tmp_path, entry("one")).state == state


def test_before_there_is_a_folder_the_queue_says_it(tmp_path: Path) -> None:
    assert stands(tmp_path, entry()).state == "waiting"
    assert stands(tmp_path, entry("deleted")).state == "gone"
    refused = stands(tmp_path, entry(problem="no such data"))
    assert (refused.state, refused.reason) == ("failed", "no such data")


def test_a_run_that_is_held_is_running(tmp_path: Path) -> None:
    run = keep(tmp_path, "one", killed(), MadeRun(2))
    run.acquire()
    assert stands(tmp_path, entry("one")).state == "running"
    run.release()
    assert stands(tmp_path, entry("one")).state == "interrupted"


@pytest.mark.parametrize("which", [worker_lock, run_lock])
def test_a_run_in_hand_counts_as_running_only_while_its_device_is_held(tmp_path: Path, which: object) -> None:
    assert callable(which)
    with lock(which(tmp_path, "cuda:1"), seconds=0):
        assert stands(tmp_path, entry(device="cuda:1")).state == "running"
        assert stands(tmp_path, entry(device="cuda:0")).state == "waiting"
    assert stands(tmp_path, entry(device="cuda:1")).state == "waiting"


def test_a_lock_is_held_by_one_at_a_time_and_given_back(tmp_path: Path) -> None:
    path = worker_lock(tmp_path, "cpu")
    assert not is_held(path)
    with lock(path, seconds=0):
        assert is_held(path)
        with pytest.raises(TimeoutError), lock(path, seconds=0):
            pass
    assert not is_held(path)


def campaign(runs: Path, *configured: MadeRun) -> Campaign:
    return Campaign(Queue(runs), "some", tuple(made.config for made in configured))


def test_only_what_is_not_done_is_put_into_the_queue(tmp_path: Path) -> None:
    done, stopped, new = MadeRun(1), MadeRun(2), MadeRun(3)
    keep(tmp_path, "done", done.whole([0.5]), done)
    keep(tmp_path, "stopped", finished("stopped"), stopped)
    wanted = campaign(tmp_path, done, stopped, new)
    assert wanted.plan() == {1, 2}
    assert [one.run for one in wanted.queue.entries()] == ["stopped", ""]
    assert [one.state for one in wanted.standings()] == ["done", "interrupted", "waiting"]
    assert wanted.plan() == {1, 2}, "planned again, nothing is there twice"


def test_many_runs_are_planned_in_one_look_at_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dumps = []
    dump = RunConfig.model_dump_json

    def counted(config: RunConfig, **options: Any) -> str:
        dumps.append(config)
        return dump(config, **options)

    wanted = campaign(tmp_path, *(MadeRun(epochs) for epochs in range(1, 31)))
    monkeypatch.setattr(RunConfig, "model_dump_json", counted)
    assert wanted.plan() == set(range(1, 31))
    assert wanted.plan() == set(range(1, 31))
    assert [one.state for one in wanted.standings()] == ["waiting"] * 30
    assert len(dumps) <= 5 * 30, "not one for every pair"


def test_logs_are_read_before_the_queue_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = MadeRun(1)
    keep(tmp_path, "one", made.whole([0.5]), made)
    queue = Queue(tmp_path)
    with queue.edit() as draft:
        for _ in range(3):
            draft.add("", made.config, "one")
    looked = []

    def unlocked(runs: Path, entry: Entry) -> Standing:
        assert not is_held(runs / ".queue.lock")
        looked.append(entry.number)
        return stands(runs, entry)

    monkeypatch.setattr(standing, "stands", unlocked)
    commands.remove([2], tmp_path)
    assert [entry.number for entry in queue.entries()] == [1, 3]
    commands.clear(tmp_path)
    assert queue.entries() == ()
    assert looked == [2, 1, 3]


def test_data_that_cannot_be_had_is_said_once_and_nothing_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object) -> Iterator[None]:
        raise WorldError("no connection")
        yield

    monkeypatch.setattr(cifar, "make_ready", offline)
    config = tiny(data__dataset="cifar10")
    wanted = Campaign(Queue(tmp_path), "some", (config, tiny(data__dataset="cifar10", train__seed=2)))
    with pytest.raises(WorldError, match="no connection"):
        finish(wanted, quiet=False)
    assert wanted.queue.entries() == ()


def test_where_a_run_was_trained_makes_no_difference_and_all_else_does(tmp_path: Path) -> None:
    made = MadeRun(1)
    keep(tmp_path, "done", made.whole([0.5]), made, train__device="cpu")
    assert campaign(tmp_path, made).plan() == set()
    keep(tmp_path, "other seed", MadeRun(2).whole([0.5, 0.5]), MadeRun(2), train__seed=7)
    assert campaign(tmp_path, MadeRun(2)).plan() == {1}


def test_a_run_that_diverged_is_not_tried_again(tmp_path: Path) -> None:
    keep(tmp_path, "one", finished("diverged"), MadeRun(2))
    wanted = campaign(tmp_path, MadeRun(2))
    assert wanted.plan() == set()
    assert [one.state for one in wanted.standings()] == ["diverged"]


def test_a_run_whose_rate_was_changed_by_hand_is_another_one(tmp_path: Path) -> None:
    made = MadeRun(1)
    changed = ControlApplied(step=1, command="set_learning_rate", value=0.5, source="viewer", id="x")
    begun = [*made.begin(), *made.epoch(1)]
    keep(tmp_path, "one", [*begun, made.at(changed), *made.end_epoch(1, 0.5), made.finish()], made)
    assert campaign(tmp_path, made).plan() == {1}


def test_a_damaged_run_in_the_folder_hides_no_other(tmp_path: Path) -> None:
    made = MadeRun(1)
    keep(tmp_path, "done", made.whole([0.5]), made)
    RunDir(tmp_path / "damaged").path.mkdir()
    (tmp_path / "damaged" / "config.toml").write_text("[")
    assert campaign(tmp_path, made).plan() == set()
