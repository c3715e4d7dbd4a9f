"""The event log after crashes, and the run directory."""

import errno
import json
import math
import os
from contextlib import suppress
from pathlib import Path

import pytest
from support import of

from engine import run_dir
from engine.config import RunConfig
from engine.control import ControlFile, Pause, Resume, post
from engine.errors import UserError, WorldError
from engine.event_log import EventLog, EventReader, read_events
from engine.events import GradNorms, Step, Warned, decode, encode

STEP = Step(step=1, epoch=1, steps=1, images=2, loss=0.5, accuracy=0.1, lr=0.1, images_per_second=3.0)


def write(path: Path, *messages: str) -> None:
    log = EventLog(path)
    for seq, message in enumerate(messages, log.next_seq):
        log.emit(Warned(message=message, seq=seq))
    log.close()


def test_an_event_survives_being_written() -> None:
    norms = GradNorms(step=3, norms=(0.1, math.inf), total=math.inf, seq=4, time=5.5)
    assert decode(encode(norms)) == norms
    assert b"Infinity" in encode(norms)
    assert b"\n" not in encode(Warned(message="two\nlines"))[:-1]
    undefined = decode(encode(Step(**{f: getattr(STEP, f) for f in STEP.__slots__} | {"seq": 0, "loss": math.nan})))
    assert isinstance(undefined, Step)
    assert math.isnan(undefined.loss)


@pytest.mark.parametrize("line", [b"", b"{}", b"[1]", b'{"kind":"nonsense"}', b'{"kind":"step"}', b"\xff", b"NaN"])
def test_what_is_no_event_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(line)


def test_a_log_cut_at_any_byte_loses_at_most_one_event_and_can_be_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    write(path, "one", "two", "three")
    whole = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        kept = sum(end <= cut for end in ends)
        assert len(list(read_events(path))) == kept
        write(path, "after")
        events = of(read_events(path), Warned)
        # The cut line may be whole but for its line feed, and then it counts after all.
        assert [e.message for e in events] in (
            [*["one", "two", "three"][:kept], "after"],
            [*["one", "two", "three"][: kept + 1], "after"],
        )
        assert len({e.seq for e in events}) == len(events)


def test_one_damaged_line_costs_one_event(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    write(path, "one", "two", "three")
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = b'{"kind":"warning","message":\x00}\n'
    path.write_bytes(b"".join(lines))
    reader = EventReader(path)
    assert [e.message for e in of(reader.read(), Warned)] == ["one", "three"]
    assert reader.damaged == 1


def test_a_reader_follows_a_growing_log_without_repeating(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    reader = EventReader(path)
    assert list(reader.read()) == []
    write(path, "one")
    half = encode(Warned(message="two", seq=1))
    with path.open("ab") as file:
        file.write(half[:10])
    assert [e.message for e in of(reader.read(), Warned)] == ["one"]
    with path.open("ab") as file:
        file.write(half[10:])
    assert [e.message for e in of(reader.read(), Warned)] == ["two"]
    assert list(reader.read()) == []


def test_an_endless_line_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with path.open("wb") as file:
        file.truncate(100 << 20)
    with path.open("ab") as file:
        file.write(b"\n" + encode(STEP))
    assert list(read_events(path)) == [STEP]


# Run directory -------------------------------------------------------------------------------------------------


def test_a_run_is_found_by_path_name_and_last(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    first = run_dir.create(runs, RunConfig(name="one"))
    second = run_dir.create(runs, RunConfig(name="two"))
    assert run_dir.find(runs, first.path.name).path == first.path
    assert run_dir.find(runs, str(second.path)).path == second.path
    assert {run.path for run in run_dir.iterate(runs)} == {first.path, second.path}
    assert run_dir.find(runs, "last").config() in (RunConfig(name="one"), RunConfig(name="two"))


def test_runs_that_begin_in_the_same_second_get_folders_of_their_own(tmp_path: Path) -> None:
    made = {run_dir.create(tmp_path, RunConfig()).path for _ in range(5)}
    assert len(made) == 5


@pytest.mark.parametrize("wanted", ["nothing", "..", "../..", "last", "a\x1b[31mb"])
def test_what_is_no_run_is_refused_with_what_is_allowed(tmp_path: Path, wanted: str) -> None:
    with pytest.raises(UserError) as error:
        run_dir.find(tmp_path / "runs", wanted)
    assert "\x1b" not in str(error.value)
    assert "run" in str(error.value)


def test_a_runs_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    for place in (blocked, blocked / "runs"):
        with pytest.raises(
            UserError, match=r"cannot be written: a file is in its place; give .* --runs-dir"
        ) as error:
            run_dir.create(place, RunConfig())
        assert error.value.exit_status == 2


def test_a_full_disk_is_not_the_persons_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (errno.ENOSPC, errno.EMFILE):

        def fails(*_: object, number: int = number, **__: object) -> None:
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patch:
            patch.setattr(Path, "mkdir", fails)
            with pytest.raises(WorldError, match=rf"cannot be written: {os.strerror(number)}; .* or make room"):
                run_dir.create(tmp_path / "runs", RunConfig())


def test_a_copied_run_began_when_its_log_says(tmp_path: Path) -> None:
    for name, began in (("b", 3e9), ("c", 1e9), ("a", 2e9), ("damaged", None), ("deep", None)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.toml").touch()
        os.utime(tmp_path / name / "config.toml", (4e9, 4e9))
        text = json.dumps({"kind": "run_started", "time": began}) if began else "[" * 50_000
        (tmp_path / name / "events.jsonl").write_text(f"{text}\n")
    assert [run.name for run in run_dir.iterate(tmp_path)] == ["c", "a", "b", "damaged", "deep"]


def test_the_last_run_is_the_one_that_began_last_whatever_its_folder_is_called(tmp_path: Path) -> None:
    stamped = [f"{day}-120000-quickstart-s1" for day in ("20200101", "20300101", "20400101")]
    for name, seconds in (("zz renamed", 1.6e9), ("a copy", 2.1e9), ("of no time", 1e300)):  # 2020-09, 2036-07
        for folder in (*stamped, name):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / "config.toml").touch()
        with suppress(OverflowError, OSError):
            os.utime(tmp_path / name / "config.toml", (seconds, seconds))
    in_order = [run.name for run in run_dir.iterate(tmp_path) if run.name != "of no time"]
    assert in_order == [stamped[0], "zz renamed", stamped[1], "a copy", stamped[2]]
    assert run_dir.find(tmp_path, "last").name == stamped[2]


def test_one_writer_a_run_until_it_lets_go(tmp_path: Path) -> None:
    run = run_dir.create(tmp_path, RunConfig())
    assert run.is_alive()
    assert run.heartbeat.read_text().strip() == str(os.getpid())
    other = run_dir.RunDir(run.path)
    with pytest.raises(UserError, match="another process"):
        other.acquire()
    run.release()
    assert not run.is_alive()
    other.acquire()
    assert run.is_alive()


def test_messages_from_before_the_run_are_not_obeyed(tmp_path: Path) -> None:
    path = tmp_path / "control.jsonl"
    post(path, Pause())
    follower = ControlFile(path)
    assert follower.read() == []
    resume = Resume(source="viewer")
    post(path, resume)
    with path.open("a") as file:
        file.write('{"command":"set_learning_rate","lr":1e999}\n{"command":"extend_epochs","epochs":-3}\n{"half')
    assert follower.read() == [resume]
    assert follower.read() == []
