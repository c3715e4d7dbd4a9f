"""Whether and with what configuration a run can go on. Imports no torch."""

from collections.abc import Mapping
from typing import Any

from engine.config import RunConfig
from engine.config_file import build_config, read_toml
from engine.errors import UserError
from engine.run_dir import RunDir
from engine.summary import read_summary


def config_to_resume(run: RunDir, flags: Mapping[str, tuple[str, Any]]) -> RunConfig:
    """Return the configuration that ``run`` goes on with: its own, changed by ``flags``.

    Args:
        run: the run.
        flags: dotted key to (how the person gave it, value), as for ``build_config``.

    Raises:
        ConfigError: the run's configuration is damaged, or a flag invalid.
        UserError: there is nothing to go on with: see ``check_unfinished``.
    """
    config = build_config(read_toml(run.config_file), flags, str(run.config_file))
    check_unfinished(run, config, epochs_given="train.epochs" in flags)
    return config


def check_unfinished(run: RunDir, config: RunConfig, *, epochs_given: bool) -> None:
    """Hold ``config`` against what ``run`` has done.

    Args:
        run: the run; its log is read whole.
        config: what it is to go on with.
        epochs_given: whether a person chose the epochs anew. What the configuration says may also be fewer than are
            done, in a run that was extended while it trained.

    Raises:
        UserError: fewer epochs are wanted than are done; its target is reached; or it is complete.
    """
    done = read_summary(run.events, steps=False)
    epochs, finished = config.train.epochs, len(done.rows)
    if epochs_given and epochs < finished:
        raise UserError(f"--epochs {epochs}: the run has {finished} finished epochs already; give more")
    target, best = config.train.target_accuracy, done.best()
    if target and best is not None and (best.accuracy(done.choosing_split) or 0.0) >= target:
        raise UserError(
            f"run {run.name} has reached its target accuracy of {target:g}; train it further with a higher "
            "--target-accuracy, or with 0 for none"
        )
    if done.outcome == "completed" and epochs <= finished:
        raise UserError(
            f"run {run.name} is complete ({finished} epochs); train it further with "
            f"--epochs {2 * finished}, or start a new run without --resume"
        )
