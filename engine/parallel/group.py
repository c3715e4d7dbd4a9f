"""The processes that train one run together, and what they tell each other.

Every rank goes through the same loop with the same state; they differ in which images of a batch they train. What
one of them learns from outside, such as a message or a signal, all learn at the same step. All ranks make the same
calls in the same order: each waits for the others, and fails where one of them has gone.
"""

import contextlib
import json
import os
import re
import socket
import time
import warnings
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, cast

import psutil
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from engine.parallel.ranks import Rank
from engine.text import one_line

ENDED = "resnet-tui/ended"
"""Under this key of the launcher's store stands which rank ended first before the others, and how."""
_LONGEST_WAIT = timedelta(days=1)
"""For a rank that is there and says nothing: it downloads and decodes its data, or waits for room on its disk.

One that has ended is noticed at once, by its closed connections; only a machine that has gone takes as long.
"""
_STORE_TIMEOUT = timedelta(seconds=10)
"""The launcher has its store before it starts a rank."""
_LAST_WORDS_SECONDS = 2.0
_BROKEN = re.compile("connection|peer|socket|broken pipe|timed? ?out", re.IGNORECASE)
"""How gloo and NCCL say that they do not reach somebody."""


class Group:
    """All ranks of a run, seen from one of them."""

    def __init__(self, rank: Rank) -> None:
        """Meet the others, whose addresses the launcher has put in the environment."""
        self.rank = rank
        dist.init_process_group("gloo", timeout=_LONGEST_WAIT)
        self._work: dist.ProcessGroup | None = None
        # A connection of its own: the launcher writes there, too, and knows nothing of prefixes.
        self._store = _launchers_store()
        self._members = [json.loads(said) for said in self.gather(json.dumps([socket.gethostname(), os.getpid()]))]

    def use(self, device: torch.device) -> None:
        """Let sums of what lies on ``device`` be made there."""
        if device.type == "cuda":
            torch.cuda.set_device(device)
            self._work = cast(dist.ProcessGroup, dist.new_group(backend="nccl", timeout=_LONGEST_WAIT))

    def close(self) -> None:
        """Part in order."""
        dist.destroy_process_group()

    # One step --------------------------------------------------------------------------------------------------

    def of_batch(self, loss: Tensor, right: Tensor, own: int, images: int) -> tuple[Tensor, Tensor]:
        """Return scaled mean loss and number right of the whole batch, from those of each rank's ``own`` images.

        On the device; on a GPU, nothing is synchronised.
        """
        both = torch.stack((loss, right if own == images else right * self.rank.size))
        self.sum_(both)
        both /= self.rank.size
        return both[0], both[1]

    def parallel(self, model: nn.Module, device: torch.device, *, measured_every: int) -> DistributedDataParallel:
        """Return ``model`` with gradients that are means over all ranks; norm statistics stay each rank's own.

        Args:
            model: the network.
            device: where it is.
            measured_every: steps after which its own passes are timed once more.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the option has another name from torch 2.15 on
            parallel = DistributedDataParallel(
                model,
                device_ids=[device] if device.type == "cuda" else None,
                process_group=self._work,
                broadcast_buffers=False,
            )
        parallel._set_ddp_runtime_logging_sample_rate(measured_every)  # type: ignore[no-untyped-call]
        return parallel

    # Sums and texts --------------------------------------------------------------------------------------------

    def sum_(self, tensor: Tensor) -> None:
        """Add up ``tensor`` over all ranks, in place."""
        dist.all_reduce(tensor, group=self._work)

    def average_(self, tensors: Iterable[Tensor]) -> None:
        """Give every rank the mean of each of ``tensors``, in place."""
        if not (tensors := list(tensors)):
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        self.sum_(flat)
        flat /= self.rank.size
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def largest(self, number: int) -> int:
        """Return the largest ``number`` of all ranks."""
        tensor = torch.tensor(number)
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return int(tensor)

    def gather(self, text: str) -> list[str]:
        """Return what every rank says, in their order."""
        said = text.encode()
        length = self.largest(len(said))
        padded = torch.frombuffer(bytearray(said.ljust(length + 1)), dtype=torch.uint8)  # never of nothing
        received = [torch.empty_like(padded) for _ in range(self.rank.size)]
        dist.all_gather(received, padded)
        return [bytes(one.numpy()).rstrip(b" ").decode() for one in received]

    def gather_rows(self, rows: Tensor) -> list[Tensor]:
        """Return the ``rows``, on the CPU and of one shape, of every rank."""
        received = [torch.empty_like(rows) for _ in range(self.rank.size)]
        dist.all_gather(received, rows)
        return received

    def gather_numbers(self, number: float) -> tuple[float, ...]:
        """Return every rank's ``number``."""
        return tuple(float(one) for one in self.gather_rows(torch.tensor(number, dtype=torch.float64)))

    def from_first(self, content: bytes) -> bytes:
        """Return what rank 0 gave as ``content``."""
        length = torch.tensor(len(content))
        dist.broadcast(length, 0)
        tensor = torch.zeros(int(length) + 1, dtype=torch.uint8)
        if self.rank.number == 0:
            tensor[:-1] = torch.frombuffer(bytearray(content + b"\0"), dtype=torch.uint8)[:-1]
        dist.broadcast(tensor, 0)
        return tensor[:-1].numpy().tobytes()

    @contextlib.contextmanager
    def in_turn(self) -> Iterator[None]:
        """Let the first rank of each machine go before the others: what it downloads and decodes, they find."""
        if self.rank.local:
            dist.barrier()
        try:
            yield
        finally:
            if not self.rank.local:
                dist.barrier()

    # Ends ------------------------------------------------------------------------------------------------------

    def lost(self, error: BaseException) -> str:
        """Return which rank's end is behind ``error``, and how it ended; empty: it has nothing to do with others."""
        if not isinstance(error, RuntimeError) or not (
            isinstance(error, dist.DistError) or _BROKEN.search(str(error))
        ):
            return ""
        until = time.monotonic() + _LAST_WORDS_SECONDS
        with contextlib.suppress(RuntimeError):  # the launcher has gone as well
            while time.monotonic() < until:
                if word := _word(self._store):
                    return word
                time.sleep(0.02)
        here = socket.gethostname()
        gone = [
            f"rank {number} (process {process} on {one_line(host)}) has gone: it was killed, or it crashed"
            for number, (host, process) in enumerate(self._members)
            if host == here and not _is_there(process)
        ]
        return "; ".join(gone) or f"another rank cannot be reached: {one_line(str(error), 300)}"

    def leave_word(self, words: str) -> None:
        """Tell the others, once they notice that this rank has gone, how it ended."""
        with contextlib.suppress(RuntimeError):
            self._store.compare_set(ENDED, "", f"rank {self.rank.number} on {socket.gethostname()}: {words}")


def how_another_ended() -> str:
    """Return which rank failed before the others, as the launcher has said; empty: none, or it does not say."""
    with contextlib.suppress(RuntimeError, KeyError, ValueError):
        return _word(_launchers_store())
    return ""


def _launchers_store() -> Any:
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    return dist.TCPStore(address, port, is_master=False, timeout=_STORE_TIMEOUT)  # type: ignore[attr-defined]


def _word(store: Any) -> str:
    return one_line(store.get(ENDED).decode(errors="replace"), 2000) if store.check([ENDED]) else ""


def _is_there(process: int) -> bool:
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
