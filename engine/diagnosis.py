"""Ends a run whose loss is not finite before it has changed a weight, and says where it came from."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from engine import advice
from engine.advice import Diverged
from engine.data.pipeline import Batch, TrainBatches
from engine.models import part_of

if TYPE_CHECKING:
    from engine.learner import Learner

IN_THE_LOSS = "all values up to the logits are finite, so it arose in the loss itself"


class LossWatch:
    """Looks at every loss of a run: on the CPU at once, elsewhere when the telemetry is read."""

    def __init__(self, learner: "Learner", batches: TrainBatches, *, at_once: bool) -> None:
        """Watch what ``learner`` learns from ``batches``.

        Args:
            learner: its optimiser may be held back.
            batches: those of the run.
            at_once: whether to look at each loss, as on the CPU; elsewhere it would be a synchronisation a step.
        """
        self._learner, self._batches, self._at_once = learner, batches, at_once
        # Loss scaling holds the optimiser back itself, after gradients that are not finite, and goes on.
        guarded = not at_once and not learner.scaler.is_enabled()
        self._guard = Guard(learner.optimiser, learner.device) if guarded else None

    def look(self, loss: Tensor, batch: Batch, step: int, epoch: int) -> None:
        """Look at the loss of ``step``, counted from 0, before the optimiser's step.

        Raises:
            Diverged: it is not finite, and it is looked at.
        """
        if self._guard is not None:
            self._guard.watch(loss, step)
        elif self._at_once and not math.isfinite(loss.item()):
            raise self._diverged(loss.item(), batch, step, epoch)

    def look_at_reading(self, loss: float, step: int, epoch: int) -> None:
        """Look at the mean loss of the steps before ``step``.

        Raises:
            Diverged: it is not finite; where the guard knows the step, its batch is made anew, the same to the bit.
        """
        if math.isfinite(loss):
            return
        first = self._guard.first_step() if self._guard is not None else None
        if first is None:
            raise advice.diverged("loss", loss, f"by step {step}", epoch, self._learner.lr)
        raise self._diverged(loss, None, first, epoch)

    def _diverged(self, value: float, batch: Batch | None, step: int, epoch: int) -> Diverged:
        steps = self._batches.steps_per_epoch
        in_epoch = step - (epoch - 1) * steps
        where = f"at step {step + 1}, batch {in_epoch + 1} of {steps}"
        return advice.diverged("loss", value, where, epoch, self._learner.lr, self._cause(batch, epoch, in_epoch))

    def _cause(self, batch: Batch | None, epoch: int, in_epoch: int) -> str:
        cause = self._own_cause(batch, epoch, in_epoch)
        if (group := self._learner.group) is None:
            return cause
        # The ranks whose images gave finite losses find nothing.
        return min(group.gather(cause), key=lambda found: (not found, found.endswith(IN_THE_LOSS)))

    def _own_cause(self, batch: Batch | None, epoch: int, in_epoch: int) -> str:
        try:
            if batch is None:
                batch = next(iter(self._batches.epoch(epoch, in_epoch)))
            return self._learner.why_not_finite(batch)
        except Exception:  # the run has diverged, also where what it came from cannot be found: no memory, say
            return ""


class Guard:
    """Holds the optimiser back from the first loss that is not finite on, all on the device.

    For devices on which looking at every loss would be a synchronisation each step. Fused optimisers take no step
    while ``found_inf`` is 1; loss scaling sets that itself, so a guard is for runs without it.
    """

    def __init__(self, optimiser: torch.optim.Optimizer, device: torch.device) -> None:
        self._found = torch.zeros((), device=device)
        self._step = torch.full((), -1, dtype=torch.int64, device=device)
        optimiser.found_inf = self._found  # type: ignore[attr-defined]

    def watch(self, loss: Tensor, step: int) -> None:
        """Look at the loss of ``step``, before the optimiser's step; nothing is synchronised."""
        first = (self._found == 0) & ~loss.isfinite()
        self._step.copy_(torch.where(first, step, self._step))
        self._found.copy_(self._found.maximum(first.float()))

    def first_step(self) -> int | None:
        """Return the step of the first such loss, None where there was none. A host-device synchronisation."""
        step = int(self._step.item())
        return step if step >= 0 else None


@torch.no_grad()
def first_non_finite(model: nn.Module, x: Tensor) -> str:
    """Say what is the first to hold a value that is not finite, as a batch passes through; empty: nothing.

    Host-device synchronisations; for a run that ends. Norm statistics are changed as by a training step, and norms
    are not fused from here on, so that each operation is seen.

    Args:
        model: the network, in training mode, with the weights that gave the loss.
        x: images (B, C, H, W) or features (B, F) that gave it.
    """
    for name, parameter in model.named_parameters():
        if not parameter.isfinite().all():
            return f"the weights of {part_of(name)} ({name}) are not finite"
    if not x.isfinite().all():
        return "the batch itself holds values that are not finite"
    found: list[str] = []
    handles: list[RemovableHandle] = []

    def look(name: str) -> Callable[[nn.Module, object, object], None]:
        def after(_module: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, Tensor) and not output.isfinite().all():
                found.append(name)

        return after

    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            module.fused = False  # type: ignore[assignment]
        if not list(module.children()):
            handles.append(module.register_forward_hook(look(name)))
    try:
        model(x)
    finally:
        for handle in handles:
            handle.remove()
    return f"the first value that is not finite came out of {part_of(found[0])} ({found[0]})" if found else ""
