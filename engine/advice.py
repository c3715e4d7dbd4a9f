"""How a run that ends early is said to have ended, and what a person is told to do."""

import contextlib
import logging
from collections.abc import Iterator

import torch

from engine.config import RunConfig
from engine.errors import UserError, WorldError
from engine.events import Outcome
from engine.text import one_line

_log = logging.getLogger(__name__)

DIVERGED = (
    "Start again with a lower --lr, a warm-up (--set schedule.warmup_epochs=1) or a bounded gradient "
    "(--set optim.clip_norm=1)"
)


class Diverged(Exception):  # noqa: N818 (an outcome of training, not a mistake)
    """The loss became infinite or undefined."""


def diverged(what: str, value: float, where: str, epoch: int, rate: float, cause: str = "") -> Diverged:
    """Word the end of a run in which ``what`` became ``value``, and what to do."""
    because = f": {cause}" if cause else ""
    return Diverged(f"the {what} became {value} {where} (epoch {epoch}, learning rate {rate:g}){because}. {DIVERGED}")


def ending(config: RunConfig, error: Exception) -> tuple[Outcome, str]:
    """Return how a run ended that ``error`` ended, and why; an error that nobody foresaw is logged."""
    match error:
        case Diverged():
            return "diverged", str(error)
        case _ if _is_out_of_memory(error):
            return "failed", out_of_memory(config, error)
        case RuntimeError() if config.train.deterministic and "deterministic" in str(error):
            return "failed", not_deterministic(error)
        case UserError():
            return "failed", str(error)
        case OSError():
            return "failed", file_failed(error)
        case _:
            _log.error("the run failed", exc_info=error)
            return "failed", f"{type(error).__name__}: {error}"


@contextlib.contextmanager
def memory_suffices(smaller: str = "use a smaller network") -> Iterator[None]:
    """Say what to make smaller where the network and the data do not fit into memory, outside the steps of a run.

    Args:
        smaller: what helps first.

    Raises:
        WorldError: they do not fit.
    """
    try:
        yield
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        raise WorldError(
            f"the network and the data do not fit into memory; {smaller}, fewer or smaller images, "
            f"--set data.residence=stream, or another --device ({one_line(str(error) or 'no memory', 200)})"
        ) from error


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, RuntimeError) and "allocate memory" in str(error):  # how the CPU's allocator says it
        return True
    return isinstance(error, torch.OutOfMemoryError | MemoryError)


def out_of_memory(config: RunConfig, error: Exception) -> str:
    """Say what to make smaller."""
    said = (str(error) or "no memory").splitlines()[0]
    half = max(2, config.train.batch_size // 2)
    return (
        f"out of memory with train.batch_size = {config.train.batch_size}: halve it with "
        f"--batch-size {half}, or split each batch with --set optim.accumulate=2 ({said})"
    )


def not_deterministic(error: Exception) -> str:
    """Say what cannot be had together."""
    return (
        "train.deterministic = true, and an operation of this run has no deterministic version on this device: start "
        "again with --set train.deterministic=false, or with --device cpu, which gives the same bits without it "
        f"({one_line(str(error).partition(', but')[0], 200)})"
    )


def file_failed(error: OSError) -> str:
    """Say which file could not be written, and why."""
    return f"{error.filename or 'a file'}: {error.strerror or error}; make room or mend it, then resume"
