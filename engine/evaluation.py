"""Loss, accuracy and confusion over a whole split."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TOP5_ABOVE_CLASSES = 10


class EvalBatches(Protocol):
    """A split in order, as often as wanted: images on the device and their labels."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]: ...

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class Scores:
    """What an evaluation gives; the fields are those of ``events.Evaluated``."""

    loss: float
    accuracy: float
    top5: float | None
    per_class: tuple[float, ...]
    confusion: tuple[tuple[int, ...], ...]
    images: int


class Evaluation:
    """Sums over batches that stay on the device until ``scores``. K classes, B batch."""

    def __init__(self, classes: int, device: torch.device) -> None:
        self._classes = classes
        self._confusion = torch.zeros(classes * classes, dtype=torch.int64, device=device)
        self._loss = torch.zeros((), dtype=torch.float64 if device.type != "mps" else None, device=device)
        self._top5 = torch.zeros((), dtype=torch.int64, device=device)
        self._ones = torch.ones((), dtype=torch.int64, device=device)

    def add(self, logits_BK: Tensor, y_B: Tensor) -> None:
        """Count one batch; nothing is synchronised."""
        logits_BK = logits_BK.float()
        self._loss += F.cross_entropy(logits_BK, y_B, reduction="sum")
        cells_B = y_B * self._classes + logits_BK.argmax(dim=1)
        self._confusion.index_add_(0, cells_B, self._ones.expand_as(cells_B))
        if self._classes > TOP5_ABOVE_CLASSES:
            top_B5 = logits_BK.topk(5, dim=1).indices
            self._top5 += (top_B5 == y_B[:, None]).sum()

    def scores(self) -> Scores:
        """Read the sums."""
        confusion_KK = self._confusion.view(self._classes, self._classes).cpu()  # host-device synchronisation
        images = int(confusion_KK.sum())
        right_K = confusion_KK.diagonal()
        return Scores(
            loss=self._loss.item() / images,  # host-device synchronisation
            accuracy=int(right_K.sum()) / images,
            top5=self._top5.item() / images if self._classes > TOP5_ABOVE_CLASSES else None,
            per_class=tuple((right_K.double() / confusion_KK.sum(dim=1)).tolist()),
            confusion=tuple(tuple(row) for row in confusion_KK.tolist()),
            images=images,
        )


def evaluate_batches(
    model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], evaluation: Evaluation, dtype: torch.dtype
) -> Iterator[int]:
    """Add every batch to ``evaluation``, yielding the number of images after each; the model is in eval mode.

    Nothing is kept between the yields that a caller who stops early would have to undo, but the mode.
    """
    was_training = model.training
    model.eval()
    try:
        for x, y_B in batches:
            with torch.no_grad(), torch.autocast(x.device.type, dtype, enabled=dtype != torch.float32):
                evaluation.add(model(x), y_B)
            yield len(y_B)
    finally:
        model.train(was_training)
