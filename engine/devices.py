"""Which device and which precision a run uses."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import torch

from engine.config import Precision
from engine.errors import UserError
from engine.parallel.ranks import Rank
from engine.text import one_line

_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
"""cuBLAS reads it when it begins; without it, its sums may come in any order."""


def available() -> list[str]:
    """Return the names that ``train.device`` accepts on this machine, the best first."""
    cuda = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return [*cuda, *mps, "cpu"]


def usable_cores() -> int:
    """Return how many of the machine's cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_processes(name: str, processes: int) -> None:
    """Make sure that ``processes`` can train together on this machine's devices of the kind ``name``.

    Raises:
        UserError: there are not as many, or they cannot be shared.
    """
    kind = "cuda" if name == "cuda" else resolve(name).type
    if kind == "mps":
        raise UserError(
            f"train.processes = {processes}: the one device mps cannot be shared; use one process, or --device cpu"
        )
    if kind == "cpu" and processes > (cores := usable_cores()):
        raise UserError(
            f"train.processes = {processes}: this machine lets a run on the CPU use {cores} "
            f"core{'s' if cores > 1 else ''}, and each process needs one; use at most {cores}"
        )
    count = torch.cuda.device_count()
    if kind == "cuda" and processes > count:
        gpus = "no GPU" if not count else f"{count} GPU{'s' if count > 1 else ''}"
        fewer = f"give --gpus {count}, " if count else ""
        asked = " (--gpus)" if name == "cuda" else ""
        shared = min(processes, usable_cores())
        share = f", or share the processor: --device cpu --set train.processes={shared}" if shared > 1 else ""
        raise UserError(
            f"train.processes = {processes}{asked}: this machine has {gpus} that torch can use; {fewer}start "
            f"torchrun on several machines{share}"
        )


def resolve(name: str, rank: Rank | None = None) -> torch.device:
    """Return the device that ``name`` means; ``auto`` picks CUDA, then MPS, then the CPU.

    Args:
        name: as in ``train.device``.
        rank: which of several processes this is; each has a GPU of its own.

    Raises:
        UserError: this machine has no such device, or not one for each process.
    """
    if rank is not None:
        check_processes(name, rank.here)
    found = available()
    wanted = {"auto": found[0], "cuda": "cuda:0"}.get(name, name)
    if wanted not in found:
        # --gpus 1 may be given to go on with one process where several used the CPU.
        asked, instead = (
            (" (--device, or --gpus)", ", and how many processes with --set train.processes=N")
            if name == "cuda"
            else ("", "")
        )
        raise UserError(
            f"train.device = {name!r}{asked}: not on this machine, which has {', '.join(found)}; "
            f"choose one of these with --device, or auto{instead}"
        )
    device = torch.device(wanted)
    return torch.device("cuda", rank.local) if rank is not None and device.type == "cuda" else device


def describe(device: torch.device, *, fused: bool = False, processes: int = 1) -> str:
    """Return in words what is trained on.

    Args:
        device: of this process.
        fused: whether it norms with the kernels compiled for it.
        processes: how many train together, each on a device of this kind.
    """
    together = f", {processes} processes" if processes > 1 else ""
    if device.type == "cuda":
        return f"{device} ({one_line(torch.cuda.get_device_name(device))}){together}"
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"cpu ({threads} thread{'s' if threads > 1 else ''}{', fused norms' if fused else ''}){together}"
    return str(device)


def resolve_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the dtype of autocast; float32 means none.

    Raises:
        UserError: the device cannot train in it.
    """
    if precision == "auto":
        return torch.bfloat16 if _has_bfloat16(device) else torch.float32
    if precision == "float16" and device.type != "cuda":
        raise UserError(
            f"train.precision = 'float16' needs a CUDA device, not {device.type}; choose bfloat16, float32 or auto"
        )
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[precision]


def _has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 by itself, so that it is faster than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    if device.type == "cpu":
        has = torch.cpu.get_capabilities()
        return bool(has.get("avx512_bf16") or has.get("amx_bf16"))
    return False


@contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """Let this process use only algorithms that give the same bits every time, until the block ends.

    An operation that has none raises a ``RuntimeError`` that says so. What cuBLAS was told stays as it is: it does
    not ask again.

    Raises:
        UserError: CUDA has begun in this process already, without what cuBLAS has to be told before.
    """
    if not wanted:
        yield
        return
    if torch.cuda.is_initialized() and _WORKSPACE not in os.environ:  # type: ignore[no-untyped-call]
        raise UserError(
            f"train.deterministic = true: this process has used CUDA already; set {_WORKSPACE}=:4096:8 before that"
        )
    os.environ.setdefault(_WORKSPACE, ":4096:8")
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.deterministic
    enabled, warn_only = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    torch.use_deterministic_algorithms(True)
    cudnn.benchmark, cudnn.deterministic = False, True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
        cudnn.benchmark, cudnn.deterministic = before


def synchronise(device: torch.device) -> None:
    """Wait for the device, so that a clock read next is honest. A host-device synchronisation."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def memory(device: torch.device) -> tuple[int, int] | None:
    """Return how many bytes of the device's memory are free, and how many it has; None: not known."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)
    if device.type == "mps":
        return None
    found = psutil.virtual_memory()
    return found.available, found.total
