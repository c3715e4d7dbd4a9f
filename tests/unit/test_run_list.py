"""The list of runs: what is read when, and that a dead run is never shown as running."""

import os
import queue
import time
from collections.abc import Iterable
from pathlib import Path

from made_run import MadeRun

from engine.config_file import to_toml
from engine.events import ControlApplied, Event, Progress, encode
from engine.run_dir import RunDir
from resnet_tui.run.listing import LOOK_SECONDS, SORTS, Listed, RunList, Scan, Watch, matches, read


def keep(runs: Path, name: str, events: Iterable[Event], made: MadeRun | None = None) -> RunDir:
    """Make the folder of a run that no process holds."""
    run = RunDir(runs / name)
    run.checkpoints.mkdir(parents=True)
    run.config_file.write_text(to_toml((made or MadeRun()).config))
    run.events.write_bytes(b"".join(map(encode, events)))
    return run


def changed(runs: RunList) -> dict[str, Listed]:
    """Look once; what is new or changed, in the order in which it came."""
    scans = list(runs.scan())
    assert [scan.done for scan in scans] == [False] * (len(scans) - 1) + [True]
    return {listed.entry.name: listed for scan in scans for listed in scan.changed}


def states(runs: RunList) -> dict[str, str]:
    return {name: listed.entry.state for name, listed in changed(runs).items()}


def test_a_folder_that_is_not_there_has_no_runs(tmp_path: Path) -> None:
    assert list(RunList(tmp_path / "none").scan()) == [Scan(done=True)]


def test_the_newest_are_read_first_and_each_only_once(tmp_path: Path) -> None:
    for day in (2, 3, 1):
        keep(tmp_path, f"2026010{day}-120000-a", MadeRun(1).whole([0.5]))
    runs = RunList(tmp_path)
    assert list(changed(runs)) == [f"2026010{day}-120000-a" for day in (3, 2, 1)]
    assert changed(runs) == {}


def test_only_a_run_whose_files_changed_is_read_again(tmp_path: Path) -> None:
    run, other = keep(tmp_path, "a", MadeRun(2).whole([0.5, 0.6])), keep(tmp_path, "b", MadeRun(1).whole([0.5]))
    runs = RunList(tmp_path)
    changed(runs)
    status = run.events.stat()
    run.events.write_bytes(b"x" * status.st_size)
    os.utime(run.events, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert changed(runs) == {}, "same size and time: not read"
    run.events.write_bytes(b"".join(map(encode, MadeRun(2).whole([0.7, 0.8]))) + b"\n")
    assert [(name, listed.curve) for name, listed in changed(runs).items()] == [("a", (0.7, 0.8))]
    other.config_file.write_text("[model")
    assert states(runs) == {"b": "damaged"}


def test_a_run_is_running_while_it_is_held_and_lost_afterwards(tmp_path: Path) -> None:
    made = MadeRun(2)
    run = keep(tmp_path, "a", [*made.begin(), *made.epoch(1)])
    runs = RunList(tmp_path)
    run.acquire()
    assert states(runs) == {"a": "running"}
    assert states(runs) == {}, "nothing happened"
    run.release()
    assert states(runs) == {"a": "lost"}, "though no file of it changed"
    assert states(runs) == {}


def test_a_live_run_says_what_it_waits_for(tmp_path: Path) -> None:
    run = keep(tmp_path, "a", list(MadeRun(2).whole([0.5]))[:-1])
    run.acquire()
    try:
        run.waits_for = "metrics.csv cannot be written: No space left on device \x1b[31m"
        run.beat()
        listed = read(run)
        assert (listed.doing, listed.alive) == ("waiting", True)
        assert listed.reason == "metrics.csv cannot be written: No space left on device \ufffd[31m"
        run.waits_for = ""
        run.beat()
        assert read(run).doing == "training"
    finally:
        run.release()
    assert read(run).doing == "lost"


def test_a_live_run_has_the_word_that_its_own_screen_has(tmp_path: Path) -> None:
    made = MadeRun(2)
    evaluates = made.at(Progress(activity="evaluating", done=1, total=2, unit="images"))
    paused = made.at(ControlApplied(step=10, command="pause", value=None, source="viewer", id="1"))
    events: list[Event] = []
    for more, word in (
        ([], "preparing"),
        ([*made.begin(), *made.epoch(1)], "training"),
        ([evaluates], "evaluating"),
        ([paused], "paused"),
        ([made.finish()], "running"),  # somebody goes on with it and has not said what it does
    ):
        events += more
        run = keep(tmp_path, word, events)
        run.acquire()
        assert read(run).doing == word
        run.release()
    assert read(run).doing == "completed"


def test_a_run_that_somebody_goes_on_with_is_noticed_before_it_says_anything(tmp_path: Path) -> None:
    run = keep(tmp_path, "a", MadeRun(1).whole([0.5]))
    runs = RunList(tmp_path)
    assert states(runs) == {"a": "completed"}
    run.acquire()
    assert states(runs) == {"a": "running"}
    run.release()
    assert states(runs) == {"a": "completed"}


def test_what_is_gone_is_no_longer_among_the_paths(tmp_path: Path) -> None:
    run, other = keep(tmp_path, "a", MadeRun(1).whole([0.5])), keep(tmp_path, "b", MadeRun(1).whole([0.5]))
    runs = RunList(tmp_path)
    changed(runs)
    run.remove()
    assert list(runs.scan()) == [Scan(paths=frozenset({other.path}), done=True)]


def test_a_run_that_has_not_begun_counts_from_when_its_folder_was_filled(tmp_path: Path) -> None:
    fresh, old = read(keep(tmp_path, "0-fresh", [])), read(keep(tmp_path, "9-old", MadeRun(1).whole([0.5])))
    assert fresh.began > old.began == 1_000_000
    assert sorted([old, fresh], key=SORTS["newest"]) == [fresh, old]


def test_orders(tmp_path: Path) -> None:
    found = [
        read(keep(tmp_path, name, events))
        for name, events in (
            ("b", MadeRun(1, start=2e6).whole([0.5])),
            ("c", MadeRun(1, start=1e6).whole([0.9])),
            ("a", MadeRun(1, start=3e6).begin()),
        )
    ]
    order = {name: "".join(listed.entry.name for listed in sorted(found, key=key)) for name, key in SORTS.items()}
    assert order == {"newest": "abc", "best accuracy": "cba", "name": "abc"}


def test_a_filter_wants_every_word_somewhere(tmp_path: Path) -> None:
    listed = read(keep(tmp_path, "20260101-mine-s3", MadeRun(1).whole([0.5])))
    assert all(matches(listed, words) for words in ("", "MINE", "resnet-20 completed", "digits s3"))
    assert not any(matches(listed, words) for words in ("lost", "mine lost", "s3 cifar10"))


def test_a_watch_tells_of_a_death_in_time_and_rests_when_told(tmp_path: Path) -> None:
    made = MadeRun(2)
    run = keep(tmp_path, "a", [*made.begin(), *made.epoch(1)])
    run.acquire()
    told: queue.Queue[Scan] = queue.Queue()
    watch = Watch(tmp_path, told.put)
    watch.start()
    assert told.get(timeout=10).changed[0].entry.state == "running"
    watch.rest()
    run.release()
    died = time.monotonic()
    watch.look()
    while not (scan := told.get(timeout=10)).changed:
        pass
    assert scan.changed[0].entry.state == "lost"
    assert time.monotonic() - died < 5 > LOOK_SECONDS
    watch.stop()
    watch.join(10)
    assert not watch.is_alive()
