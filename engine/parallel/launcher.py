"""Starts the processes that train one run together, with torch's own launcher, and ends with them."""

import contextlib
import logging
import os
import signal
import sys
import uuid
from collections.abc import Sequence
from typing import Any

import psutil
from torch.distributed import TCPStore  # type: ignore[attr-defined]
from torch.distributed.elastic.agent.server.api import RunResult, WorkerGroup, WorkerSpec
from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.rendezvous import RendezvousParameters
from torch.distributed.elastic.rendezvous.registry import get_rendezvous_handler

from engine.parallel.group import ENDED

_HERE = "127.0.0.1"
_ENDING_SECONDS = 30
"""How long ranks have for their end, to save a checkpoint say, before they are killed."""


def launch(processes: int, command: Sequence[str]) -> int:
    """Run ``command`` in ``processes`` processes of this machine, and return the exit status of rank 0.

    128 + n where signal n ended this process, or rank 0.
    """
    _quieten()
    _prepare_environment(processes)
    meeting = RendezvousParameters(
        "c10d", f"{_HERE}:0", run_id=uuid.uuid4().hex, min_nodes=1, max_nodes=1, local_addr=_HERE
    )
    spec = WorkerSpec(
        role="rank",
        local_world_size=processes,
        rdzv_handler=get_rendezvous_handler(meeting),
        entrypoint=command[0],
        args=tuple(command[1:]),
        max_restarts=0,
        monitor_interval=0.1,
        local_addr=_HERE,
    )
    agent = _Agent(spec, DefaultLogsSpecs(log_dir=os.devnull), shutdown_timeout=_ENDING_SECONDS)
    try:
        return _status(agent.run())
    except SignalException as ended:
        return 128 + ended.sigval


class _Agent(LocalElasticAgent):
    """Tells the ranks that are left how another ended, before it ends them."""

    def _monitor_workers(self, worker_group: WorkerGroup) -> RunResult:
        ended = []
        for local, handler in self._pcontext.subprocess_handlers.items():  # type: ignore[union-attr]
            if status := handler.proc.poll():
                ended.append((status, f"rank {local} (process {handler.proc.pid}) {_how(status)}"))
        if ended:
            with contextlib.suppress(RuntimeError):
                meeting: Any = worker_group  # whose types say that nobody ever meets
                store = TCPStore(meeting.master_addr, int(meeting.master_port), is_master=False)
                store.compare_set(ENDED, "", min(ended)[1])  # a signal first: others ended because of it
        result: RunResult = super()._monitor_workers(worker_group)
        return result


def _how(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    with contextlib.suppress(ValueError):
        return f"was ended by signal {-status} ({signal.Signals(-status).name})"
    return f"was ended by signal {-status}"


def _status(result: RunResult) -> int:
    if not result.is_failed():
        return 0
    first = result.failures.get(0)
    if first is None:
        return 1
    if first.exitcode < 0:
        print(
            f"error: rank 0 (process {first.pid}), which writes the run's files, {_how(first.exitcode)}; "
            "go on from its last checkpoint with --resume last",
            file=sys.stderr,
        )
        return 128 - first.exitcode
    return first.exitcode


def _quieten() -> None:
    """Let only this program speak: what ended is said by rank 0, or here."""
    elastic = logging.getLogger("torch.distributed.elastic")
    elastic.addHandler(logging.NullHandler())
    elastic.propagate = False


def _prepare_environment(processes: int) -> None:
    """Set what the ranks inherit, unless somebody has."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // processes)))
    loopback = (
        name
        for name, addresses in psutil.net_if_addrs().items()
        if any(address.address == _HERE for address in addresses)
    )
    if (name := next(loopback, None)) is not None:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", name)  # nothing leaves this machine
    heeded = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    heeded = [name for name in heeded if signal.getsignal(getattr(signal, name)) is not signal.SIG_IGN]
    os.environ["TORCHELASTIC_SIGNALS_TO_HANDLE"] = ",".join(heeded)  # nohup stays so
