"""What a training ResNet-20 tells, made up: events of any number of steps, as the engine would send them."""

import math
from collections.abc import Iterator

from engine.config import RunConfig
from engine.events import (
    Evaluated,
    Event,
    GradNorms,
    ModelBuilt,
    RunStarted,
    ShapeRow,
    Step,
)

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


def _row(block: str) -> ShapeRow:
    stage, _, part = block.partition(".")
    return ShapeRow(
        stage=stage, block=part, name=f"{block}.conv1", op="Conv2d", kernel=(3, 3), stride=(1, 1), padding=(1, 1),
        input=(16, 32, 32), output=(16, 32, 32), params=2304, macs=2_359_296,
    )  # fmt: skip
