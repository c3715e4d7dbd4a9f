"""The state that training changes: network, optimiser, average of the weights, and the one step that changes them."""

import math
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from engine import checkpoint, diagnosis
from engine.compiled import Compiled
from engine.config import RunConfig
from engine.data.pipeline import Batch
from engine.devices import resolve_precision
from engine.errors import WorldError
from engine.gradients import GradientMeter
from engine.kernels.norm_relu import fuse
from engine.models import build_initialised
from engine.optim import build_optimiser, set_lr
from engine.text import one_line
from engine.weights.carry import carry, check_something_is_left

if TYPE_CHECKING:
    from torch.nn.parallel import DistributedDataParallel

    from engine.parallel.group import Group
    from engine.weights.fit import Weights

_AS_IT_IS = nullcontext()


class Learner:
    """Trains one batch at a time. B batch, K classes, P parts of the network."""

    def __init__(
        self,
        config: RunConfig,
        input_shape: tuple[int, ...],
        classes: int,
        device: torch.device,
        weights: "Weights | None" = None,
        carried: Collection[str] = (),
        group: "Group | None" = None,
    ) -> None:
        """Build network and optimiser on ``device``.

        Args:
            config: the run.
            input_shape: of one sample.
            classes: number of logits.
            device: where to train.
            weights: what to begin with instead of random weights.
            carried: instead of ``weights``, in a run that is resumed: which parameters began with them.
            group: the processes that train together, where there are several.

        Raises:
            UserError: the network cannot take such an input or such weights, or the device not train in this
                precision.
        """
        self._config = config
        self.device = device
        # All full batches have one size: what is found to be fast for it is used often.
        torch.backends.cudnn.benchmark = not config.train.deterministic
        self.dtype = resolve_precision(config.train.precision, device)
        self.model = build_initialised(config.model, input_shape, classes, config.train.seed, device)
        wanted = config.train.fused and device.type == "cpu"
        self.not_fused = fuse(self.model) if wanted else "not wanted"
        """Why norm, addition and ReLU are not one operation; empty: they are."""
        self.carry_report = carry(self.model, weights, config.weights) if weights is not None else None
        """What became of the weights that it began with."""
        if self.carry_report is not None:
            check_something_is_left(self.model, self.carry_report, config.weights)
        self.carried_parameters = frozenset(carried if self.carry_report is None else self.carry_report.parameters)
        self.optimiser = build_optimiser(self.model, config.optim, self.carried_parameters, config.weights.lr_factor)
        self.lr = config.optim.lr
        """Of the last step."""
        size = math.ceil(config.train.batch_size / config.optim.accumulate)
        self._compiled = Compiled(self.model, device, size) if config.train.compile else None
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype == torch.float16)
        self.average = _moving_average(self.model, config.train.ema_decay)
        self.gradients = GradientMeter(self.model)
        self.group = group
        self._parallel: DistributedDataParallel | None = None

    @property
    def evaluated_model(self) -> nn.Module:
        """The network whose accuracy counts: the average of the weights where one is kept."""
        return self.model if self.average is None else self.average

    def compiles_with(self, batch: Batch) -> bool:
        """Whether the next step is the one that compiles the network."""
        return self._compiled is not None and self._compiled.pending and len(batch.x) == self._config.train.batch_size

    def compile_with(self, batch: Batch) -> tuple[Tensor, Tensor, str]:
        """Do as ``accumulate_gradient`` does and compile; the third value says what came of it, for a person."""
        assert self._compiled is not None
        try:
            loss, right = self.accumulate_gradient(batch)
            return loss, right, self._compiled.succeeded()
        except Exception as error:  # whatever a compiler and its libraries may raise: the network trains without
            failure, self._compiled = self._compiled.failed(error), None
        return *self.accumulate_gradient(batch), failure

    def accumulate_gradient(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Forward and backward; return the batch's mean loss and number right, on the device."""
        if self._compiled is not None:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        loss = torch.zeros((), device=self.device)
        right = torch.zeros((), device=self.device)
        own, parts = len(batch.y_B), list(_split(batch, self._config.optim.accumulate))
        scale = 1.0 if self.group is None else self._join_gradients(own, batch.images)
        for part in parts:
            with self._gradients_joined(part is parts[-1]):
                with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
                    logits_BK = self._logits(part.x)
                    part_loss = self._loss(logits_BK, part) * (len(part.y_B) / own * scale)
                self.scaler.scale(part_loss).backward()  # type: ignore[no-untyped-call]
            loss += part_loss.detach()
            right += (logits_BK.detach().argmax(dim=1) == part.y_B).sum()
        self.scaler.unscale_(self.optimiser)
        return (loss, right) if self.group is None else self.group.of_batch(loss, right, own, batch.images)

    def _join_gradients(self, own: int, images: int) -> float:
        """Have a backward pass give the mean over all ranks; return what this one's mean loss is multiplied with."""
        assert self.group is not None
        if self._parallel is None:
            self.share_statistics()  # or those of rank 0 would be everybody's
            every = self._config.telemetry.every_steps
            self._parallel = self.group.parallel(self.model, self.device, measured_every=every)
        return self.group.rank.scale(own, images)

    def _gradients_joined(self, last: bool) -> AbstractContextManager[None]:
        """Let ranks wait for each other's gradients only at the last part of a batch."""
        return _AS_IT_IS if last or self._parallel is None else self._parallel.no_sync()

    def update(self, lr: float) -> None:
        """Take the optimiser's step with the gradient that was accumulated, and clear it."""
        self.lr = lr
        set_lr(self.optimiser, lr)
        if self._config.optim.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self._config.optim.clip_norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update_parameters(self.model)

    def why_not_finite(self, batch: Batch) -> str:
        """Say where values of ``batch`` stopped being finite. For a run that ends; see ``first_non_finite``."""
        for part in _split(batch, self._config.optim.accumulate):
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
                if found := diagnosis.first_non_finite(self.model, part.x):
                    return found
        return diagnosis.IN_THE_LOSS

    def freeze_carried(self, frozen: bool) -> None:
        """Stop or begin to train the parameters that were carried over; their norms' statistics go on either way."""
        before = [parameter.requires_grad for parameter in self.model.parameters()]
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(not (frozen and name in self.carried_parameters))
        if before != [parameter.requires_grad for parameter in self.model.parameters()]:
            self._parallel = None  # it waits for the gradients that there were when it was made

    def share_statistics(self) -> None:
        """Give all ranks the mean of their running norm statistics, each of its own images.

        Means are taken in whatever order, so it does not matter how often this is done but to the last bits.
        """
        if self.group is not None:
            models = [self.model] if self.average is None else [self.model, self.average]
            self.group.average_(b for model in models for b in model.buffers() if b.is_floating_point())

    def leave_group(self) -> None:
        """Go on without the other ranks, to save what this one has."""
        self.group = self._parallel = None

    def rank_speeds(self) -> tuple[float, ...]:
        """Return the images a second of each rank's own latest measured passes; 0: not known. Empty for one process.

        All ranks take as long a step as the slowest; this leaves out how long each waited for the others.
        """
        if self.group is None:
            return ()
        return self.group.gather_numbers(self._own_speed())

    def _own_speed(self) -> float:
        if self._parallel is None:
            return 0.0
        measured = self._parallel._get_ddp_logging_data()  # type: ignore[no-untyped-call]
        nanoseconds = measured.get("forward_compute_time", 0) + measured.get("backward_compute_time", 0)
        return self._config.micro_batch * 1e9 / nanoseconds if nanoseconds else 0.0

    def tensors(self) -> checkpoint.Tensors:
        """Return everything that a resume needs, by name."""
        tensors = checkpoint.model_tensors(self.model) | checkpoint.optimiser_tensors(self.optimiser)
        if self.average is not None:
            tensors |= {f"average.{name}": value for name, value in self.average.state_dict().items()}
        return tensors

    def is_finite(self) -> bool:
        """Whether every weight and norm statistic is a number. A host-device synchronisation."""
        values = [value for value in self.model.state_dict().values() if value.is_floating_point()]
        return bool(torch.stack([value.isfinite().all() for value in values]).all())

    def restore(self, tensors: checkpoint.Tensors) -> None:
        """Put back what ``tensors`` returned.

        Raises:
            WorldError: they are another network's.
        """
        try:
            self.model.load_state_dict(checkpoint.select(tensors, "model"))
            checkpoint.restore_optimiser(self.optimiser, tensors)
            if self.average is not None:
                self.average.load_state_dict(checkpoint.select(tensors, "average"))
        except (RuntimeError, ValueError, LookupError, TypeError) as error:
            said = one_line(str(error), 300)  # quotes names of the file's
            raise WorldError(f"the checkpoint does not fit the network: {said}") from error

    def _logits(self, x: Tensor) -> Tensor:
        if self._parallel is not None:
            logits_BK: Tensor = self._parallel(x)
            return logits_BK
        if self._compiled is not None and self._compiled.takes(x):
            return self._compiled(x)
        return self.model(x)  # type: ignore[no-any-return]

    def _loss(self, logits_BK: Tensor, batch: Batch) -> Tensor:
        smoothing = self._config.train.label_smoothing
        loss = F.cross_entropy(logits_BK, batch.y_B, label_smoothing=smoothing)
        if batch.y_mixed_B is None:
            return loss
        other = F.cross_entropy(logits_BK, batch.y_mixed_B, label_smoothing=smoothing)
        return batch.mix * loss + (1 - batch.mix) * other


def _moving_average(model: nn.Module, decay: float) -> AveragedModel | None:
    if not decay:
        return None
    average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(model, multi_avg_fn=average, use_buffers=True)


def _split(batch: Batch, parts: int) -> Iterator[Batch]:
    if parts == 1:
        yield batch
        return
    mixed = batch.y_mixed_B.chunk(parts) if batch.y_mixed_B is not None else [None] * parts
    for x, y_B, y_mixed_B in zip(batch.x.chunk(parts), batch.y_B.chunk(parts), mixed, strict=False):
        yield Batch(x, y_B, y_mixed_B, batch.mix)
