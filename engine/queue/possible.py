"""What can be known to be impossible before anything waits. Imports no torch."""

from collections.abc import Sequence

from engine.config import RunConfig
from engine.data import sources
from engine.errors import UserError
from engine.text import one_line


def check(configs: Sequence[RunConfig]) -> None:
    """Make sure that the queue can train each of ``configs``: its processes, its network with its data, the data.

    Raises:
        UserError: it cannot; or data is not there.
    """
    for config in configs:
        check_processes(config)
        _check_input(config)
    for data in {config.data.model_dump_json(): config.data for config in configs}.values():
        sources.check(data)


def check_processes(config: RunConfig) -> None:
    """Refuse a run that wants several processes: they would wait for each other's device.

    Raises:
        UserError: it does.
    """
    processes = config.train.processes
    if processes > 1:
        raise UserError(
            f"the queue trains with one process a device; train.processes = {processes}: use resnet-tui train"
        )


def _check_input(config: RunConfig) -> None:
    """Refuse a network for images with a table of features, and the other way round.

    Raises:
        UserError: it is so.
    """
    arch, dataset = config.model.arch, one_line(config.data.dataset)
    takes_features, has_features = arch == "residual-mlp", dataset == "iris"
    if has_features and not takes_features:
        raise UserError(
            f"data.dataset = {dataset!r} has rows of features, and model.arch = {arch!r} takes images; choose "
            "another --dataset, such as digits, or the preset iris, whose network takes rows"
        )
    if takes_features and not has_features:
        raise UserError(
            f"data.dataset = {dataset!r} has images, and model.arch = {arch!r} takes rows of features; choose "
            "--dataset iris, or a preset whose network takes images, such as quickstart"
        )
