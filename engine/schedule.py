"""The learning rate as a pure function of how much of the run is done (He et al. 2015; Loshchilov & Hutter 2017;
Smith & Topin 2018).
"""

import math
from dataclasses import dataclass

from engine.config import ScheduleConfig


def factor(config: ScheduleConfig, done: float) -> float:
    """Return the rate as a fraction of the peak, ``done`` being the fraction of the run that is done, 0 to 1."""
    if config.name == "multistep":
        return config.gamma ** sum(done >= milestone for milestone in config.milestones)
    if config.name == "cosine":
        return _cosine(1.0, config.final, done)
    if config.name == "onecycle":
        if done < config.peak:
            return _cosine(config.warmup_start, 1.0, done / config.peak)
        return _cosine(1.0, config.final, (done - config.peak) / (1 - config.peak))
    return 1.0


def warmup_factor(config: ScheduleConfig, epochs_done: float) -> float:
    """Return what the warm-up multiplies the rate with after ``epochs_done`` epochs."""
    if epochs_done >= config.warmup_epochs:
        return 1.0
    if config.warmup == "constant":
        return config.warmup_start
    return config.warmup_start + (1 - config.warmup_start) * epochs_done / config.warmup_epochs


def _cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(done, 1.0))) / 2


@dataclass
class Clock:
    """How much of the run is done, also when a person makes the run longer while it goes on.

    What is left of the schedule is then stretched over what is left of the run, so that the rate never jumps.
    A schedule that had already ended when the run was extended is stretched over the whole of the run.
    """

    total_steps: int
    anchor_step: int = 0
    anchor_done: float = 0.0

    def done(self, step: int) -> float:
        """Return the fraction of the schedule done before optimiser step ``step`` (counted from 0)."""
        left = self.total_steps - self.anchor_step
        share = (step - self.anchor_step) / left if left > 0 else 1.0
        return min(1.0, self.anchor_done + (1 - self.anchor_done) * share)

    def extend(self, step: int, steps: int) -> None:
        """Make the run ``steps`` longer, ``step`` steps being done."""
        done = self.done(step)
        self.anchor_step, self.anchor_done = (step, done) if done < 1 else (0, 0.0)
        self.total_steps += steps
