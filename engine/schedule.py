"""The learning rate as a pure function of how much of the run is done (He et al. 2015; Loshchilov & Hutter 2017;
Smith & Topin 2018).
"""

import math
from dataclasses import dataclass, replace

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


@dataclass(frozen=True, kw_only=True)
class RateState:
    """What people changed about the learning rate while the run went on."""

    total_steps: int
    """Of the whole run."""
    anchor_step: int = 0
    """Where the run was last extended, and how much of the schedule was done there."""
    anchor_done: float = 0.0
    scale: float = 1.0
    """What the schedule's rate is multiplied with."""
    warmup_over: bool = False


class LearningRate:
    """The rate of every step, also when a person changes it or makes the run longer while it goes on."""

    def __init__(self, config: ScheduleConfig, peak: float, steps_per_epoch: int, state: RateState) -> None:
        self.state = state
        self._config = config
        self._peak = peak
        self._steps_per_epoch = steps_per_epoch

    def at(self, step: int) -> float:
        """Return the rate of optimiser step ``step``, counted from 0."""
        over = self.state.warmup_over
        warmup = 1.0 if over else warmup_factor(self._config, step / self._steps_per_epoch)
        return self._peak * factor(self._config, self.done(step)) * warmup * self.state.scale

    def done(self, step: int) -> float:
        """Return the fraction of the schedule done before ``step``."""
        state = self.state
        left = state.total_steps - state.anchor_step
        share = (step - state.anchor_step) / left if left > 0 else 1.0
        return min(1.0, state.anchor_done + (1 - state.anchor_done) * share)

    def set(self, step: int, rate: float) -> None:
        """Make ``rate`` the rate of ``step``; later ones follow the schedule in proportion. Ends a warm-up.

        A schedule that is at zero for good starts from the peak in the same proportion.
        """
        scheduled = self._peak * factor(self._config, self.done(step)) or self._peak
        self.state = replace(self.state, scale=rate / scheduled, warmup_over=True)

    def extend(self, step: int, steps: int) -> None:
        """Make the run ``steps`` longer; what is left of the schedule is stretched over what is left of the run.

        So the rate does not jump. A schedule that had already ended starts anew, as the configuration has it.
        """
        done, total = self.done(step), self.state.total_steps + steps
        if done < 1:
            self.state = replace(self.state, total_steps=total, anchor_step=step, anchor_done=done)
        else:
            self.state = RateState(total_steps=total, warmup_over=True)
