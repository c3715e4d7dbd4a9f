"""What a person is told to do when a run ends early."""

import torch

from engine.config import RunConfig

DIVERGED = (
    "Start again with a lower --lr, a warm-up (--set schedule.warmup_epochs=1) or a bounded gradient "
    "(--set optim.clip_norm=1)"
)


def out_of_memory(config: RunConfig, error: torch.OutOfMemoryError) -> str:
    """Say what to make smaller."""
    half = max(2, config.train.batch_size // 2)
    return (
        f"out of device memory with train.batch_size = {config.train.batch_size}: halve it with "
        f"--batch-size {half}, or split each batch with --set optim.accumulate=2 ({str(error).splitlines()[0]})"
    )


def file_failed(error: OSError) -> str:
    """Say which file could not be written, and why."""
    return f"{error.filename or 'a file'}: {error.strerror or error}; make room or mend it, then resume"
