"""Every dataset by its name: what is known of it, whether it can be used, and loading it. Imports no torch."""

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, get_args

from engine.config import DataConfig, DatasetName
from engine.data import cifar, digits, imagefolder, iris, split, synthetic
from engine.data.dataset import Dataset
from engine.data.entry import Entry

if TYPE_CHECKING:
    from engine.events import Progress


class Source(Protocol):
    """The functions that a dataset's module has."""

    def entry(self, config: DataConfig) -> Entry:
        """Say what is known of it, and whether it is there. Reads names only."""
        ...

    def check(self, config: DataConfig) -> tuple[int, int]:
        """Return the number of training samples and of classes; raise ``UserError`` where it cannot be used."""
        ...

    def load(self, config: DataConfig, seed: int) -> "Generator[Progress, None, Dataset]":
        """Make it ready, without a validation split; ``seed`` is for what is made at random."""
        ...


SOURCES: dict[DatasetName, Source] = {
    "digits": digits,
    "iris": iris,
    "cifar10": cifar,
    "cifar100": cifar,
    "imagefolder": imagefolder,
    "synthetic": synthetic,
}


def catalogue(folder: Path | None) -> list[Entry]:
    """Look at every dataset, in ``folder`` where that is given, else in the cache folder. Reads names only."""
    return [entry(DataConfig(dataset=name, dir=folder)) for name in get_args(DatasetName)]


def entry(config: DataConfig) -> Entry:
    """Look at the dataset that ``config`` names, where it says. Reads names only."""
    return SOURCES[config.dataset].entry(config)


def check(config: DataConfig) -> None:
    """Find what is wrong with the data without decoding or downloading anything.

    Raises:
        UserError: a folder is missing, unreadable, empty or not laid out as it must be; a class has no
            images; the test split has a class that train lacks; ``val_size`` is too large.
    """
    samples, classes = SOURCES[config.dataset].check(config)
    split.check_val_size(config.val_size, samples, classes)


def load(config: DataConfig, seed: int) -> "Generator[Progress, None, Dataset]":
    """Make the dataset ready; yields progress at most a few times a second, returns the dataset.

    Args:
        config: which dataset, where, and how many images to set aside for validation.
        seed: chooses the validation images, and makes the synthetic images; the test set of real data never
            depends on it.

    Raises:
        UserError: as ``check``.
        WorldError: no network, a damaged file, a full disk.
    """
    dataset = yield from SOURCES[config.dataset].load(config, seed)
    return split.with_val(dataset, config.val_size, seed) if config.val_size else dataset
