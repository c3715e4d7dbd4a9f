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


def process_flags(gpus: str | None, given: Flags, rank: Rank | None) -> Flags:
    """Return what ``--gpus`` sets, or what torchrun has decided.

    Args:
        gpus: as it was given.
        given: what the other flags set.
        rank: which process of torchrun's this is.

    Raises:
        UserError: they contradict each other.
    """
    from engine.errors import UserError

    flags: Flags = {}
    if gpus is not None:
        if "train.processes" in given:
            raise UserError(f"--gpus {gpus} and {given['train.processes'][0]}: give one of them")
        flags = _on_gpus(gpus, given)
    if rank is not None:
        flag, number = (given | flags).get("train.processes", ("", rank.size))
        if str(number) != str(rank.size):  # what resnet-tui itself has started has the same flags, and as many
            raise UserError(f"{flag} and torchrun, which has started {rank.size} processes: give one of them")
        flags["train.processes"] = (f"torchrun ({rank.size} processes)", rank.size)
    return flags


def _on_gpus(gpus: str, given: Flags) -> Flags:
    from engine.errors import UserError

    flag = f"--gpus {gpus}"
    device_flag, device = given.get("train.device", ("", "auto"))
    if device not in {"auto", "cuda"}:
        raise UserError(
            f"{flag} and {device_flag}: give one of them; --gpus means cuda, and several processes on the processor "
            f"are --device cpu --set train.processes={gpus}"
        )
    return {"train.processes": (flag, gpus), "train.device": (flag, "cuda")}
