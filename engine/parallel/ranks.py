"""Which of several processes that train one run together this one is. Imports no torch."""

import os
from dataclasses import dataclass

from engine.config import RunConfig
from engine.errors import UserError
from engine.text import one_line

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
"""In the order of ``Rank``."""


@dataclass(frozen=True)
class Rank:
    """One of ``size`` processes, numbered from 0. Rank 0 writes the run's files and takes messages to it."""

    number: int
    size: int
    local: int
    """Its number on its machine, from 0: which GPU it has."""
    here: int
    """How many of them are on its machine."""

    def share(self, images: int) -> slice:
        """Return which of a batch's images this rank trains: neighbours, the first ranks one more where it is uneven.

        A batch of fewer than two images a rank is trained whole by each of them: norms need two.
        """
        if images < 2 * self.size:
            return slice(0, images)
        least, more = divmod(images, self.size)
        start = self.number * least + min(self.number, more)
        return slice(start, start + least + (self.number < more))

    def scale(self, own: int, images: int) -> float:
        """Return what the mean over this rank's ``own`` of a batch's ``images`` is multiplied with.

        Then the mean over the ranks, which is how gradients are put together, is the mean over the batch's images.
        """
        return 1.0 if own == images else own * self.size / images


def this_rank() -> Rank | None:
    """Return what torch's launcher told this process; None: it trains by itself.

    Raises:
        UserError: the launcher's variables are not all there, or contradict each other.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    said = {name: os.environ.get(name, "") for name in _VARIABLES}
    if all(value.isdecimal() for value in said.values()):
        rank = Rank(*map(int, said.values()))
        if rank.number < rank.size and rank.local < rank.here <= rank.size:
            return rank if rank.size > 1 else None
    values = ", ".join(f"{name} = {one_line(value, 40)!r}" for name, value in said.items())
    raise UserError(
        f"TORCHELASTIC_RUN_ID is set, as torchrun sets it, and {values}, where torchrun gives each process its "
        "numbers; start the run with torchrun, or unset TORCHELASTIC_RUN_ID"
    )


def check_together(config: RunConfig, rank: Rank | None) -> None:
    """Make sure that there are as many processes as ``config`` wants; None: one.

    Raises:
        UserError: there are not.
    """
    size = rank.size if rank is not None else 1
    if config.train.processes != size:
        raise UserError(
            f"train.processes = {config.train.processes}, and {size} train this run; let resnet-tui train start "
            "them, or torchrun as many"
        )


def changed_number(before: RunConfig, after: RunConfig) -> str:
    """Say what differs once a run goes on with another number of processes; empty: the number is the same."""
    if before.train.processes == after.train.processes:
        return ""
    return (
        f"the run goes on with {_processes(after)} instead of {_processes(before)}: batches, their order and all "
        f"random draws stay the same, norm statistics are of {after.micro_batch:,} images instead of "
        f"{before.micro_batch:,}"
    )


def _processes(config: RunConfig) -> str:
    count = config.train.processes
    return f"{count} processes" if count > 1 else "one process"
