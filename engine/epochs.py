"""The figures of one epoch: finished, as a row of a table, and in hand, as running sums."""

import math
from dataclasses import dataclass, field, replace

from engine.events import Evaluated, Split, Step


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochRow:
    """One finished epoch. Losses in nats, accuracies as fractions, None where the split does not exist."""

    epoch: int
    step: int
    """The epoch's last."""
    train_loss: float
    """Mean over the images of the epoch as they were trained on; NaN where the steps were not read."""
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    test_loss: float | None
    test_accuracy: float | None
    lr: float
    """At the end of the epoch."""
    images_per_second: float
    """Of training, without evaluation."""
    seconds: float
    """Of the whole epoch with its evaluation, without pauses."""

    def accuracy(self, split: Split) -> float | None:
        """Return the accuracy of ``split``."""
        return {"train": self.train_accuracy, "val": self.val_accuracy, "test": self.test_accuracy}[split]


@dataclass(slots=True)
class EpochSums:
    """Running sums of the epoch in hand; nothing of single steps is kept."""

    epoch: int = 0
    images: int = 0
    loss: float = 0.0
    """Summed over images, as is ``accuracy``."""
    accuracy: float = 0.0
    training_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    seconds: float = 0.0
    lr: float = math.nan
    scores: dict[Split, tuple[float, float]] = field(default_factory=dict)
    """Loss and accuracy of each split evaluated at the end of the epoch."""

    def copy(self) -> "EpochSums":
        """Return the same sums, which then go their own way."""
        return replace(self, scores=dict(self.scores))

    def add_step(self, event: Step, seconds: float) -> None:
        """Add what ``event`` reports, which took ``seconds``."""
        self.images += event.images
        self.loss += event.loss * event.images
        self.accuracy += event.accuracy * event.images
        self.training_seconds += seconds
        self.lr = event.lr

    def row(self, event: Evaluated) -> EpochRow:
        """Return the epoch's row; ``event`` is the last evaluation at its end."""
        val_loss, val_accuracy = self.scores.get("val", (None, None))
        test_loss, test_accuracy = self.scores.get("test", (None, None))
        return EpochRow(
            epoch=event.epoch,
            step=event.step,
            train_loss=self.loss / self.images if self.images else math.nan,
            train_accuracy=self.accuracy / self.images if self.images else math.nan,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            test_loss=test_loss,
            test_accuracy=test_accuracy,
            lr=self.lr,
            images_per_second=self.images / self.training_seconds if self.training_seconds else 0.0,
            seconds=self.seconds,
        )
