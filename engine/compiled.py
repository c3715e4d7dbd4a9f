"""A network's training pass through torch.compile where it is asked for and works, else as it is."""

import contextlib
import logging
import os
import time

import torch
from torch import Tensor, nn

from engine.data.cache import cache_folder
from engine.text import one_line

_log = logging.getLogger(__name__)


class Compiled:
    """Forward and backward of one batch; compiled at the first full batch, which takes 5 to 60 s.

    Batches of another size, as the last of an epoch may be, go through the network as it is: compiling for them as
    well would take as long again.
    """

    def __init__(self, model: nn.Module, device: torch.device, batch: int) -> None:
        """``batch``: the images of a full batch."""
        _keep_to_ourselves()
        self._model, self._batch = model, batch
        # On CUDA a step becomes a graph: one launch instead of hundreds.
        self._compiled = torch.compile(
            model, mode="reduce-overhead" if device.type == "cuda" else None, dynamic=False
        )
        self._buffers: list[Tensor] | None = None
        self._began = 0.0
        self.pending = True
        """Whether the next full batch compiles."""

    def takes(self, x: Tensor) -> bool:
        """Whether ``x`` goes through the compiled network."""
        return len(x) == self._batch

    def __call__(self, x: Tensor) -> Tensor:
        """Return the logits."""
        if self.pending:
            self._began = self._began or time.monotonic()
            self._buffers = self._buffers or [buffer.clone() for buffer in self._model.buffers()]
        logits_BK: Tensor = self._compiled(x)
        return logits_BK

    def succeeded(self) -> str:
        """Note that forward and backward went through; return what it cost, for a person."""
        self.pending, self._buffers = False, None
        return f"the network is compiled; that took {time.monotonic() - self._began:.0f} s"

    def failed(self, error: Exception) -> str:
        """Put back what the attempt has changed; return what went wrong, for a person."""
        _log.warning("torch.compile failed", exc_info=error)
        for buffer, before in zip(self._model.buffers(), self._buffers or [], strict=True):
            buffer.copy_(before)
        for parameter in self._model.parameters():
            parameter.grad = None
        torch.compiler.reset()
        reason = one_line(str(error).strip().partition("\n")[0], 200)
        return f"torch.compile failed, so the network is trained as it is: {type(error).__name__}: {reason}"


def _keep_to_ourselves() -> None:
    """Let torch keep what it compiles in the user's cache: it unpickles and runs that, and its usual place is a name
    in the folder for temporary files that anyone on the machine could have taken first.
    """
    folder = cache_folder() / "compiled"
    with contextlib.suppress(OSError):  # torch says so itself
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder))
