"""Batches for training and evaluation, on the device.

A set that fits lives there as uint8 and is augmented a batch at a time, without worker processes; a larger
one streams through worker processes (``stream``). Batch k of epoch e depends on the seed, e and k alone, so a run
that is resumed in the middle of an epoch goes on with the very batch it had not reached.
"""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.data.augment import crop_and_flip, cut_out, draw_crop_and_flip, draw_cutout, draw_mixup
from engine.data.batching import check_batch_size, steps_per_epoch
from engine.data.dataset import Dataset, Samples
from engine.data.normalise import Normaliser
from engine.devices import memory
from engine.seeds import generator

if TYPE_CHECKING:
    from engine.config import DataConfig, RunConfig
    from engine.parallel.ranks import Rank

ALL = slice(None)


class Batch(NamedTuple):
    """What a training step needs; with mixup, the loss is ``mix * CE(y_B) + (1 - mix) * CE(y_mixed_B)``."""

    x: Tensor
    """float32, on the device: images (B, C, H, W) in channels_last, or features (B, F)."""
    y_B: Tensor  # noqa: N815 - tensors carry shape suffixes
    """int64, on the device."""
    y_mixed_B: Tensor | None  # noqa: N815
    """Labels of the images mixed in; None without mixup."""
    mix: float
    """Share of the first image."""
    whole: int = 0
    """Images of the batch of which this is one process's share; 0: this is all of it."""

    @property
    def images(self) -> int:
        """Images of the whole batch, whichever process trains them."""
        return self.whole or len(self.y_B)


class TrainBatches(Protocol):
    """The training batches of a run."""

    steps_per_epoch: int
    """The last batch may be smaller; one of a single sample is dropped: batch norm cannot normalise it."""
    note: str
    """What a person should know of where the samples are; mostly empty."""

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """Yield the batches of ``epoch`` (from 1), from ``first_step`` (from 0) on; others are not built."""

    def close(self) -> None:
        """Let go of memory and worker processes."""


def train_batches(
    dataset: Dataset, config: "RunConfig", device: torch.device, rank: "Rank | None" = None
) -> TrainBatches:
    """Return the training batches, from memory or streamed as ``data.residence`` says.

    With ``rank``, the share that it has of each: the same images, changed by the same random numbers, as in
    the batches of one process.

    Raises:
        UserError: the batch is larger than the training set.
    """
    check_batch_size(config.train.batch_size, len(dataset.train))
    if in_memory(dataset.train, config.data, device, rank):
        try:
            return MemoryTrainBatches(dataset, config, device, rank)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
    from engine.data.stream import StreamTrainBatches

    note = ""
    if config.data.residence != "stream":
        note = (
            f"the training set ({dataset.train.nbytes / 1e6:,.0f} MB) does not fit into the memory of {device} "
            f"beside a run, so {config.data.workers} worker processes stream it, which is slower"
        )
    return StreamTrainBatches(dataset, config, device, note, rank)


def eval_batches(
    samples: Samples, dataset: Dataset, config: "RunConfig", device: torch.device, rank: "Rank | None" = None
) -> "EvalBatches":
    """Return ``samples`` in order, normalised as ``dataset``'s training images are, without augmentation.

    With ``rank``, those that are its own: neighbouring batches.
    """
    return EvalBatches(samples, dataset, config, device, rank)


def in_memory(samples: Samples, config: "DataConfig", device: torch.device, rank: "Rank | None" = None) -> bool:
    """Whether ``samples`` shall live on ``device``; ``auto``: if they take less than half of what is free.

    With ``rank``, half of its part of that: on the CPU each process of a machine has a copy. One that sees less free
    than another may stream what the other keeps, which does not matter: their batches are the same.
    """
    if config.residence != "auto":
        return config.residence == "memory"
    known = memory(device) or memory(torch.device("cpu"))
    copies = rank.here if rank is not None and device.type == "cpu" else 1
    return known is not None and samples.nbytes < known[0] // 2 // copies


def epoch_order(count: int, seed: int, epoch: int) -> Tensor:
    """Return the order in which ``epoch`` goes through the training set, int64 (N,)."""
    return torch.randperm(count, generator=generator(seed, "shuffle", epoch))


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy to the device without waiting for it: the pinned copy is kept until CUDA has read it."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


class Shares:
    """Which images of a batch this process makes, and which of these it trains."""

    def __init__(self, config: "RunConfig", rank: "Rank | None") -> None:
        self._rank, self._mixes = rank, config.data.mixup > 0

    def made(self, images: int) -> slice:
        """Return which of a batch's images have to be made: with mixup all, since any two may be mixed."""
        return ALL if self._rank is None or self._mixes else self._rank.share(images)

    def trained(self, batch: Batch, images: int) -> Batch:
        """Return this process's share of what was made of a batch of ``images``."""
        if self._rank is None:
            return batch
        if not self._mixes:
            return batch._replace(whole=images)
        own, mixed = self._rank.share(images), batch.y_mixed_B
        return Batch(batch.x[own], batch.y_B[own], None if mixed is None else mixed[own], batch.mix, images)


class Finish:
    """What is done to whole batches wherever they come from: normalisation, cutout, mixup."""

    def __init__(
        self, dataset: Dataset, config: "RunConfig", device: torch.device, rank: "Rank | None" = None
    ) -> None:
        self._config, self._device = config, device
        self._normalise = Normaliser(dataset, config.data.normalise, device) if dataset.is_images else None
        self._shares = Shares(config, rank)

    def made(self, images: int) -> slice:
        """Return which images of a batch of ``images`` it wants to be given."""
        return self._shares.made(images)

    def __call__(self, x: Tensor, y_B: Tensor, epoch: int, step: int, images: int) -> Batch:
        """Normalise, cut out and mix uint8 images (B, H, W, C); features pass as they are.

        Args:
            x: those that ``made`` wants.
            y_B: their labels.
            epoch: from 1.
            step: of the epoch, from 0.
            images: of the whole batch.
        """
        return self._shares.trained(self._finished(x, y_B, epoch, step, images), images)

    def _finished(self, x: Tensor, y_B: Tensor, epoch: int, step: int, images: int) -> Batch:
        if self._normalise is None:
            return Batch(x, y_B, None, 1.0)
        data, seed = self._config.data, self._config.train.seed
        x_BHWC = self._normalise(x)
        _, height, width, _ = x_BHWC.shape
        if data.cutout:
            centre_2B = draw_cutout(images, height, width, seed, epoch, step)[:, self.made(images)]
            x_BHWC = cut_out(x_BHWC, send(centre_2B, self._device), data.cutout)
        if not data.mixup:
            return Batch(x_BHWC.permute(0, 3, 1, 2), y_B, None, 1.0)
        partner_B, mix = draw_mixup(images, data.mixup, seed, epoch, step)
        partner_B = send(partner_B, self._device)
        mixed_BHWC = torch.lerp(x_BHWC[partner_B], x_BHWC, mix)
        return Batch(mixed_BHWC.permute(0, 3, 1, 2), y_B, y_B[partner_B], mix)


class MemoryTrainBatches:
    """The training set as one tensor on the device; a batch is picked, augmented and normalised there."""

    note = ""

    def __init__(
        self, dataset: Dataset, config: "RunConfig", device: torch.device, rank: "Rank | None" = None
    ) -> None:
        self._config, self._device = config, device
        self._finish = Finish(dataset, config, device, rank)
        self._x = resident(dataset.train, device)
        self._y_N = torch.from_numpy(dataset.train.y).to(device)
        self._augment = dataset.is_images and (config.data.crop_padding > 0 or config.data.flip)
        self.steps_per_epoch = steps_per_epoch(len(dataset.train), config.train.batch_size)

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """See ``TrainBatches``. No host-device synchronisation."""
        size = self._config.train.batch_size
        order_N = epoch_order(len(self._y_N), self._config.train.seed, epoch)
        for step in range(first_step, self.steps_per_epoch):
            yield self._batch(order_N[step * size : (step + 1) * size], epoch, step)

    def close(self) -> None:
        """Free the tensors."""
        del self._x, self._y_N

    def _batch(self, index_B: Tensor, epoch: int, step: int) -> Batch:
        data, seed = self._config.data, self._config.train.seed
        images = len(index_B)
        made = self._finish.made(images)
        index_B = index_B[made]
        if self._augment:
            draws_3B = draw_crop_and_flip(images, data.crop_padding, data.flip, seed, epoch, step)[:, made]
            sent_4B = send(torch.cat([index_B[None], draws_3B]), self._device)
            index_B = sent_4B[0]
            x = crop_and_flip(self._x.index_select(0, index_B), sent_4B[1:], data.crop_padding)
        else:
            index_B = send(index_B, self._device)
            x = self._x.index_select(0, index_B)
        return self._finish(x, self._y_N.index_select(0, index_B), epoch, step, images)


class EvalBatches:
    """A split in its own order, as often as wanted; it stays on the device, or is read as needed."""

    def __init__(
        self,
        samples: Samples,
        dataset: Dataset,
        config: "RunConfig",
        device: torch.device,
        rank: "Rank | None" = None,
    ) -> None:
        self._samples, self._device = samples, device
        self._size = config.train.eval_batch_size
        batches = -(-len(samples) // self._size)
        number, ranks = (rank.number, rank.size) if rank is not None else (0, 1)
        self._most = -(-batches // ranks)
        self.first = batches * number // ranks * self._size
        """The first sample that is this process's."""
        self._end = min(batches * (number + 1) // ranks * self._size, len(samples))
        self.samples = max(0, self._end - self.first)
        """How many are this process's."""
        self._normalise = Normaliser(dataset, config.data.normalise, device) if dataset.is_images else None
        self._x = None
        if in_memory(samples, config.data, device, rank):
            with contextlib.suppress(torch.OutOfMemoryError):  # then it is read as needed
                self._x = resident(samples, device)
        self._y_N = torch.from_numpy(samples.y).to(device)

    def __len__(self) -> int:
        """Return the number of batches; of several processes, that of the one with most."""
        return self._most

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (x, y_B): images float32 (B, C, H, W) in channels_last, or features (B, F)."""
        for start in range(self.first, self._end, self._size):
            stop = min(start + self._size, self._end)
            if self._x is not None:
                x = self._x[start:stop]
            else:
                # Pictures lie in this order on disk, so reading them here is fast without worker processes.
                x = send(pixels_last(self._samples.take(np.arange(start, stop))), self._device)
            if self._normalise is not None:
                x = self._normalise(x).permute(0, 3, 1, 2)
            yield x, self._y_N[start:stop]


def resident(samples: Samples, device: torch.device) -> Tensor:
    """Copy all samples to the device: images uint8 (N, H, W, C), features float32 (N, F)."""
    channels, *space = samples.shape
    dtype = torch.uint8 if space else torch.float32
    x = torch.empty((len(samples), *space, channels), dtype=dtype, device=device)
    start = 0
    for chunk in samples.chunks():
        x[start : start + len(chunk)] = pixels_last(chunk).to(device)
        start += len(chunk)
    return x


def pixels_last(x: NDArray[Any]) -> Tensor:
    """Return images (B, C, H, W) as (B, H, W, C), contiguous; features as they are."""
    tensor = torch.from_numpy(x)
    return tensor.permute(0, 2, 3, 1).contiguous() if tensor.ndim == 4 else tensor
