"""A run as an iterator of events, without thread, sinks or disk."""

from collections.abc import Generator
from pathlib import Path

from engine.config import RunConfig
from engine.control import Control
from engine.data.dataset import Dataset
from engine.data.sources import load
from engine.devices import deterministic
from engine.events import Event
from engine.loop import Trainer
from engine.run_dir import DEFAULT_RUNS
from engine.weights import load_weights


def train(
    config: RunConfig,
    control: Control | None = None,
    *,
    dataset: Dataset | None = None,
    runs: Path = DEFAULT_RUNS,
) -> Generator[Event, None, None]:
    """Train and say what happens, from ``run_started`` to ``run_finished``; keeps nothing on disk.

    With ``train.deterministic``, torch uses such algorithms alone from the first event to the last, also for what the
    caller does in between; close the generator where not all events are wanted.

    Args:
        config: the run.
        control: where messages to the run come from.
        dataset: the data where it is loaded already; else it is loaded first, which gives ``progress`` events.
        runs: the folder in which ``config.weights`` may name a run.

    Raises:
        UserError: before ``run_started``, where the run cannot begin.
    """
    with deterministic(config.train.deterministic):
        data = dataset if dataset is not None else (yield from load(config.data, config.train.seed))
        weights = (yield from load_weights(config.weights.source, runs)) if config.weights.source else None
        yield from Trainer(config, data, control or Control(), weights=weights).events()
