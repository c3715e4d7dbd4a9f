"""Made runs of any length, as the engine would have recorded them, for benchmarks of the dashboard."""

import math
import time
from collections.abc import Iterator
from pathlib import Path

from engine import run_dir
from engine.config import RunConfig
from engine.config_file import build_config
from engine.events import (
    EpochStarted,
    Evaluated,
    Event,
    GradNorms,
    ModelBuilt,
    RunFinished,
    RunStarted,
    ShapeRow,
    Step,
    encode,
)
from engine.run_dir import RunDir

BLOCKS = ("stem", *(f"stage{s}.block{b}" for s in (1, 2, 3) for b in (1, 2, 3)), "head")
STEPS_PER_EPOCH = 400


def opening(config: RunConfig, epochs: int, started: float) -> Iterator[Event]:
    """Yield how a ResNet-20's run begins."""
    yield RunStarted(
        time=started, config=config, device="cpu (2 threads)", precision="float32", versions=(), process=1,
        host="here", classes=tuple("abcdefghij"), train_images=51_200, val_images=0, test_images=10_000,
        epochs=epochs, steps_per_epoch=STEPS_PER_EPOCH,
    )  # fmt: skip
    rows = tuple(_row(block) for block in BLOCKS)
    yield ModelBuilt(time=started, rows=rows, blocks=BLOCKS, params=269_722, macs=40_550_000)


def step(number: int, at: float, steps: int = 1) -> Step:
    """Return a reading of training."""
    return Step(
        seq=number, time=at, step=number, epoch=(number - 1) // STEPS_PER_EPOCH + 1, steps=steps, images=128 * steps,
        loss=2.3 * math.exp(-number / 50_000) + 0.1 * math.sin(number), accuracy=1 - math.exp(-number / 50_000),
        lr=0.1, images_per_second=640.0,
    )  # fmt: skip


def norms(number: int, at: float) -> GradNorms:
    """Return a reading of the gradient norms."""
    values = tuple(0.1 + 0.05 * math.sin(number / 1000 + i) for i in range(len(BLOCKS)))
    return GradNorms(seq=number, time=at, step=number, norms=values, total=math.hypot(*values))


def evaluated(number: int, at: float) -> Evaluated:
    """Return the evaluation at the end of an epoch."""
    accuracy = 0.9 * (1 - math.exp(-number / 50_000))
    confusion = tuple(tuple(900 if i == j else 11 for j in range(10)) for i in range(10))
    return Evaluated(
        time=at, step=number, epoch=number // STEPS_PER_EPOCH, split="test", loss=0.5, accuracy=accuracy, top5=None,
        per_class=(accuracy,) * 10, confusion=confusion, images=10_000, seconds=4.0,
    )  # fmt: skip


def record(folder: Path, steps: int, every: int) -> RunDir:
    """Write a finished run of ``steps`` with a reading every ``every`` of them."""
    epochs = steps // STEPS_PER_EPOCH
    config = build_config({"name": f"made{steps}x{every}", "train": {"epochs": epochs}}, {})
    run = run_dir.create(folder, config)
    started = time.time() - steps * 0.2
    with run.events.open("wb") as log:
        log.writelines(map(encode, opening(config, epochs, started)))
        for epoch in range(1, epochs + 1):
            first = (epoch - 1) * STEPS_PER_EPOCH
            log.write(encode(EpochStarted(time=started + first * 0.2, epoch=epoch, epochs=epochs)))
            for number in range(first + every, first + STEPS_PER_EPOCH + 1, every):
                log.write(encode(step(number, started + number * 0.2, every)))
                log.write(encode(norms(number, started + number * 0.2)))
            log.write(encode(evaluated(epoch * STEPS_PER_EPOCH, started + epoch * STEPS_PER_EPOCH * 0.2)))
        log.write(
            encode(
                RunFinished(
                    time=started + steps * 0.2, outcome="completed", reason="all epochs trained", steps=steps,
                    epochs=epochs, seconds=steps * 0.2, best_accuracy=0.9, best_epoch=epochs, best_split="test",
                )
            )
        )  # fmt: skip
    run.release()
    return run


def _row(block: str) -> ShapeRow:
    stage, _, part = block.partition(".")
    return ShapeRow(
        stage=stage, block=part, name=f"{block}.conv1", op="Conv2d", kernel=(3, 3), stride=(1, 1), padding=(1, 1),
        input=(16, 32, 32), output=(16, 32, 32), params=2304, macs=2_359_296,
    )  # fmt: skip
