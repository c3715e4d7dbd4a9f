"""A damaged checkpoint is never resumed from: the run goes on from the newest good one, and says so."""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save
from support import of, outcome, tiny, train

from engine import checkpoint
from engine.checkpoint import Tensors, TrainState, load_checkpoint
from engine.errors import WorldError
from engine.event_log import read_events
from engine.events import CheckpointSaved, Event, RunStarted, Warned
from engine.regular import open_regular
from engine.run_dir import RunDir, iterate

if TYPE_CHECKING:
    from support import Cases

BLOCK = 4096


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> list[RunDir]:
    """A run as it lay on disk after each of its saves: as a kill at that moment leaves it; the last one is over."""
    folder = tmp_path_factory.mktemp("runs")
    copies: list[RunDir] = []

    def copy(event: Event) -> None:
        if isinstance(event, CheckpointSaved):
            (run,) = iterate(folder / "run")
            copies.append(RunDir(folder / f"{len(copies)}"))
            shutil.copytree(run.path, copies[-1].path)

    config = tiny(train__epochs=3, train__checkpoint_every_steps=2, train__ema_decay=0.9)
    train(config, folder / "run", on_event=copy)
    return copies


# Damage ----------------------------------------------------------------------------------------------------------


def flipped(content: bytes, chance: random.Random) -> bytes:
    """Flip a bit: of the header as often as of the numbers, which are far longer."""
    header = 8 + int.from_bytes(content[:8], "little")
    at = chance.randrange(8 * (header if chance.random() < 0.5 else len(content)))
    damaged = bytearray(content)
    damaged[at // 8] ^= 1 << at % 8
    return bytes(damaged)


def cut(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def zero_filled(content: bytes, chance: random.Random) -> bytes:
    """Lose a block, as of a file whose size was written and whose content was not."""
    begin = chance.randrange(len(content) // BLOCK) * BLOCK
    end = len(content) if chance.random() < 0.3 else begin + BLOCK
    return content[:begin] + bytes(len(content[begin:end])) + content[end:]


def swapped(content: bytes, chance: random.Random) -> bytes:
    """Exchange two blocks."""
    one, two = (number * BLOCK for number in sorted(chance.sample(range(len(content) // BLOCK), 2)))
    return b"".join(
        (content[:one], content[two : two + BLOCK], content[one + BLOCK : two], content[one : one + BLOCK],
         content[two + BLOCK :])
    )  # fmt: skip


def without_a_part(content: bytes, chance: random.Random, file: Path) -> bytes:
    """Write a sound safetensors file in which a tensor, a key, or a number of the state is another or none."""
    file.write_bytes(content)
    with safe_open(file, framework="pt") as opened:
        metadata = dict(opened.metadata())
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (not a dict)
    name = chance.choice(sorted(tensors))
    match chance.randrange(6):
        case 0:
            del tensors[name]
        case 1:
            tensors[f"{name}.more"] = tensors[name].clone()
        case 2:
            same = [other for other in tensors if tensors[other].shape == tensors[name].shape]
            other = chance.choice(same)
            tensors[name], tensors[other] = tensors[other], tensors[name]
        case 3:
            tensors[name] = tensors[name].reshape(1, *tensors[name].shape)
        case 4:
            del metadata[chance.choice(sorted(metadata))]
        case 5:
            digits = [at for at, letter in enumerate(metadata["state"]) if letter.isdigit()]
            at = chance.choice(digits)
            digit = str((int(metadata["state"][at]) + 1) % 10)
            metadata["state"] = metadata["state"][:at] + digit + metadata["state"][at + 1 :]
    return save(tensors, metadata=metadata)


def damages(content: bytes, count: int, scratch: Path) -> Iterator[tuple[str, bytes]]:
    """Yield kinds of damage and what became of ``content``."""
    chance = random.Random(6)
    kinds: list[Callable[..., bytes]] = [flipped, flipped, cut, zero_filled, swapped, without_a_part]
    for number in range(count):
        kind = kinds[number % len(kinds)]
        yield kind.__name__, kind(content, chance, *([scratch] if kind is without_a_part else []))


# Reading ---------------------------------------------------------------------------------------------------------


def test_every_damage_is_noticed_before_anything_of_it_is_used(
    snapshots: list[RunDir], tmp_path: Path, cases: Cases, figure: Callable[[str], None]
) -> None:
    content = snapshots[-1].last.read_bytes()
    sound = load_checkpoint(snapshots[-1].last)
    file = tmp_path / "last.safetensors"
    noticed: dict[str, int] = {}
    unchanged = 0
    for kind, damaged in damages(content, cases(240, 1200), tmp_path / "scratch"):
        file.write_bytes(damaged)
        try:
            found = load_checkpoint(file)
        except WorldError:
            noticed[kind] = noticed.get(kind, 0) + 1
            continue
        assert_equal(found, sound, kind)
        unchanged += 1
    total = sum(noticed.values())
    assert unchanged <= 0.1 * total, "few bits mean nothing"
    listed = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in noticed.items())
    figure(
        f"{total} damaged checkpoints of {total} were refused ({listed}); {unchanged} changes left nothing changed"
    )


def assert_equal(found: tuple[Tensors, TrainState], sound: tuple[Tensors, TrainState], kind: str) -> None:
    """A bit of the header's white space may mean nothing, and two blocks may be alike; then nothing has changed."""
    assert found[1] == sound[1], kind
    assert found[0].keys() == sound[0].keys(), kind
    assert all(torch.equal(found[0][name], sound[0][name]) for name in sound[0]), kind


# Going on --------------------------------------------------------------------------------------------------------


def kept(run: RunDir) -> list[Path]:
    return [path for path in (run.last, run.previous, run.best) if path.exists()]


def left(run: RunDir, damaged: tuple[str, ...]) -> list[Path]:
    return [path for path in kept(run) if path.name not in damaged]


@cache
def position(path: Path) -> tuple[int, int]:
    state = load_checkpoint(path)[1]
    return state.step, state.epoch


def test_a_run_goes_on_from_the_newest_good_checkpoint_says_so_and_ends_the_same(
    snapshots: list[RunDir], tmp_path: Path, cases: Cases, figure: Callable[[str], None]
) -> None:
    chance = random.Random(2)
    choices: list[tuple[RunDir, tuple[str, ...]]] = [
        (run, names)
        for run in snapshots[1:-1]
        for count in range(1, len(kept(run)))
        for names in combinations([path.name for path in kept(run)], count)
        if "last.safetensors" in names
    ]
    chance.shuffle(choices)
    choices.sort(key=lambda choice: len(set(map(position, left(*choice)))), reverse=True)  # several to choose from
    count = cases(6, 60)
    choices = [*choices[: count // 2], *choices[-(count // 2) :]]
    went_on: dict[str, int] = {}
    for number, (whole, names) in enumerate(choices):
        run = copied(whole, tmp_path / str(number))
        for name in names:
            path = run.checkpoints / name
            _, damaged = list(damages(path.read_bytes(), chance.randint(1, 6), tmp_path / "scratch"))[-1]
            path.write_bytes(damaged if refused(path, damaged) else b"")
        expected = max(left(run, names), key=position)
        events = resumed(run)
        assert of(events, RunStarted)[0].resumed_at == position_of(whole, expected)
        said = [warning.message for warning in of(events, Warned)]
        for name in names:
            assert any(name in message and "damaged" in message and expected.name in message for message in said), (
                said
            )
        assert outcome(events).outcome == "completed"
        assert_equal(load_checkpoint(run.last), load_checkpoint(snapshots[-1].last), "the end")
        went_on[expected.stem] = went_on.get(expected.stem, 0) + 1
    listed = ", ".join(f"{count} from {name}" for name, count in sorted(went_on.items()))
    figure(f"{len(choices)} of {len(choices)} runs with damaged checkpoints went on ({listed}) to the same weights")


def copied(run: RunDir, folder: Path) -> RunDir:
    shutil.copytree(run.path, folder)
    return RunDir(folder)


def refused(path: Path, damaged: bytes) -> bool:
    beside = path.with_name("tried")
    beside.write_bytes(damaged)
    try:
        load_checkpoint(beside)
    except WorldError:
        return True
    finally:
        beside.unlink()
    return False


def position_of(whole: RunDir, path: Path) -> int:
    return position(whole.checkpoints / path.name)[0]


def resumed(run: RunDir) -> list[Event]:
    return train(run.config(), resume=run)


def test_where_nothing_good_is_left_the_run_says_so_and_every_file_stays(
    snapshots: list[RunDir], tmp_path: Path
) -> None:
    run = copied(snapshots[-2], tmp_path / "run")
    for path in kept(run):
        path.write_bytes(path.read_bytes()[:-1])
    before = {path: path.read_bytes() for path in run.checkpoints.iterdir()}
    with pytest.raises(WorldError, match=r"last.*damaged.*previous.*damaged.*best.*damaged"):
        resumed(run)
    assert {path: path.read_bytes() for path in run.checkpoints.iterdir()} == before
    assert list(read_events(run.events)) == list(read_events(snapshots[-2].events))


def test_what_cannot_be_read_at_this_moment_is_not_taken_for_damaged(
    snapshots: list[RunDir], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copied(snapshots[-2], tmp_path / "run")
    before = {path: path.read_bytes() for path in run.checkpoints.iterdir()}
    for error, said in (
        (OSError(errno.EIO, os.strerror(errno.EIO)), "Input/output error"),
        (MemoryError(), "memory"),
    ):

        def fails(path: Path, error: Exception = error) -> BinaryIO:
            if path == run.last:
                raise error
            return open_regular(path)

        monkeypatch.setattr(checkpoint, "open_regular", fails)
        with pytest.raises(WorldError, match=rf"last.safetensors: cannot be read: .*{said}"):
            resumed(run)
        assert {path: path.read_bytes() for path in run.checkpoints.iterdir()} == before
    monkeypatch.undo()
    events = resumed(run)
    assert not of(events, Warned)
    assert of(events, RunStarted)[0].resumed_at == position_of(snapshots[-2], run.last)
