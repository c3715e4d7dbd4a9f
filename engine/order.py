"""What a process that waits (``engine.host``) is told to train. Imports no torch, nor anything that is large."""

import json
import tomllib
from dataclasses import dataclass

from engine.config import RunConfig
from engine.config_file import Tree, to_toml
from engine.errors import ConfigError
from engine.run_dir import RunDir
from engine.text import one_line

STOPPED = "stopped before the run began; nothing was written"
"""What such a process says when a signal ends it before there is a run."""


@dataclass(frozen=True)
class Order:
    """A run, not checked yet."""

    config: Tree
    resume: str | None
    """The folder or name of the run to go on with."""


def encode(config: RunConfig, resume: RunDir | None = None) -> bytes:
    """Write an order to train ``config``; with ``resume``, to go on with that run."""
    run = str(resume.path.absolute()) if resume is not None else None
    return json.dumps({"config": to_toml(config), "resume": run}).encode()


def decode(said: bytes) -> Order:
    """Read what ``encode`` wrote.

    Raises:
        ConfigError: it is nothing of the kind.
    """
    try:
        wanted = json.loads(said)
        config, resume = wanted["config"], wanted["resume"]
        if isinstance(config, str) and isinstance(resume, str | None):
            return Order(tomllib.loads(config), resume)
        problem = "config and resume have to be text"
    except (ValueError, KeyError, TypeError) as error:
        problem = one_line(str(error), 200)
    raise ConfigError(f"standard input: not an order to train: {problem}")
