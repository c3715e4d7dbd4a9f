"""Sets part of the training images aside for validation: seeded, exact in number, stratified by class."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engine.data.dataset import Dataset
from engine.errors import UserError
from engine.seeds import generator


def check_val_size(val_size: int, images: int, classes: int) -> None:
    """Make sure that every class can keep a training image.

    Raises:
        UserError: ``val_size`` is too large.
    """
    if val_size > images - classes:
        raise UserError(
            f"data.val_size = {val_size}: there are {images:,} training images in {classes} classes, and "
            f"each class must keep one; allowed: 0 to {images - classes}"
        )


def val_counts(class_counts: NDArray[np.int64], val_size: int) -> NDArray[np.int64]:
    """Share ``val_size`` among classes in proportion, by largest remainder, never a class's last image.

    Args:
        class_counts: training images a class, (K,).
        val_size: at most ``class_counts.sum() - K``.

    Returns:
        Validation images a class, (K,); they add up to ``val_size``.
    """
    room: NDArray[np.int64] = class_counts - 1
    quota = class_counts * val_size / class_counts.sum()
    counts: NDArray[np.int64] = np.minimum(np.floor(quota).astype(np.int64), room)
    by_remainder = np.argsort(counts - quota, kind="stable")
    while (left := val_size - int(counts.sum())) > 0:
        open_classes = by_remainder[(room - counts)[by_remainder] > 0]
        counts[open_classes[:left]] += 1
    return counts


def with_val(dataset: Dataset, val_size: int, seed: int) -> Dataset:
    """Return ``dataset`` with ``val_size`` training images moved to ``val``; the test set stays as it is.

    Raises:
        UserError: a class would be left without training images.
    """
    y = dataset.train.y
    class_counts = np.bincount(y, minlength=len(dataset.classes))
    check_val_size(val_size, len(y), len(dataset.classes))
    shuffled = _permutation(len(y), seed)
    by_class = shuffled[np.argsort(y[shuffled], kind="stable")]
    starts = np.cumsum(class_counts) - class_counts
    chosen = np.zeros(len(y), dtype=bool)
    for start, count in zip(starts, val_counts(class_counts, val_size), strict=True):
        chosen[by_class[start : start + count]] = True
    return replace(
        dataset,
        train=dataset.train.select(np.flatnonzero(~chosen)),
        val=dataset.train.select(np.flatnonzero(chosen)),
    )


def _permutation(count: int, seed: int) -> NDArray[np.int64]:
    import torch

    order: NDArray[np.int64] = torch.randperm(count, generator=generator(seed, "split")).numpy()
    return order
