"""What ``--gpus`` and torchrun say about the processes that train a run together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from resnet_tui.commands.options import Flags

if TYPE_CHECKING:
    from engine.parallel.ranks import Rank

Gpus = Annotated[
    str | None,
    typer.Option(help="Train on so many GPUs of this machine together; they share each batch.", metavar="INTEGER"),
]


def process_flags(gpus: str | None, device: str | None, rank: Rank | None) -> Flags:
    """Return what ``--gpus`` sets, or what torchrun has decided.

    Args:
        gpus: as it was given.
        device: of ``--device``.
        rank: which process of torchrun's this is.

    Raises:
        UserError: they contradict each other.
    """
    from engine.errors import UserError

    if rank is not None and gpus not in {None, str(rank.size)}:
        raise UserError(f"--gpus {gpus}: torchrun has started {rank.size} processes; leave --gpus out")
    if rank is not None:
        return {"train.processes": (f"torchrun ({rank.size} processes)", rank.size)}
    if gpus is None:
        return {}
    flag = f"--gpus {gpus}"
    if device not in {None, "auto", "cuda"}:
        raise UserError(
            f"{flag} with --device {device}: GPUs are meant to be cuda; for several processes on the processor give "
            f"--device cpu --set train.processes={gpus}"
        )
    return {"train.processes": (flag, gpus), "train.device": (flag, "cuda")}
