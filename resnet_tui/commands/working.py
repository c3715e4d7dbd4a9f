"""Working off the queue for a command: what is said before each run, and how a signal ends it."""

from __future__ import annotations

import contextlib
import shlex
import sys
from typing import TYPE_CHECKING

import typer

from engine.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from engine.config import RunConfig
    from engine.queue.campaign import Campaign
    from engine.queue.file import Queue
    from engine.queue.standing import Standing
    from engine.queue.work import Turn, Worker


def work_off(
    queue: Queue,
    device: str,
    plan: Callable[[], Collection[int] | None],
    *,
    again: str,
    quiet: bool = False,
) -> Worker:
    """Train what waits in ``queue`` on a device, announcing each run; return who did it, with what it tried.

    Args:
        queue: where runs wait.
        device: as a person names it.
        plan: gives the numbers of the runs to train, or None for all that wait.
        again: the command that goes on where a signal ended this one.
        quiet: whether all that is said goes to standard error.

    Raises:
        UserError: there is no such device, or another process works on it.
        typer.Exit: a signal came; with its status, once the run in hand was saved.
    """
    from engine.queue.device import full_name
    from engine.queue.work import Worker

    worker = Worker(queue, full_name(device), plan, quiet)
    stream = sys.stderr if quiet else sys.stdout

    def announce(turn: Turn) -> None:
        with contextlib.suppress(OSError):  # nobody reads any more: runs go on, as train does
            print(_announced(turn), file=stream, flush=True)

    worker.run(announce)
    if worker.stopped_by is not None:
        print(f"stopped by {worker.stopped_by.name}; go on with: {again}", file=sys.stderr)
        raise typer.Exit(128 + worker.stopped_by)
    return worker


def finish(campaign: Campaign, *, quiet: bool) -> list[Standing]:
    """Train what of a campaign is not done, as ``work_off`` does; return how each of its runs stands then.

    Data that has to be downloaded is, before anything waits: where that fails it is said once.
    """
    if any(standing.state not in {"done", "diverged"} for standing in campaign.standings()):
        _fetch(campaign.configs)
        again = one_line(shlex.join(["resnet-tui", *sys.argv[1:]]))
        work_off(campaign.queue, campaign.configs[0].train.device, campaign.plan, again=again, quiet=quiet)
    return campaign.standings()


def _fetch(configs: Sequence[RunConfig]) -> None:
    from engine.data import cifar
    from engine.data.published import SPECS
    from resnet_tui.printing.progress import shown

    for dataset, folder in dict.fromkeys((config.data.dataset, config.data.dir) for config in configs):
        if dataset in SPECS:
            shown(cifar.make_ready(SPECS[dataset], folder))


def _announced(turn: Turn) -> str:
    entry = turn.entry
    group = f"{entry.group}: " if entry.group else ""
    how = ", goes on" if turn.goes_on else ""
    what = entry.case or f"{group}{entry.called}"
    head = f"run {turn.place} of {turn.of}: {what}, seed {entry.config.train.seed}{how}"
    return f"\n{head}\n{'-' * len(head)}"
