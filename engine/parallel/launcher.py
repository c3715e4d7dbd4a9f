"""Starts the processes that train one run together, with torch's own launcher, and ends with them."""

import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any

import psutil
from torch.distributed import TCPStore  # type: ignore[attr-defined]
from torch.distributed.elastic.agent.server.api import RunResult, WorkerGroup, WorkerSpec
from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.rendezvous import RendezvousHandler, RendezvousInfo, RendezvousStoreInfo

from engine.devices import usable_cores
from engine.parallel.group import ENDED
from engine.signals import heeded

_HERE = "127.0.0.1"
_ENDING_SECONDS = 30
"""How long ranks have for their end, to save a checkpoint say, before they are killed."""


def launch(processes: int, command: Sequence[str]) -> int:
    """Run ``command`` in ``processes`` processes of this machine, and return the exit status of rank 0.

    128 + n where signal n ended this process, or rank 0.
    """
    _quieten()
    _share_cores(processes)
    _stay_here()
    os.environ["TORCHELASTIC_SIGNALS_TO_HANDLE"] = ",".join(number.name for number in heeded())
    spec = WorkerSpec(
        role="rank",
        local_world_size=processes,
        rdzv_handler=_Here(),
        entrypoint=command[0],
        args=tuple(command[1:]),
        max_restarts=0,
        monitor_interval=0.1,
        local_addr=_HERE,
    )
    agent = _Agent(spec, DefaultLogsSpecs(log_dir=os.devnull), shutdown_timeout=_ENDING_SECONDS)
    try:
        return _status(agent.run(), agent.first)
    except SignalException as ended:
        return 128 + ended.sigval


class _Here(RendezvousHandler):
    """Where the ranks of one launcher meet: one store that nobody outside this machine reaches.

    Torch's own handlers listen on every address, and unpickle what stands there.
    """

    use_agent_store = True

    def __init__(self) -> None:
        listening = socket.create_server((_HERE, 0))
        self._port = listening.getsockname()[1]
        self._store = TCPStore(
            _HERE, self._port, is_master=True, wait_for_workers=False, master_listen_fd=listening.detach()
        )

    def next_rendezvous(self) -> RendezvousInfo:
        return RendezvousInfo(self._store, 0, 1, RendezvousStoreInfo(_HERE, self._port))

    def get_backend(self) -> str:
        return "here"

    def get_run_id(self) -> str:
        return "here"

    def is_closed(self) -> bool:
        return False

    def set_closed(self) -> None:
        pass

    def num_nodes_waiting(self) -> int:
        return 0

    def shutdown(self) -> bool:
        return True


class _Agent(LocalElasticAgent):
    """Tells the ranks that are left how another ended, before it ends them."""

    first = ""
    """Which rank failed first, and how."""

    def _monitor_workers(self, worker_group: WorkerGroup) -> RunResult:
        ended = []
        for local, handler in self._pcontext.subprocess_handlers.items():  # type: ignore[union-attr]
            if status := handler.proc.poll():
                ended.append((status, f"rank {local} (process {handler.proc.pid}) {_how(status)}"))
        if ended:
            self.first = min(ended)[1]  # a signal first: others ended because of it
            store: Any = worker_group.store  # whose type says that nobody ever meets
            with contextlib.suppress(RuntimeError):
                store.compare_set(ENDED, "", self.first)
        result: RunResult = super()._monitor_workers(worker_group)
        return result


def _how(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    with contextlib.suppress(ValueError):
        return f"was ended by signal {-status} ({signal.Signals(-status).name})"
    return f"was ended by signal {-status}"


def _status(result: RunResult, first: str) -> int:
    if not result.is_failed():
        return 0
    writer = result.failures.get(0)
    if writer is None:
        return 1
    if writer.exitcode >= 0:  # it has said why
        return writer.exitcode
    own = f"rank 0 (process {writer.pid}) {_how(writer.exitcode)}"
    if first and first != own:
        print(f"error: {first}", file=sys.stderr)
        return 1
    print(
        f"error: {own}; it writes the run's files. Where the run has saved a checkpoint, --resume last goes on",
        file=sys.stderr,
    )
    return 128 - writer.exitcode


def _quieten() -> None:
    """Let only this program speak: what ended is said by rank 0, or here."""
    elastic = logging.getLogger("torch.distributed.elastic")
    elastic.addHandler(logging.NullHandler())
    elastic.propagate = False


def _share_cores(processes: int) -> None:
    """Give each rank as many threads as there are cores for it, unless somebody has said how many."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // processes)))


def _stay_here() -> None:
    """Let the ranks listen where nobody outside this machine reaches them, whatever they were told for others."""
    loopback = (
        name
        for name, addresses in psutil.net_if_addrs().items()
        if any(address.address == _HERE for address in addresses)
    )
    if (name := next(loopback, None)) is not None:
        os.environ |= {"GLOO_SOCKET_IFNAME": name, "NCCL_SOCKET_IFNAME": f"={name}"}
