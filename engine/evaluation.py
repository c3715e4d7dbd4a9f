"""Loss, accuracy, confusion and the most confident mistakes over a whole split."""

import contextlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from engine.data.dataset import Samples
from engine.events import Evaluated
from engine.mistakes import LARGEST_SIDE, MOST, Mistake, Mistakes, write

if TYPE_CHECKING:
    from engine.parallel.group import Group

TOP5_ABOVE_CLASSES = 10
Worst = tuple[Tensor, Tensor, Tensor]
"""Of the most confident mistakes: index in the split, predicted label, log of the confidence."""


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
    """Sums over batches that stay on the device until they are asked for. K classes, B batch, N the whole split."""

    def __init__(self, classes: int, device: torch.device) -> None:
        self._classes = classes
        self._confusion = torch.zeros(classes * classes, dtype=torch.int64, device=device)
        self._loss = torch.zeros((), dtype=torch.float64 if device.type != "mps" else None, device=device)
        self._top5 = torch.zeros((), dtype=torch.int64, device=device)
        self._ones = torch.ones((), dtype=torch.int64, device=device)
        self._wrong: list[tuple[Tensor, Tensor]] = []
        self._worst_of_all: Worst | None = None

    def add(self, logits_BK: Tensor, y_B: Tensor) -> None:
        """Count one batch; nothing is synchronised."""
        logits_BK = logits_BK.float()
        logs_BK = F.log_softmax(logits_BK, dim=1)
        self._loss += F.nll_loss(logs_BK, y_B, reduction="sum")
        predicted_B = logits_BK.argmax(dim=1)
        log_B = logs_BK.gather(1, predicted_B[:, None])[:, 0]
        self._wrong.append((predicted_B, log_B.masked_fill(predicted_B == y_B, -math.inf)))
        cells_B = y_B * self._classes + predicted_B
        self._confusion.index_add_(0, cells_B, self._ones.expand_as(cells_B))
        if self._classes > TOP5_ABOVE_CLASSES:
            top_B5 = logits_BK.topk(5, dim=1).indices
            self._top5 += (top_B5 == y_B[:, None]).sum()

    def unite(self, group: "Group", first: int) -> None:
        """Put together what each rank has counted; ``first``: the index in the split of its first sample."""
        for counts in (self._confusion, self._loss, self._top5):
            group.sum_(counts)
        rows_3M = torch.full((3, MOST), -math.inf, dtype=torch.float64)
        if self._wrong:
            index, predicted, log = self._worst()
            rows_3M[:, : len(index)] = torch.stack((index + first, predicted, log.double())).cpu()
        rows = torch.cat(group.gather_rows(rows_3M), dim=1)
        index, predicted, log = rows[:, rows[2].sort(descending=True, stable=True).indices[:MOST]]
        self._worst_of_all = index, predicted, log

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

    def most_confidently_wrong(self) -> tuple[tuple[int, int, float], ...]:
        """Return index in the split, predicted label and confidence of up to ``MOST`` samples, most confident first.

        Among equals, the first in the split come first.
        """
        # host-device synchronisations
        places = zip(*(column.tolist() for column in self._worst_of_all or self._worst()), strict=True)
        return tuple((int(index), int(label), math.exp(log)) for index, label, log in places if math.isfinite(log))

    def _worst(self) -> Worst:
        predicted_N, log_N = (torch.cat(parts) for parts in zip(*self._wrong, strict=True))
        order = log_N.sort(descending=True, stable=True).indices[:MOST]
        return order, predicted_N[order], log_N[order]


def keep_mistakes(path: Path, evaluation: Evaluation, samples: Samples, event: Evaluated) -> None:
    """Write what ``mistakes_of`` finds to ``path``; what cannot be written is left out."""
    with contextlib.suppress(OSError):  # a full disk must not end a run for want of thumbnails
        write(path, mistakes_of(evaluation, samples, event))


def mistakes_of(evaluation: Evaluation, samples: Samples, event: Evaluated) -> Mistakes:
    """Return the most confident mistakes of an evaluation, with their pictures reduced to a thumbnail's size.

    Args:
        evaluation: has seen all ``samples`` in order.
        samples: the split.
        event: what was said of it.
    """
    wrong = evaluation.most_confidently_wrong()
    x = samples.take(np.array([index for index, _, _ in wrong], dtype=np.int64))
    is_picture = len(samples.shape) == 3
    if is_picture:
        x = _reduced(x)
    return Mistakes(
        step=event.step,
        epoch=event.epoch,
        split=event.split,
        shape=tuple(x.shape[1:]),
        mistakes=tuple(
            Mistake(
                index=index,
                label=int(samples.y[index]),
                predicted=label,
                confidence=confidence,
                pixels=sample.tobytes() if is_picture else b"",
                values=() if is_picture else tuple(sample.tolist()),
            )
            for (index, label, confidence), sample in zip(wrong, x, strict=True)
        ),
    )


def _reduced(x_BCHW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Average areas of pictures that are larger than ``LARGEST_SIDE``; their proportions stay."""
    height, width = x_BCHW.shape[2:]
    scale = LARGEST_SIDE / max(height, width)
    if scale >= 1 or not len(x_BCHW):
        return x_BCHW
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    means = F.adaptive_avg_pool2d(torch.from_numpy(x_BCHW).float(), size)
    reduced: NDArray[np.uint8] = means.round().byte().numpy()
    return reduced


def evaluate_batches(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    evaluation: Evaluation,
    dtype: torch.dtype,
    *,
    at_least: int = 0,
) -> Iterator[int]:
    """Add every batch to ``evaluation``, yielding the number of images after each; the model is in eval mode.

    Nothing is kept between the yields that a caller who stops early would have to undo, but the mode.

    Args:
        model: the network.
        batches: images and labels.
        evaluation: counts.
        dtype: of autocast; float32 means none.
        at_least: how often to yield; after the last batch, 0 images.
    """
    was_training = model.training
    model.eval()
    yielded = 0
    try:
        for x, y_B in batches:
            with torch.no_grad(), torch.autocast(x.device.type, dtype, enabled=dtype != torch.float32):
                evaluation.add(model(x), y_B)
            yielded += 1
            yield len(y_B)
        yield from repeat(0, at_least - yielded)
    finally:
        model.train(was_training)
