"""What is known of a dataset before it is loaded: shape, sizes, whether it can be used. Imports no torch."""

from typing import cast

from engine.config import DataConfig
from engine.data import sources, split
from engine.data.entry import Entry
from engine.data.published import SPECS
from engine.errors import UserError
from engine.helper_messages import DataFacts, DataState
from engine.text import one_line

ASSUMED_CLASSES = 10
"""To show a network whose dataset is not there yet."""


def facts(config: DataConfig) -> DataFacts:
    """Look at the dataset of ``config``. Reads names only, once: a second at most for 60,000 pictures."""
    found = sources.entry(config)
    val = min(config.val_size, found.train or 0)
    return DataFacts(
        shape=found.shape,
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
