"""Whether several seeds of one configuration reach a figure: the mean, how well it is known, and a verdict.

What is judged is the test accuracy after the last epoch, as published tables give it; the test set chose nothing
of it. Imports no torch.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from engine import words
from engine.data.published import SPECS
from engine.estimate import Estimate, estimate
from engine.findings import ComparisonRow, Reached, reached, rows_of_network
from engine.queue.standing import Standing
from engine.summary import RunSummary

Finding = Literal["reached", "not told apart", "missed"]
_WIDE = 0.5
"""Half the width of an interval from which on it says nothing of an accuracy."""


@dataclass(frozen=True)
class Target:
    """The test accuracy to be reached."""

    accuracy: float
    """As a fraction."""
    source: str


@dataclass(frozen=True)
class Verdict:
    """What the seeds say of the target."""

    target: Target
    finding: Finding
    """missed: the upper end of the mean's 95 % interval is below the target; reached: its lower end is not. Of one
    seed there is no interval: its value stands for both."""
    difference: float
    """Of the mean from the target, as a fraction; negative: below it."""
    standard_errors: float | None
    """How many of them that is; None where there is no spread."""
    text: str
    """All of it in words."""


@dataclass(frozen=True)
class Seeds:
    """Seeds of one configuration and what they say together."""

    runs: tuple[Standing, ...]
    """One a seed, in order."""
    target: Target | None = None
    """What a person asked for; else what is published of this very network on this data, if anything is."""

    @property
    def figures(self) -> tuple[Reached | None, ...]:
        """What each seed reached; None where it is not done."""
        return tuple(
            reached(seed.summary) if seed.state == "done" and seed.summary is not None else None for seed in self.runs
        )

    @property
    def complete(self) -> bool:
        """Whether every seed is done and has figures."""
        return None not in self.figures

    @property
    def last(self) -> Estimate | None:
        """The mean test accuracy after the last epoch, over the seeds that are done."""
        return _estimate([found.last for found in self.figures if found is not None])

    @property
    def best(self) -> Estimate | None:
        """The mean test accuracy of the best epoch."""
        return _estimate([found.best for found in self.figures if found is not None])

    @property
    def validation(self) -> Estimate | None:
        """The mean validation accuracy of the best epoch; None where a seed that is done has no such split."""
        found = [one.validation for one in self.figures if one is not None]
        known = [accuracy for accuracy in found if accuracy is not None]
        return _estimate(known) if len(known) == len(found) else None

    @property
    def by_validation(self) -> bool:
        """Whether a validation split chose the best epoch; else the test set did."""
        return self.validation is not None

    @property
    def published(self) -> tuple[ComparisonRow, ...]:
        """What is published of this very network on this data."""
        summary = self._summary
        return rows_of_network(self.runs[0].config.model, summary.classes) if summary is not None else ()

    @property
    def verdict(self) -> Verdict | None:
        """What the seeds say of the target; None where one is not done, or where there is no target."""
        target, last = self.target or self._published_target, self.last
        return _judge(last, target) if self.complete and target is not None and last is not None else None

    def notes(self, own_epochs: int) -> Iterator[str]:
        """Yield what has to be known to read the figures.

        Args:
            own_epochs: of the preset, before a person gave others.
        """
        summary, last = self._summary, self.last
        if summary is None or last is None:
            return
        epochs = self.runs[0].config.train.epochs
        if epochs != own_epochs:
            yield f"trained for {_count(epochs, 'epoch')}, not for the {own_epochs} of the preset"
        if self.published and summary.test_images != SPECS["cifar10"].test:
            yield (
                f"published figures are of {SPECS['cifar10'].test:,} test images, these of {summary.test_images:,}"
            )
        if not self.by_validation:
            yield "there is no validation split, so the test set itself chose the best epoch: a little too good"
        error = math.sqrt(max(0.0, last.mean * (1 - last.mean)) / summary.test_images)
        noun = "rows" if self.runs[0].config.model.arch == "residual-mlp" else "images"
        shared = f"{summary.test_images:,} test {noun} alone have a standard error of about {points(error)}"
        if last.margin is not None:
            shared += f", the same for all seeds: the interval says what other seeds would give, not other {noun}"
        yield shared

    @property
    def _published_target(self) -> Target | None:
        if not self.published:
            return None
        row = self.published[0]
        return Target(row.accuracy, f"{row.source}, {row.meaning}")

    @property
    def _summary(self) -> RunSummary | None:
        """A run that is done: network and data are the same in all."""
        return next((seed.summary for seed in self.runs if seed.state == "done"), None)


def _estimate(values: Sequence[float]) -> Estimate | None:
    return estimate(values) if values else None


def says_nothing(found: Estimate) -> bool:
    """Whether the interval of a mean is so wide that it leaves everything open."""
    return found.margin is not None and found.margin > _WIDE


def more_seeds(found: Estimate) -> str:
    """Say how wide the interval of a few seeds is, and what would narrow it."""
    margin = points(found.margin or 0.0)
    if len(found.values) == 2:
        return f"two seeds leave an interval of ± {margin}: with three or more it can tell"
    return f"{len(found.values)} seeds leave an interval of ± {margin}: with more of them it can tell"


def _judge(found: Estimate, target: Target) -> Verdict:
    low, high = found.interval
    finding: Finding = "reached"
    if high < target.accuracy:
        finding = "missed"
    elif low < target.accuracy:
        finding = "not told apart"
    difference = found.mean - target.accuracy
    error = found.standard_error
    errors = difference / error if error else None
    return Verdict(target, finding, difference, errors, _worded(found, target, finding, errors))


def _worded(found: Estimate, target: Target, finding: Finding, errors: float | None) -> str:
    """Say what can be concluded, and what cannot."""
    difference = found.mean - target.accuracy
    side = "below" if difference < 0 else "above"
    off = f"{points(abs(difference))} {side}" if difference else "exactly at"
    goal = f"the target of {words.percent(target.accuracy)}"
    if found.margin is None:
        how = "missed" if finding == "missed" else "reached"
        return (
            f"{how}: the one seed gives {words.percent(found.mean)}, {off} {goal}. One seed has no spread, so "
            "whether another would do the same cannot be said: give more --seeds"
        )
    seeds = f"the mean of {len(found.values)} seeds, {words.percent(found.mean)}, is {off} {goal}"
    if errors is not None:
        seeds += f" ({abs(errors):.1f} standard errors)"
    low, high = (words.percent(end) for end in found.interval)
    if finding == "missed":
        return f"missed: {seeds}, and so is the upper end of its 95 % interval, {high}"
    if finding == "reached":
        return f"reached: {seeds}, and the lower end of its 95 % interval, {low}, is not below it"
    if len(found.values) == 2 or says_nothing(found):
        why = f"{seeds}; {more_seeds(found)}"
    else:
        why = (
            f"{seeds}, which lies within the mean's 95 % interval, {low} to {high}. With so few seeds, differences "
            f"of less than {points(found.margin)} cannot be seen"
        )
    return f"not told apart: {why} (exit status 0: not missed is not yet reached)"


def points(fraction: float) -> str:
    """Write a difference of accuracies in percentage points."""
    return f"{fraction * 100:.2f} points"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
