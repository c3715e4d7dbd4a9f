"""What every source gives: labelled samples, split into training, validation and test. Imports no torch."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHUNK_BYTES = 64 << 20


@dataclass(frozen=True, eq=False)
class Samples:
    """Images or feature rows with their labels."""

    x: NDArray[Any]
    """uint8 (N, C, H, W) images or float32 (N, F) features; may be a read-only memory map. With ``rows`` it
    holds more than these samples: read through ``take``."""
    y: NDArray[np.int64]
    """Labels, (N,)."""
    rows: NDArray[np.int64] | None = None
    """Which rows of ``x`` these samples are, (N,); None: all of them. So a split copies no images."""

    def __len__(self) -> int:
        return len(self.y)

    def __reduce__(self) -> tuple[Any, ...]:
        """Send a memory map to a worker process as its place, not its content, where processes are not forked."""
        x = self.x
        if isinstance(x, np.memmap) and x.base is not None and not isinstance(x.base, np.memmap) and x.filename:
            return _mapped_again, (x.filename, x.dtype, x.offset, x.shape, self.y, self.rows)
        return Samples, (x, self.y, self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample: (C, H, W) or (F,)."""
        return tuple(int(n) for n in self.x.shape[1:])

    @property
    def nbytes(self) -> int:
        """Size of these samples in memory, without labels."""
        return len(self) * int(self.x.dtype.itemsize * np.prod(self.shape))

    def take(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """Return a copy of the samples at ``positions`` (B,), in that order: (B, C, H, W) or (B, F)."""
        return np.asarray(self.x[positions if self.rows is None else self.rows[positions]])

    def select(self, positions: NDArray[np.int64]) -> "Samples":
        """Return the samples at ``positions`` as samples of their own; images are not copied."""
        return Samples(self.x, self.y[positions], positions if self.rows is None else self.rows[positions])

    def chunks(self) -> Iterator[NDArray[Any]]:
        """Yield all samples in order, about 64 MiB at a time."""
        count = max(1, CHUNK_BYTES * len(self) // max(1, self.nbytes))
        for start in range(0, len(self), count):
            yield self.take(np.arange(start, min(start + count, len(self))))


def _mapped_again(
    file: Path,
    dtype: np.dtype[Any],
    offset: int,
    shape: tuple[int, ...],
    y: NDArray[np.int64],
    rows: NDArray[np.int64] | None,
) -> Samples:
    return Samples(np.memmap(file, dtype, mode="r", offset=offset, shape=shape), y, rows)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset as a run sees it."""

    name: str
    classes: tuple[str, ...]
    """Names by label, safe to print."""
    train: Samples
    val: Samples | None
    """Set aside from the training images when ``data.val_size`` is above 0."""
    test: Samples

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample: (C, H, W) for images, (F,) for features."""
        return self.train.shape

    @property
    def is_images(self) -> bool:
        """Whether samples are images, which can be normalised and augmented, rather than features."""
        return len(self.shape) == 3

    @cached_property
    def pixel_mean(self) -> NDArray[np.float32]:
        """Mean image of the training split, (C, H, W), values 0 to 1 (He et al. 2015, section 4.2)."""
        total = np.zeros(self.shape)
        for chunk in self.train.chunks():
            total += chunk.sum(axis=0, dtype=np.int64)
        return (total / (255 * len(self.train))).astype(np.float32)
