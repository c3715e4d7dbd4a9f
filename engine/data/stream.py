"""A training set too large for the device: worker processes read, crop and mirror; the device does the rest.

Each image is transformed with random numbers seeded by (seed, epoch, image), so the pictures are the same
whatever the number of workers.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision.transforms import v2

from engine.data.batching import steps_per_epoch
from engine.data.dataset import Dataset, Samples
from engine.data.pipeline import Batch, Finish, epoch_order
from engine.errors import WorldError
from engine.seeds import derive, generator
from engine.signals import ENDING

if TYPE_CHECKING:
    from engine.config import RunConfig
    from engine.parallel.ranks import Rank

Key = tuple[int, int]
"""Epoch and position in the training set."""


class StreamTrainBatches:
    """See ``pipeline.TrainBatches``."""

    def __init__(
        self,
        dataset: Dataset,
        config: "RunConfig",
        device: torch.device,
        note: str = "",
        rank: "Rank | None" = None,
    ) -> None:
        self._device = device
        self.note = note
        self._finish = Finish(dataset, config, device, rank)
        self._plan = _Plan(len(dataset.train), config.train.batch_size, config.train.seed, self._finish.made)
        self.steps_per_epoch = self._plan.steps
        workers = min(config.data.workers, os.cpu_count() or 1)  # torch warns of more
        self._loader: DataLoader[tuple[Tensor, int]] | None = DataLoader(
            _Images(dataset.train, config),
            batch_sampler=self._plan,
            num_workers=workers,
            pin_memory=device.type == "cuda",
            persistent_workers=workers > 0,
            worker_init_fn=_depend_on_parent,
            generator=generator(config.train.seed, "loader"),
        )

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """See ``pipeline.TrainBatches``.

        Raises:
            WorldError: a worker process died.
        """
        if self._loader is None:
            raise ValueError("these batches are closed")
        self._plan.epoch, self._plan.first_step = epoch, first_step
        with _signals_wait():
            batches = iter(self._loader)  # the first time, starts the workers, which inherit that signals wait
        for step in range(first_step, self.steps_per_epoch):
            try:
                x, y_B = next(batches)
            except RuntimeError as error:
                if "DataLoader worker" not in str(error):
                    raise
                raise WorldError(
                    "a worker process that reads images died; memory may be short: lower data.workers, or "
                    "use --set data.workers=0"
                ) from error
            x = x.to(self._device, non_blocking=True)
            if x.ndim == 4:
                x = x.permute(0, 2, 3, 1).contiguous()
            y_B = y_B.to(self._device, non_blocking=True)
            yield self._finish(x, y_B, epoch, step, self._plan.images(step))

    def close(self) -> None:
        """End the worker processes; they go with the loader."""
        self._loader = None


class _Plan:
    """The batches of one epoch, as keys; the loader asks for them anew at the start of each."""

    def __init__(self, count: int, batch_size: int, seed: int, made: Callable[[int], slice]) -> None:
        """``made``: which images of a batch, of so many, are wanted here."""
        self._count, self._batch_size, self._seed, self._made = count, batch_size, seed, made
        self.steps = steps_per_epoch(count, batch_size)
        self.epoch, self.first_step = 1, 0

    def __iter__(self) -> Iterator[list[Key]]:
        epoch, size = self.epoch, self._batch_size
        order = epoch_order(self._count, self._seed, epoch).tolist()
        for step in range(self.first_step, self.steps):
            batch = order[step * size : (step + 1) * size]
            yield [(epoch, position) for position in batch[self._made(len(batch))]]

    def images(self, step: int) -> int:
        """Return the images of a whole batch."""
        return min(self._batch_size, self._count - step * self._batch_size)


class _Images(TorchDataset[tuple[Tensor, int]]):
    """One sample at a time: uint8 (C, H, W), cropped and mirrored, or features (F,), with its label."""

    def __init__(self, samples: Samples, config: "RunConfig") -> None:
        self._samples, self._seed = samples, config.train.seed
        transforms: list[Any] = []
        if len(samples.shape) == 3:
            if config.data.crop_padding:
                transforms.append(v2.RandomCrop(samples.shape[1:], padding=config.data.crop_padding))
            if config.data.flip:
                transforms.append(v2.RandomHorizontalFlip())
        self._transform = v2.Compose(transforms) if transforms else None

    def __getitems__(self, keys: list[Key]) -> list[tuple[Tensor, int]]:
        """Return the samples of one batch; the loader asks for this where it finds it."""
        positions = np.array([position for _, position in keys])
        x_B = torch.from_numpy(self._samples.take(positions))
        labels = self._samples.y[positions].tolist()
        if self._transform is None:
            return list(zip(x_B, labels, strict=True))
        # The v2 transforms draw from torch's global generator: lend it to them, and give it back as it was.
        with torch.random.fork_rng(devices=[]):
            return [(self._moved(x, key), label) for x, key, label in zip(x_B, keys, labels, strict=True)]

    def __getitem__(self, key: Key) -> tuple[Tensor, int]:
        """Return one sample."""
        return self.__getitems__([key])[0]

    def _moved(self, x: Tensor, key: Key) -> Tensor:
        assert self._transform is not None
        epoch, position = key
        torch.default_generator.manual_seed(derive(self._seed, "augment", epoch, "image", position))
        moved: Tensor = self._transform(x)
        return moved


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Let signals that end a run come to this thread only afterwards."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows, where a group cannot be signalled like this
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _depend_on_parent(worker: int) -> None:  # noqa: ARG001 - the loader passes it
    """Leave signals to the run and end with it, however it ends.

    A signal reaches every process of a group; the run decides what it means, and tells its workers itself. Until here
    signals wait: one would end a worker that has only just begun. A worker that lived on would keep the lock of the
    run, which it inherits.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


def _end_with_parent() -> None:
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
    os._exit(1)
