"""What a new run is called and where its weights lie, the same for a command's flags and for the dashboard's form."""

from collections.abc import Collection
from pathlib import Path

from engine import run_dir
from engine.config import RunConfig
from engine.errors import UserError


def as_new(config: RunConfig, changed: Collection[str], runs: Path) -> RunConfig:
    """Return ``config`` as a new run trains it: named, and with the place of its weights in full.

    Args:
        config: a preset with what a person changed in it.
        changed: dotted keys that they gave, such as ``model.depth``.
        runs: the folder of runs, where the weights may be.
    """
    config = config.model_copy(update={"name": name_of(config, changed)})
    if not config.weights.source:
        return config
    source = absolute_source(config.weights.source, runs)
    return config.model_copy(update={"weights": config.weights.model_copy(update={"source": source})})


def name_of(config: RunConfig, changed: Collection[str]) -> str:
    """Return the preset's name, or one that says which network and dataset where one of these is another."""
    follows = any(key == "data.dataset" or key.startswith("model.") for key in changed)
    return f"{config.model.slug}-{config.data.dataset}" if follows and "name" not in changed else config.name


def absolute_source(source: str, runs: Path) -> str:
    """Make a run or file absolute, so that the run's own configuration holds wherever and whenever it is read."""
    try:
        return str(run_dir.find(runs, source).path.absolute())
    except UserError:  # a published name, a file, or nothing; who loads it says so
        try:
            return str(Path(source).absolute()) if Path(source).exists() else source
        except OSError:
            return source
