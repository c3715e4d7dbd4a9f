"""Every dataset by its name: ``check`` before anything is written, ``load`` to get a ``Dataset``."""

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from engine.data import cifar, digits, imagefolder, iris, split, synthetic
from engine.data.dataset import Dataset

if TYPE_CHECKING:
    from engine.config import DataConfig, DatasetName
    from engine.events import Progress

_CHECKS: "dict[DatasetName, Callable[[DataConfig], tuple[int, int]]]" = {
    "digits": digits.check,
    "iris": iris.check,
    "cifar10": cifar.check,
    "cifar100": cifar.check,
    "imagefolder": imagefolder.check,
    "synthetic": synthetic.check,
}
_LOADERS: "dict[DatasetName, Callable[[DataConfig, int], Generator[Progress, None, Dataset]]]" = {
    "digits": digits.load,
    "iris": iris.load,
    "cifar10": cifar.load,
    "cifar100": cifar.load,
    "imagefolder": imagefolder.load,
    "synthetic": synthetic.load,
}


def check(config: "DataConfig") -> None:
    """Find what is wrong with the data without decoding or downloading anything.

    Raises:
        UserError: a folder is missing, unreadable, empty or not laid out as it must be; a class has no
            images; the test split has a class that train lacks; ``val_size`` is too large.
    """
    images, classes = _CHECKS[config.dataset](config)
    split.check_val_size(config.val_size, images, classes)


def load(config: "DataConfig", seed: int) -> "Generator[Progress, None, Dataset]":
    """Make the dataset ready; yields progress at most a few times a second, returns the dataset.

    Args:
        config: which dataset, where, and how many images to set aside for validation.
        seed: chooses the validation images, and makes the synthetic images; the test set of real data never
            depends on it.

    Raises:
        UserError: as ``check``.
        WorldError: no network, a damaged file, a full disk.
    """
    dataset = yield from _LOADERS[config.dataset](config, seed)
    return split.with_val(dataset, config.val_size, seed) if config.val_size else dataset
