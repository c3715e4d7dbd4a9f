"""What the dashboard knows of a run: a pure function of its events."""

from dataclasses import dataclass, field
from typing import Literal

from engine.events import (
    CheckpointSaved,
    ControlApplied,
    Evaluated,
    Event,
    GradNorms,
    ModelBuilt,
    Pruned,
    RunStarted,
    Split,
    Step,
    System,
)
from engine.summary import RunSummary
from resnet_tui.run.gradient_history import GradientHistory
from resnet_tui.run.series import Series

Topic = Literal["run", "steps", "evaluations", "gradients", "shapes", "system", "marks"]
"""run: state, epoch, outcome, progress; the others are what they are called."""
SYSTEM_FIELDS = (
    "cpu_percent",
    "memory_bytes",
    "host_cpu_percent",
    "host_memory_bytes",
    "device_percent",
    "device_memory_bytes",
    "device_watts",
    "device_celsius",
)
_MOST_MARKS = 200


@dataclass(frozen=True)
class Change:
    """Something a person changed while the run went on, or that happened to it."""

    step: int
    seconds: float
    text: str


@dataclass
class Scores:
    """The evaluations of one split over the run."""

    loss: Series = field(default_factory=Series)
    accuracy: Series = field(default_factory=Series)
    latest: Evaluated | None = None
    before: Evaluated | None = None
    """The one before ``latest``, to tell what became better."""


class RunState:
    """The fold: feed it every event in order, read it at any time, from one thread."""

    def __init__(self) -> None:
        self.summary = RunSummary()
        self.started: RunStarted | None = None
        """How the latest process began: its versions, host and number."""
        self.model: ModelBuilt | None = None
        self.loss, self.accuracy = Series(), Series()
        """Of training."""
        self.rate, self.speed = Series(), Series()
        self.total_norm = Series()
        self.gradients = GradientHistory()
        self.scores: dict[Split, Scores] = {}
        self.system: System | None = None
        self.use: dict[str, Series] = {name: Series() for name in SYSTEM_FIELDS}
        """Use of host and device over time; empty where it is not known."""
        self.changes: list[Change] = []
        self.applied: list[ControlApplied] = []
        """What people asked for and the engine took, so that who asked can tell."""
        self.saved: CheckpointSaved | None = None
        """The latest checkpoint."""
        self.changed: set[Topic] = set()
        """What changed since somebody last emptied this."""

    def apply(self, event: Event) -> None:
        """Take the next event of the run's log."""
        summary = self.summary
        summary.apply(event)
        now = summary.elapsed
        match event:
            case Step():
                self.loss.add(event.step, now, event.loss)
                self.accuracy.add(event.step, now, event.accuracy)
                self.rate.add(event.step, now, event.lr)
                self.speed.add(event.step, now, event.images_per_second)
                self.changed |= {"steps", "run"}
            case GradNorms():
                self.gradients.add(event.step, now, event.norms)
                self.total_norm.add(event.step, now, event.total)
                self.changed.add("gradients")
            case System():
                self._use(event, now)
            case Evaluated():
                self._evaluated(event, now)
            case RunStarted():
                self._start(event)
            case ModelBuilt():
                if self.gradients.parts != event.blocks:
                    self.gradients = GradientHistory(event.blocks)
                self.model = event
                self.changed |= {"shapes", "gradients", "run"}
            case ControlApplied():
                self._changed_by(event, now)
            case Pruned():
                self._mark(event.step, now, f"pruned {event.zeros / max(1, event.weights):.0%}")
            case CheckpointSaved():
                self.saved = event
                self.changed.add("run")
            case _:
                self.changed.add("run")

    @property
    def span(self) -> tuple[int, float]:
        """Steps done and seconds passed: the ends of the axes."""
        return self.summary.step, self.summary.elapsed

    def _start(self, event: RunStarted) -> None:
        self.started = event
        if event.resumed_at is not None:
            self._forget_after(event.resumed_at)
            self._mark(event.resumed_at, self.summary.elapsed, "resumed")
        self.changed |= {"run", "steps", "evaluations", "gradients", "system", "marks"}

    def _forget_after(self, step: int) -> None:
        series = [self.loss, self.accuracy, self.rate, self.speed, self.total_norm, *self.use.values()]
        for scores in self.scores.values():
            series += [scores.loss, scores.accuracy]
            if scores.latest is not None and scores.latest.step > step:
                is_before = scores.before is not None and scores.before.step <= step
                scores.latest, scores.before = scores.before if is_before else None, None
        for one in series:
            one.forget_after(step)
        self.gradients.forget_after(step)
        self.changes = [change for change in self.changes if change.step <= step]

    def _evaluated(self, event: Evaluated, now: float) -> None:
        scores = self.scores.setdefault(event.split, Scores())
        scores.loss.add(event.step, now, event.loss)
        scores.accuracy.add(event.step, now, event.accuracy)
        if scores.latest is not None and scores.latest.step < event.step:
            scores.before = scores.latest
        scores.latest = event
        self.changed |= {"evaluations", "run"}

    def _use(self, event: System, now: float) -> None:
        self.system = event
        for name, series in self.use.items():
            if (value := getattr(event, name)) is not None:
                series.add(self.summary.step, now, value)
        self.changed.add("system")

    def _changed_by(self, event: ControlApplied, now: float) -> None:
        self.applied = [*self.applied, event][-_MOST_MARKS:]
        value = "" if event.value is None else f" {event.value:g}"
        self._mark(event.step, now, f"{event.command.replace('_', ' ')}{value}")

    def _mark(self, step: int, now: float, text: str) -> None:
        self.changes = [*self.changes, Change(step, now, text)][-_MOST_MARKS:]
        self.changed |= {"marks", "run"}
