"""What datasets there are, where each is, and what to do about one that is not there. Imports no torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from engine.config import DataConfig, DatasetName
from engine.data import digits, iris, synthetic
from engine.data.cache import cache_folder
from engine.data.listing import list_images
from engine.data.published import SPECS, Spec, download_command, locate
from engine.errors import UserError
from engine.text import one_line


@dataclass(frozen=True)
class Entry:
    """One dataset."""

    name: str
    state: str
    """embedded, made, complete, incomplete, archive only, absent, or not usable."""
    classes: int | None
    """None, as the sizes: not known without a folder."""
    train: int | None
    """Training images, or rows of features."""
    test: int | None
    where: str
    todo: str
    """What to do so that it can be used; empty: nothing."""


def catalogue(folder: Path | None) -> list[Entry]:
    """Look at every dataset, in ``folder`` where that is given, else in the cache folder. Reads names only."""
    return [entry(DataConfig(dataset=name, dir=folder)) for name in get_args(DatasetName)]


def entry(config: DataConfig) -> Entry:
    """Look at the dataset that ``config`` names, where it says. Reads names only."""
    match config.dataset:
        case "digits":
            return Entry("digits", "embedded", len(digits.CLASSES), digits.TRAIN, digits.TEST, "scikit-learn", "")
        case "iris":
            return Entry("iris", "embedded", len(iris.CLASSES), iris.TRAIN, iris.TEST, "scikit-learn", "")
        case "synthetic":
            images = config.synthetic_size, synthetic.test_size(config)
            return Entry("synthetic", "made", config.synthetic_classes, *images, "made from the seed", "")
        case "imagefolder":
            return _imagefolder(config.dir)
        case name:
            return _cifar(SPECS[name], config.dir)


def _cifar(spec: Spec, folder: Path | None) -> Entry:
    try:
        place = locate(spec, folder)
    except UserError as error:
        shown = one_line(str(folder or cache_folder()))
        return Entry(spec.name, "not usable", spec.classes, spec.train, spec.test, shown, str(error))
    where = place.archive if place.state == "archive only" else place.root / spec.batches
    todo = {
        "complete": "",
        "archive only": "nothing: training unpacks it",
        "incomplete": f"remove {one_line(str(where))}, then: {download_command(spec, place.root)}",
        "absent": download_command(spec, folder),
    }[place.state]
    shown = one_line(str(where))
    return Entry(spec.name, place.state, spec.classes, spec.train, spec.test, shown, todo)


def _imagefolder(folder: Path | None) -> Entry:
    if folder is None:
        todo = "give the folder with train/ and test/ (or val/): --data-dir FOLDER"
        return Entry("imagefolder", "absent", None, None, None, "", todo)
    shown = one_line(str(folder.expanduser().absolute()))
    try:
        listing = list_images(folder.expanduser().absolute())
    except UserError as error:
        return Entry("imagefolder", "not usable", None, None, None, shown, str(error))
    train, test = len(listing.train.names), len(listing.test.names)
    return Entry("imagefolder", "complete", len(listing.classes), train, test, shown, "")
