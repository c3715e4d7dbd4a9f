"""Made runs of any length, as the engine would have recorded them, for benchmarks of the dashboard."""

import time
from pathlib import Path

from made_training import STEPS_PER_EPOCH, evaluated, norms, opening, step

from engine import run_dir
from engine.config_file import build_config
from engine.events import EpochStarted, RunFinished, encode
from engine.run_dir import RunDir


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
