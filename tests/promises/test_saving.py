"""No finished epoch is lost and at most one checkpoint interval is repeated, wherever in a save the run dies."""

from __future__ import annotations

import random
import signal
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from saving_support import EPOCHS, STEPS_PER_EPOCH, digests, in_a_process, only_run, told
from support import of

from engine.event_log import read_events
from engine.events import CheckpointSaved, RunFinished, RunStarted, Step
from engine.summary import read_summary

if TYPE_CHECKING:
    from collections.abc import Callable

    from support import Cases

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")

INTERVALS = {0: STEPS_PER_EPOCH, 2: 2}
"""``train.checkpoint_every_steps``, and after how many steps there is a checkpoint at the latest."""


@dataclass(frozen=True)
class Result:
    """What a run came to, equal for equal runs."""

    checkpoints: tuple[str, ...]
    """The hash over everything in ``last`` and ``best``."""
    losses: tuple[tuple[int, float], ...]
    accuracies: tuple[tuple[int, float | None], ...]


def result(folder: Path) -> Result:
    run = only_run(folder)
    losses: dict[int, float] = {}
    for event in of(read_events(run.events), Step):
        assert losses.setdefault(event.step, event.loss) == event.loss, "a step that was repeated is the same"
    return Result(
        digests(run),
        tuple(sorted(losses.items())),
        tuple((row.epoch, row.test_accuracy) for row in read_summary(run.events, steps=False).rows),
    )


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], tuple[Result, list[str]]]:
    """Return what comes of a run that nothing happens to, and the steps of its saves in order."""

    @cache
    def trained(every: int) -> tuple[Result, list[str]]:
        folder = tmp_path_factory.mktemp("alone")
        assert in_a_process(folder, every) == 0
        return result(folder), told(folder)["steps"]

    return trained


def drawn(count: int, left_alone: Callable[[int], tuple[Result, list[str]]]) -> list[tuple[int, int]]:
    """Return intervals and numbers of steps: the last of every kind, after which no save tidies up, and others."""
    steps = {interval: left_alone(interval)[1] for interval in INTERVALS}
    # Before the first, the run's folder is being made: what fails there leaves no run.
    every = [(interval, at) for interval, seen in steps.items() for at in range(seen.index("open"), len(seen))]
    random.Random(1).shuffle(every)
    kinds = {steps[interval][at]: (interval, at) for interval, at in sorted(every)}
    chosen = set(kinds.values())
    return sorted(chosen | set(every[: max(0, count - len(chosen))]))


def test_a_kill_at_any_step_of_saving_costs_at_most_one_interval(
    tmp_path: Path, left_alone: Callable[[int], tuple[Result, list[str]]], cases: Cases, figure: Callable[[str], None]
) -> None:
    killed = drawn(cases(18, 1000), left_alone)
    most, anew = 0, 0
    for every, at in killed:
        folder = tmp_path / f"{every}-{at}"
        assert in_a_process(folder, every, at) == -signal.SIGKILL
        run = only_run(folder)
        before = list(read_events(run.events))
        reached = max((event.step for event in of(before, Step)), default=0)
        epochs = read_summary(run.events, steps=False).rows
        assert in_a_process(folder, every) == 0
        if problem := told(folder)["problem"]:
            assert "ended before its first checkpoint" in problem
            assert reached <= INTERVALS[every]
            assert not of(before, CheckpointSaved)
            anew += 1
            continue
        at_step = of(read_events(run.events), RunStarted)[-1].resumed_at
        assert at_step is not None
        assert 0 <= reached - at_step <= INTERVALS[every], left_alone(every)[1][at]
        assert at_step >= max((event.step for event in of(before, CheckpointSaved)), default=0), "one was lost"
        assert at_step >= (epochs[-1].step if epochs else 0), "a finished epoch was lost"
        assert result(folder) == left_alone(every)[0], left_alone(every)[1][at]
        most = max(most, reached - at_step)
    figure(
        f"{len(killed)} of {len(killed)} kills within a save survived: {len(killed) - anew} resumed to the same "
        f"hashes, repeating at most {most} steps; {anew} came before the first checkpoint"
    )


def test_an_error_that_passes_at_any_step_of_saving_changes_nothing(
    tmp_path: Path, left_alone: Callable[[int], tuple[Result, list[str]]], cases: Cases, figure: Callable[[str], None]
) -> None:
    refused = drawn(cases(16, 1000), left_alone)
    for every, at in refused:
        folder = tmp_path / f"{every}-{at}"
        assert in_a_process(folder, every, at, "refuse") == 0
        run = only_run(folder)
        events = list(read_events(run.events))
        assert of(events, RunFinished)[-1].outcome == "completed", left_alone(every)[1][at]
        assert [row.epoch for row in read_summary(run.events).rows] == list(range(1, EPOCHS + 1))
        assert result(folder) == left_alone(every)[0], left_alone(every)[1][at]
        assert not list(run.path.rglob("*.tmp")), "nothing is left beside it"
    figure(f"{len(refused)} of {len(refused)} errors within a save were got over, with the same hashes")


def test_what_a_checkpoint_becomes_is_on_disk_before_it_is_renamed_and_told(
    left_alone: Callable[[int], tuple[Result, list[str]]], figure: Callable[[str], None]
) -> None:
    """What a power cut asks for, which no kill of a process can show."""
    saves = "|".join(left_alone(2)[1]).split("open|")[1:]
    for save in saves:
        steps = save.split("|")
        renamed = next(index for index, step in enumerate(steps) if step.startswith("rename"))
        placed = max(index for index, step in enumerate(steps) if step.startswith("rename"))
        assert "write" not in "".join(steps[steps.index("sync") :]), "nothing is written after the sync"
        assert steps.index("sync") < renamed <= placed < steps.index("sync the folder") < steps.index("sync the log")
    figure(f"{len(saves)} of {len(saves)} saves synced the file, renamed it, synced the folder, and then told of it")
