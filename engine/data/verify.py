"""Looks at every byte of a dataset: checksums where they are published, every image decoded where not."""

from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from engine.data import cifar, sources
from engine.data.dataset import Dataset
from engine.data.listing import list_images
from engine.data.progress import Pace
from engine.data.published import SPECS, download_command, locate
from engine.errors import WorldError
from engine.text import one_line

if TYPE_CHECKING:
    from engine.config import DataConfig
    from engine.events import Progress


@dataclass(frozen=True)
class Verdict:
    """A dataset that is as it ought to be."""

    checked: str
    """What was checked, in words."""
    classes: tuple[str, ...]
    train: tuple[int, ...]
    """Training images a class."""
    test: tuple[int, ...]


def verify(config: "DataConfig") -> "Generator[Progress, None, Verdict]":
    """Check the dataset thoroughly.

    Raises:
        UserError: the folder is not laid out as it must be.
        WorldError: it is absent, or something in it is damaged, named with what to do.
    """
    if config.dataset in SPECS:
        checked = yield from _verify_cifar(config)
    elif config.dataset == "imagefolder":
        checked = yield from _decode_all(config)
    else:
        checked = "loaded"
    dataset = yield from sources.load(config, seed=1)
    return _verdict(checked, dataset)


def _verify_cifar(config: "DataConfig") -> "Generator[Progress, None, str]":
    spec = SPECS[config.dataset]
    place = locate(spec, config.dir)
    if place.state == "absent":
        raise WorldError(
            f"{spec.name} is not in {one_line(str(place.root))}; get it with: {download_command(spec, config.dir)}"
        )
    parts: list[str] = []
    if place.archive.is_file():
        yield from cifar.verify_archive(spec, place.archive)
        parts.append("archive")
    if place.state != "archive only":
        yield from cifar.verify_batches(spec, place.root)
        parts.append("every batch file")
    return f"{' and '.join(parts)}: published MD5"


def _decode_all(config: "DataConfig") -> "Generator[Progress, None, str]":
    from engine.data.decode import Damage, decode, over_files, refuse

    assert config.dir is not None  # the caller's to make sure of, as RunConfig does
    listing = list_images(config.dir.expanduser().absolute())
    names = (*listing.train.names, *listing.test.names)
    damaged: list[Damage] = []
    pace = Pace("decoding images", len(names))
    images = over_files(partial(decode, size=config.image_size), [listing.folder / name for name in names])
    for done, image in enumerate(images):
        if isinstance(image, Damage):
            damaged.append(image)
        if pace.due():
            yield pace.report(done)
    refuse(damaged)
    return f"{len(names):,} images: decoded"


def _verdict(checked: str, dataset: Dataset) -> Verdict:
    train, test = (
        tuple(int(n) for n in np.bincount(samples.y, minlength=len(dataset.classes)))
        for samples in (dataset.train, dataset.test)
    )
    return Verdict(checked, dataset.classes, train, test)
