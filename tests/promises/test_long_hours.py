"""Hours long without growth: the memory of engine and dashboard over as many events as a day has."""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from made_training import STEPS_PER_EPOCH, evaluated, norms, opening, step
from runs_support import keep
from tui_support import dashboard, drive, run_screen, until

from engine.config_file import build_config
from engine.events import (
    CheckpointSaved,
    EpochStarted,
    Event,
    RunFinished,
    Step,
    System,
    encode,
)
from engine.thread import EngineThread
from resnet_tui.run.series import Series
from resnet_tui.run.source import WatchedRun
from resnet_tui.screens.run_tabs import TABS

if TYPE_CHECKING:
    from support import Cases

READINGS = 86_400
"""Of training in 24 hours at ten steps a second, with the telemetry as it comes."""
ENGINE_GROWTH = 2 << 20
DASHBOARD_GROWTH = 4 << 20
"""Bytes at most, of the last third of the time against the second. The dashboard keeps a row an epoch; and Textual
keeps up to 1,024 keys of its footer that were shown once, some for each change of tab, which is why all cases change
tabs that often before they measure."""
EPOCHS = 10**6


class Memory:
    """Resident memory of this process over the time that is measured."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self.readings: list[int] = []

    def read(self) -> None:
        gc.collect()
        self.readings.append(self._process.memory_info().rss)

    def growth(self) -> int:
        """Return by how much the last third is larger than the second."""
        third = len(self.readings) // 3
        return round(statistics.mean(self.readings[-third:]) - statistics.mean(self.readings[third : 2 * third]))

    def __str__(self) -> str:
        megabytes = [reading / 2**20 for reading in (self.readings[0], self.readings[-1])]
        grown = f"{self.growth() / 2**10:+.0f} KiB in the last third against the second"
        return f"{megabytes[0]:.1f} MiB at first, {megabytes[1]:.1f} at last, {grown}"


# The dashboard -----------------------------------------------------------------------------------------------------


def reading(number: int) -> list[Event]:
    """The events of one second, in which ten steps are taken."""
    last, now = 10 * number, 1e9 + number
    events: list[Event] = [step(last, now, 10), norms(last, now)]
    if number % 2 == 0:
        events.append(System(time=now, cpu_percent=100.0 + number % 9, memory_bytes=2**30, host_cpu_percent=50.0,
                             host_memory_bytes=2**33, host_memory_total=2**34))  # fmt: skip
    if last % STEPS_PER_EPOCH == 0:
        epoch = last // STEPS_PER_EPOCH
        events += [
            evaluated(last, now),
            CheckpointSaved(time=now, step=last, epoch=epoch, which="last", path="checkpoints/last", accuracy=0.5),
            EpochStarted(time=now, epoch=epoch + 1, epochs=EPOCHS),
        ]
    return events


def test_the_dashboard_does_not_grow_over_a_day_of_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cases: Cases, figure: Callable[[str], None]
) -> None:
    total, memory = cases(READINGS // 10, READINGS), Memory()
    piece = total // 30
    config = build_config({"name": "day"}, {})
    run = keep(
        tmp_path / "runs", "day", [*opening(config, EPOCHS, 1e9), EpochStarted(time=1e9, epoch=1, epochs=EPOCHS)]
    )

    async def watch() -> None:
        async with dashboard(tmp_path, monkeypatch, WatchedRun(run)) as pilot:
            for number in range(cases(30, 180)):
                await pilot.press(str(number % len(TABS) + 1))
                await pilot.pause()
            for number in range(30):
                with run.events.open("ab") as log:
                    for second in range(number * piece + 1, (number + 1) * piece + 1):
                        log.writelines(map(encode, reading(second)))
                last = 10 * (number + 1) * piece
                await until(pilot, lambda last=last: run_screen(pilot).state.summary.step == last)  # type: ignore[misc]
                await pilot.press(str(number % len(TABS) + 1))  # each tab in its turn, with all that it draws
                await pilot.pause()
                memory.read()

    drive(watch)
    figure(f"dashboard over {total:,} readings ({total / 3600:.1f} h): {memory}")
    assert memory.growth() < DASHBOARD_GROWTH, memory.readings


def test_what_was_taken_of_a_series_to_be_drawn_stays_as_it_was() -> None:
    """Values come between the moment at which a panel is told and that at which it is drawn."""
    series = Series()
    for number in range(100):
        series.add(number, number, number)
    bins = series.by_time()
    before = [list(column) for column in (bins.xs, bins.lows, bins.highs, bins.means)]
    for number in range(100, 5000):
        series.add(number, number, number)
    series.forget_after(0)
    assert [list(column) for column in (bins.xs, bins.lows, bins.highs, bins.means)] == before


# The engine --------------------------------------------------------------------------------------------------------


class Sampler:
    """A sink that reads the memory every so many readings, and keeps nothing else."""

    def __init__(self, every: int) -> None:
        self.memory, self.steps, self.outcome = Memory(), 0, ""
        self._every = every

    def emit(self, event: Event) -> None:
        if isinstance(event, Step):
            self.steps += 1
            if self.steps % self._every == 0:
                self.memory.read()
        if isinstance(event, RunFinished):
            self.outcome = event.outcome

    def close(self) -> None:
        pass


def test_the_engine_does_not_grow_over_a_day_of_readings(
    tmp_path: Path, cases: Cases, figure: Callable[[str], None]
) -> None:
    """A reading a step, so that as many come as in a day; with log, metrics and checkpoints as always."""
    steps_per_epoch = 60
    epochs = cases(READINGS // 40, READINGS) // steps_per_epoch
    tree: dict[str, Any] = {
        "name": "day",
        "model": {"arch": "residual-mlp", "widths": [4, 4, 4]},
        "data": {"dataset": "iris"},
        "optim": {"lr": 0.001},
        "train": {"device": "cpu", "epochs": epochs, "batch_size": 2},
        "telemetry": {"every_steps": 1, "system_seconds": 0.5},
    }
    sampler = Sampler(epochs * steps_per_epoch // 30)
    thread = EngineThread(build_config(tree, {}), runs=tmp_path / "runs", sinks=[sampler])
    thread.start()
    thread.result()
    assert sampler.outcome == "completed"
    figure(f"engine over {sampler.steps:,} steps, each with its readings: {sampler.memory}")
    assert sampler.memory.growth() < ENGINE_GROWTH, sampler.memory.readings
