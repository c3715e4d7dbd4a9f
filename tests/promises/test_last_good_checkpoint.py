"""The last good checkpoint is never deleted, nor a file that the run did not write."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support import stop_at, tiny, train

from engine import run_dir
from engine.checkpoint import load_checkpoint, resumable
from engine.control import CheckpointNow, Control
from engine.errors import WorldError
from engine.events import CheckpointSaved, Event, Step
from engine.learner import Learner
from engine.run_dir import RunDir

if TYPE_CHECKING:
    from support import Cases

FOREIGN = (
    "notes.txt", ".notes.tmp", ".mine.1.tmp", "checkpoints/mine.safetensors", "checkpoints/.mine.tmp",
    "checkpoints/last.safetensors.bak", "checkpoints/.last.safetensors.tmp", "checkpoints/.last.safetensors.old.tmp",
    "checkpoints/epoch 3.safetensors", "checkpoints/.last.safetensors.7.tmp.bak", "checkpoints/kept/last.safetensors",
    "checkpoints/.best.safetensors.7/tmp", "config.toml.orig",
)  # fmt: skip
"""What a person may put beside a run's own files, some of it named much as the run names what it is writing."""
EVERY, EPOCHS = 3, 4
OWN = ("last", "previous", "best")
"""Stems of the checkpoints that a run keeps."""


class World:
    """A run, what is done to it, and what must hold after each thing done."""

    def __init__(self, folder: Path) -> None:
        self.config = tiny(train__epochs=EPOCHS, train__checkpoint_every_steps=EVERY)
        self.run = run_dir.create(folder, self.config)
        self.run.release()
        self.foreign: dict[Path, bytes] = {}
        self.saved = -1
        """The step of the newest save that nothing has damaged."""

    # What is done -----------------------------------------------------------------------------------------------

    def train_on(self, steps: int) -> None:
        """Go on with the run, or begin it, and stop after some steps."""
        began = self._step()
        control, stop = stop_at(2 * ((began + steps + 1) // 2))  # there is a reading every two steps
        self._train(control, stop)

    def checkpoint_now(self, steps: int) -> None:
        """Go on, and ask for a checkpoint at each reading."""
        control, stop = stop_at(2 * ((self._step() + steps + 1) // 2))

        def on_event(event: Event) -> None:
            if isinstance(event, Step):
                control.send(CheckpointNow())
            stop(event)

        self._train(control, on_event)

    def diverge(self, steps: int) -> None:
        """Go on, and let the weights become infinite on the way."""
        updating, left = Learner.update, steps

        def update(learner: Learner, lr: float) -> None:
            nonlocal left
            updating(learner, lr)
            if not left:
                with torch.no_grad():
                    next(learner.model.parameters()).fill_(float("inf"))
            left -= 1

        with mock.patch.object(Learner, "update", update):
            self._train(Control(), lambda _: None)

    def killed_while_saving(self, which: int) -> None:
        """Leave what a process leaves that was killed in the middle of a save."""
        beside = self.run.checkpoints / f".{OWN[which % 3]}.safetensors.{40_000 + which}.tmp"
        beside.write_bytes(b"half a checkpoint")

    def damage(self, which: int) -> None:
        """Damage a checkpoint, but never the last one that is good."""
        good = self._good()
        if len(good) > 1:
            path = list(good)[which % len(good)]
            content = path.read_bytes()
            path.write_bytes(content[:-1] if which % 2 else content[:5000] + b"?" + content[5001:])
            self.saved = max(self._good().values())

    def damage_meanwhile(self, steps: int) -> None:
        """Go on, and let the disk damage the last checkpoint right before the next is saved."""
        control, stop = stop_at(2 * ((self._step() + steps + 5) // 2))
        saved = 0

        def on_event(event: Event) -> None:
            nonlocal saved
            if isinstance(event, Step):
                control.send(CheckpointNow())
            if isinstance(event, CheckpointSaved) and event.which == "last":
                saved += 1
                if saved == 3 and len(self._good()) > 1:  # the one before is newer than the best by now
                    self.run.last.write_bytes(b"damaged")
                    self.saved = max(self._good().values())
            stop(event)

        self._train(control, on_event)

    def put(self, which: int) -> None:
        """Put a file of a person's own into the run's folder."""
        path = self.run.path / FOREIGN[which % len(FOREIGN)]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(self.foreign.setdefault(path, bytes([which])))

    # What holds -------------------------------------------------------------------------------------------------

    def check(self) -> None:
        for path, content in self.foreign.items():
            assert path.read_bytes() == content, f"{path.name} is not the run's to delete or change"
        good = self._good()
        if self.saved >= 0:
            assert good, "the last good checkpoint is gone"
            assert max(good.values()) >= self.saved, "the newest good checkpoint is gone"
            assert resumable(self.run)[1].step == max(good.values())

    def _good(self) -> dict[Path, int]:
        """The checkpoints that could be resumed from, with their steps; all of them hold finite weights."""
        found = {}
        for path in (self.run.last, self.run.previous, self.run.best):
            try:
                tensors, state = load_checkpoint(path)
            except WorldError:
                continue
            assert all(bool(tensor.isfinite().all()) for tensor in tensors.values()), path.name
            found[path] = state.step
        return found

    def _step(self) -> int:
        return max(self._good().values(), default=0)

    def _train(self, control: Control, on_event: Callable[[Event], None]) -> None:
        def watch(event: Event) -> None:
            if isinstance(event, CheckpointSaved):
                self.saved = event.step
                self.check()
            on_event(event)

        with self._watched_at_every_rename():
            if self._good():
                train(self.config, resume=self.run, control=control, on_event=watch)
            else:  # begin in the folder that is there already, with what a person has put into it
                with mock.patch.object(run_dir, "create", self._acquired):
                    train(self.config, self.run.path.parent, control=control, on_event=watch)
        assert not [path for path in self.run.path.rglob("*.tmp") if path not in self.foreign], "leftovers stay"

    def _acquired(self, *_: object) -> RunDir:
        self.run.acquire()
        return self.run

    @contextmanager
    def _watched_at_every_rename(self) -> Iterator[None]:
        """Hold what is on disk after every rename to what must hold, since a kill may come then."""
        replacing = Path.replace

        def replace(path: Path, target: Path) -> Path:
            replaced = replacing(path, target)
            if target.parent == self.run.checkpoints:
                self.check()
            return replaced

        with mock.patch.object(Path, "replace", replace):
            yield


ACTIONS = ("train_on", "checkpoint_now", "diverge", "killed_while_saving", "damage", "damage_meanwhile", "put")
WEIGHED = st.sampled_from([*ACTIONS, "damage", "damage_meanwhile", "put", "put"])


def test_whatever_is_done_the_newest_good_checkpoint_and_every_foreign_file_stay(
    cases: Cases, figure: Callable[[str], None]
) -> None:
    done = {"lists": 0, "actions": 0}

    @settings(
        max_examples=cases(12, 250), derandomize=True, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.lists(st.tuples(WEIGHED, st.integers(0, len(FOREIGN) - 1)), min_size=2, max_size=8))
    @example([("put", number) for number in range(len(FOREIGN))] + [("train_on", 2)])
    @example([("damage_meanwhile", 4), ("train_on", 3)])
    @example([("diverge", 1), ("train_on", 3)])
    def hold(actions: list[tuple[str, int]]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            world = World(Path(folder))
            for action, number in [("train_on", 4), *actions]:
                getattr(world, action)(number)
                world.check()
        done["lists"] += 1
        done["actions"] += len(actions)

    hold()
    figure(f"{done['actions']} things done to {done['lists']} runs: no good checkpoint and no foreign file was lost")
