"""What is known of a dataset before it is loaded: shape, sizes, whether it can be used. Imports no torch."""

from typing import cast

from engine.config import DataConfig, DatasetName
from engine.data import digits, sources, split
from engine.data.catalogue import Entry, entry
from engine.data.published import SPECS
from engine.errors import UserError
from engine.helper_messages import DataFacts, DataState
from engine.text import one_line

ASSUMED_CLASSES = 10
"""To show a network whose dataset is not there yet."""
_CIFAR_SHAPE = (3, 32, 32)
_SHAPES: dict[DatasetName, tuple[int, ...]] = {
    "digits": (3, digits.SIZE, digits.SIZE),
    "iris": (4,),
    "cifar10": _CIFAR_SHAPE,
    "cifar100": _CIFAR_SHAPE,
}
"""Of a sample; the other datasets have the shape that ``data.image_size`` says."""


def facts(config: DataConfig) -> DataFacts:
    """Look at the dataset of ``config``. Reads names only, once: a second at most for 60,000 pictures."""
    found = entry(config)
    val = min(config.val_size, found.train or 0)
    return DataFacts(
        shape=_SHAPES.get(config.dataset, (3, config.image_size, config.image_size)),
        classes=found.classes,
        train=None if found.train is None else found.train - val,
        val=val,
        test=found.test,
        state=cast("DataState", found.state),
        problem=one_line(_problem(config, found)),
        todo=found.todo,
        can_download=found.state == "absent" and config.dataset in SPECS,
    )


def _problem(config: DataConfig, found: Entry) -> str:
    """Return what ``sources.check`` says, without listing an image folder once more."""
    try:
        if config.dataset != "imagefolder":
            sources.check(config)
        elif found.train is None or found.classes is None:
            return found.todo
        else:
            split.check_val_size(config.val_size, found.train, found.classes)
    except UserError as error:
        return str(error)
    return ""
