"""How fast a run trains and evaluates, measured from its recent events: what an estimate rests on."""

from collections import deque

from engine.events import Split, Step

_WINDOW = 20
"""Recent ``step`` events and evaluations that count."""
_WARM_UP_STEPS = 5
"""Steps before a speed is given."""
_EVALUATION_SPEEDUP = 3.0
"""Images evaluated in the time of one trained, for there is no backward pass; until one was measured."""


class Pace:
    """Means over a short window of this process; another machine has another speed."""

    def __init__(self) -> None:
        self._steps_seen = 0
        self._readings: deque[tuple[float, int, int]] = deque(maxlen=_WINDOW)  # seconds, steps, images
        self._evaluations: dict[Split, deque[float]] = {}
        self._epoch_overheads: deque[float] = deque(maxlen=_WINDOW)

    def add_step(self, event: Step, seconds: float) -> None:
        """Count a reading; the first one holds what only the first step costs, and is left out."""
        if self._steps_seen:
            self._readings.append((seconds, event.steps, event.images))
        self._steps_seen += event.steps

    def add_evaluation(self, split: Split, seconds: float) -> None:
        """Count an evaluation of the whole split."""
        self._evaluations.setdefault(split, deque(maxlen=3)).append(seconds)

    def add_epoch(self, overhead: float) -> None:
        """Count a whole epoch's seconds that went neither to training nor to evaluation: checkpoints mostly."""
        self._epoch_overheads.append(max(0.0, overhead))

    @property
    def known(self) -> bool:
        """Whether enough was measured for an estimate."""
        return bool(self._readings) and self._steps_seen >= _WARM_UP_STEPS

    def step_seconds(self) -> float:
        """Return the seconds of one optimiser step; only once ``known``."""
        return sum(seconds for seconds, _, _ in self._readings) / sum(steps for _, steps, _ in self._readings)

    def reading_seconds(self) -> float:
        """Return the seconds between two ``step`` events; only once ``known``."""
        return sum(seconds for seconds, _, _ in self._readings) / len(self._readings)

    def epoch_overhead(self) -> float:
        """Return the seconds of an epoch beside training and evaluation; 0 until one was measured."""
        return sum(self._epoch_overheads) / len(self._epoch_overheads) if self._epoch_overheads else 0.0

    def evaluation_seconds(self, split: Split, images: int) -> float:
        """Return the seconds of one evaluation of ``split``, estimated until one was measured."""
        if measured := self._evaluations.get(split):
            return sum(measured) / len(measured)
        seconds = sum(seconds for seconds, _, _ in self._readings)
        trained = sum(images for _, _, images in self._readings)
        return images * seconds / (_EVALUATION_SPEEDUP * trained)
