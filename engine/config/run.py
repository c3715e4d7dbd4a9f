"""A whole run, and its parts for data, weights, pruning, optimiser, schedule, training and telemetry."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from engine.config.base import Fraction, Part, PositiveInt, Rate, RuleError
from engine.config.model import ModelConfig, ResNetConfig

DatasetName = Literal["digits", "iris", "cifar10", "cifar100", "imagefolder", "synthetic"]
Normalisation = Literal["cifar10", "cifar100", "imagenet", "half", "pixel-mean", "unit"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]


def _device_name(value: str) -> str:
    kind, _, index = value.partition(":")
    if kind not in {"auto", "cpu", "cuda", "mps"} or (index and not (kind == "cuda" and index.isdecimal())):
        raise ValueError("allowed: auto, cpu, mps, cuda, cuda:0, cuda:1, …")
    return value


def _not_empty(value: object) -> object:
    if value == "":
        raise ValueError("allowed: the path of a folder; write . for this one")
    return value


def _absolute(value: Path) -> Path:
    """Make a folder absolute, so that the run's own configuration holds wherever it is read."""
    return value.expanduser().absolute()


class DataConfig(Part):
    """The dataset, its split, and how training images are augmented."""

    dataset: DatasetName = "digits"
    """Which dataset; `resnet-tui data` lists them."""
    dir: Annotated[Path, BeforeValidator(_not_empty), AfterValidator(_absolute)] | None = None
    """Where the data lies. Empty: this platform's cache folder. For imagefolder: the folder with train/ and
    test/ (or val/)."""
    image_size: Annotated[int, Field(ge=8, le=1024)] = 32
    """Height and width to which imagefolder and synthetic bring images, in pixels."""
    val_size: Annotated[int, Field(ge=0)] = 0
    """Training images set aside for validation, stratified by class; He et al. use 5000."""
    normalise: Normalisation = "unit"
    """cifar10, cifar100, imagenet: published mean and standard deviation; half: mean and deviation 0.5;
    pixel-mean: the training set's mean image subtracted (He et al.); unit: values 0 to 1."""
    crop_padding: Annotated[int, Field(ge=0, le=64)] = 0
    """Zero pixels added on each side before a random crop; 0: no crop."""
    flip: bool = False
    """Mirror half of the training images left to right."""
    cutout: Annotated[int, Field(ge=0, le=1024)] = 0
    """Side of a square blanked at a random place, in pixels; 0: none."""
    mixup: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Alpha of the Beta distribution that mixes pairs of images; 0: none."""
    residence: Literal["auto", "memory", "stream"] = "auto"
    """memory: the set lives on the training device; stream: worker processes read it from disk;
    auto: memory where it fits."""
    workers: Annotated[int, Field(ge=0, le=256)] = 2
    """Worker processes of a streamed dataset."""
    synthetic_size: Annotated[int, Field(ge=10, le=10_000_000)] = 512
    """Training images of the synthetic dataset; its test set has a quarter as many."""
    synthetic_classes: Annotated[int, Field(ge=2, le=1000)] = 10
    """Classes of the synthetic dataset."""


class WeightsConfig(Part):
    """Weights to begin with instead of random ones, and how they are carried over."""

    source: Annotated[str, Field(max_length=4096)] = ""
    """A run, a file, or a published name such as torchvision:resnet34; empty: begin with random weights."""
    stem: Literal["carry", "adapt", "fresh"] = "carry"
    """carry: as it is; adapt: kernels of another size are averaged down to the network's,
    their sum kept; fresh: random."""
    head: Literal["carry", "fresh"] = "carry"
    """fresh: a new linear layer for this dataset's classes."""
    allow_partial: bool = False
    """Whether tensors may be missing or left over; each is named."""
    lr_factor: Annotated[float, Field(gt=0, le=1)] = 1.0
    """What the learning rate of the tensors that were carried over is multiplied with."""
    frozen_epochs: Annotated[int, Field(ge=0)] = 0
    """Epochs at the start in which the tensors that were carried over are not trained."""

    @model_validator(mode="after")
    def _needs_a_source(self) -> Self:
        changed = sorted(self.model_fields_set - {"source"})
        if not self.source and any(getattr(self, key) != type(self).model_fields[key].default for key in changed):
            raise RuleError(
                f"{', '.join(changed)} without weights: give some with --weights SOURCE",
                *(f"weights.{key}" for key in changed),
            )
        return self


class PruneConfig(Part):
    """Global magnitude pruning (Han et al. 2015): the smallest weights of all layers become zero for good."""

    amount: Rate = 0.0
    """Share of the weights of convolutions and linear layers; 0: no pruning."""
    after_epochs: Annotated[int, Field(ge=0)] = 0
    """Epochs to train before; the rest of the run trains what is left. 0: prune the weights it begins with."""


class OptimConfig(Part):
    """The optimiser."""

    name: Literal["sgd", "adam", "adamw"] = "sgd"
    """sgd: with momentum, as in the papers; adam and adamw differ in how weight decay is applied: adamw keeps it
    out of the gradient's averages."""
    lr: Annotated[float, Field(gt=0, le=100)] = 0.1
    """Peak learning rate."""
    momentum: Rate = 0.9
    """For sgd."""
    nesterov: bool = False
    """For sgd."""
    betas: tuple[Rate, Rate] = (0.9, 0.999)
    """For adam and adamw."""
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.0
    """How strongly weights are drawn towards zero; He et al. use 0.0001. 0: not at all."""
    decay_norm_and_bias: bool = True
    """Whether weight decay also applies to norm parameters and biases, as in the papers."""
    clip_norm: Annotated[float, Field(ge=0)] = 0.0
    """Largest L2 norm of the whole gradient; 0: no clipping."""
    accumulate: PositiveInt = 1
    """Parts into which a batch is split so that it needs less memory; norm statistics are per part."""

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and (self.name != "sgd" or self.momentum == 0):
            raise RuleError('nesterov = true needs name = "sgd" and a momentum above 0', "optim.nesterov")
        return self


def _rising(milestones: tuple[float, ...]) -> tuple[float, ...]:
    if list(milestones) != sorted(set(milestones)) or not all(0 < m < 1 for m in milestones):
        raise ValueError("allowed: rising fractions of the run between 0 and 1, such as [0.5, 0.75]")
    return milestones


class ScheduleConfig(Part):
    """The learning rate over the run. Shapes are functions of the fraction done, so `--epochs` scales them."""

    name: Literal["constant", "multistep", "cosine", "onecycle"] = "constant"
    """Shape of the rate over the run: multistep falls at milestones; cosine falls all the way; onecycle rises to the
    peak first. The warm-up multiplies it."""
    milestones: Annotated[tuple[float, ...], AfterValidator(_rising)] = (0.5, 0.75)
    """multistep: fractions of the run at which the rate is multiplied by gamma."""
    gamma: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """multistep: factor at each milestone."""
    final: Fraction = 0.0
    """cosine and onecycle: the last rate as a fraction of the peak."""
    peak: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """onecycle: fraction of the run at which the peak is reached."""
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    """Length of the warm-up, in epochs; it multiplies the shape."""
    warmup_start: Fraction = 0.1
    """The rate at the start of the warm-up as a fraction of the peak."""
    warmup: Literal["linear", "constant"] = "linear"
    """linear: rises from warmup_start to 1; constant: stays at warmup_start, as He et al. do for depth 110."""


class TrainConfig(Part):
    """Length, batch, precision, and when to stop."""

    epochs: Annotated[int, Field(ge=1, le=100_000)] = 10
    """Passes over the training images."""
    batch_size: Annotated[int, Field(ge=2, le=1_000_000)] = 128
    """Images an optimiser step."""
    eval_batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 500
    """Images a forward pass of an evaluation; fewer need less memory."""
    processes: Annotated[int, Field(ge=1, le=4096)] = 1
    """Processes that train the run together, each on a GPU of its own, or all on the CPU; they share each batch.
    --gpus sets it, and so does torchrun. Norm statistics are per process."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """Decides every random draw: initial weights, split, order and augmentation."""
    device: Annotated[str, AfterValidator(_device_name)] = "auto"
    """auto picks CUDA, then MPS, then the CPU."""
    precision: Precision = "auto"
    """auto: bfloat16 autocast on CUDA devices and processors that have it in hardware, else float32."""
    fused: bool = True
    """Whether batch norm, addition and ReLU are one operation on the CPU, compiled where there is a C compiler."""
    compile: bool = False
    """Whether the network goes through torch.compile: a few per cent faster on the CPU, more on CUDA, for 5 to
    60 s at the start; the run says how long. Where it fails, the network is trained as it is."""
    deterministic: bool = False
    """Whether a GPU uses only algorithms that give the same bits every time, which are slower; the CPU does so
    anyway. An operation that has none ends the run."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of each label that is spread evenly over all classes in training; 0: none."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of the exponential moving average of the weights a step; 0: none. With it, the average is
    evaluated."""
    early_stopping: Annotated[int, Field(ge=0)] = 0
    """Epochs without a better accuracy after which the run stops; 0: never."""
    target_accuracy: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Stop at this accuracy (validation where there is a split, else test), and exit with 4 if it is never
    reached; 0: no target."""
    checkpoint_every_steps: Annotated[int, Field(ge=0)] = 0
    """Steps between checkpoints, besides those at the end of each epoch; 0: none."""


class TelemetryConfig(Part):
    """What is measured while it trains, and how often."""

    every_steps: PositiveInt = 10
    """Steps between readings of loss, accuracy and gradient norms: the one host-device synchronisation
    (float16 adds one a step, for its loss scaler)."""
    table_every_epochs: PositiveInt = 1
    """Epochs between the lines of the printed table; `metrics.csv` and `log.txt` have a line for each."""
    gradient_norms: bool = True
    """Whether the gradient norm of every block is measured."""
    system_seconds: Annotated[float, Field(ge=0.1, le=3600)] = 2.0
    """Seconds between readings of device and host use."""
    tensorboard: bool = False
    """Whether a TensorBoard event file is written while it trains, to `tensorboard/` in the run's folder."""


class RunConfig(Part):
    """A whole run. Equal configurations give equal runs on the same machine."""

    name: str = Field(default="custom", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    """The preset's name; part of the run directory's."""
    model: ModelConfig = ResNetConfig()
    data: DataConfig = DataConfig()
    weights: WeightsConfig = WeightsConfig()
    prune: PruneConfig = PruneConfig()
    optim: OptimConfig = OptimConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    train: TrainConfig = TrainConfig()
    telemetry: TelemetryConfig = TelemetryConfig()

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        if self.schedule.warmup_epochs >= self.train.epochs:
            raise RuleError(
                f"schedule.warmup_epochs = {self.schedule.warmup_epochs:g} must be below "
                f"train.epochs = {self.train.epochs}; shorten it with --set schedule.warmup_epochs=…",
                "schedule.warmup_epochs",
                "train.epochs",
            )
        for key, value in (
            ("weights.frozen_epochs", self.weights.frozen_epochs),
            ("prune.after_epochs", self.prune.after_epochs),
        ):
            if value >= self.train.epochs:
                raise RuleError(
                    f"{key} = {value} must be below train.epochs = {self.train.epochs}; lower it, or "
                    "give more --epochs",
                    key,
                    "train.epochs",
                )
        if self.prune.amount and not self.prune.after_epochs and not self.weights.source:
            raise RuleError(
                "prune.after_epochs = 0 would prune random weights; give trained ones with --weights SOURCE, or "
                "train first with --set prune.after_epochs=…",
                "prune.after_epochs",
            )
        self._check_shares()
        if self.data.dataset == "imagefolder" and self.data.dir is None:
            raise RuleError(
                "data.dir is missing: imagefolder needs the folder that holds train/ and test/ (or val/); "
                "give it with --data-dir",
                "data.dir",
            )
        return self

    def _check_shares(self) -> None:
        processes, accumulate, batch = self.train.processes, self.optim.accumulate, self.train.batch_size
        if accumulate > batch // processes // 2:
            if processes == 1:
                raise RuleError(
                    f"optim.accumulate = {accumulate} leaves fewer than two images a part of "
                    f"train.batch_size = {batch}; at most {batch // 2}",
                    "optim.accumulate",
                    "train.batch_size",
                )
            parts = f" in {accumulate} parts (optim.accumulate)" if accumulate > 1 else ""
            raise RuleError(
                f"train.processes = {processes} leave fewer than two images a process{parts} of train.batch_size = "
                f"{batch}; use fewer processes, or a batch of at least {2 * processes * accumulate}",
                "train.processes",
                "train.batch_size",
                "optim.accumulate",
            )
        if processes > 1 and (self.train.device == "mps" or ":" in self.train.device):
            raise RuleError(
                f"train.processes = {processes} cannot share train.device = {self.train.device!r}; allowed with "
                "several: cuda, which gives each a GPU of its own, and cpu",
                "train.processes",
                "train.device",
            )
        if processes > 1 and self.train.compile:
            raise RuleError(
                f"train.compile = true with train.processes = {processes}: only one process alone compiles its "
                "network; give --set train.compile=false",
                "train.processes",
                "train.compile",
            )

    @property
    def micro_batch(self) -> int:
        """Images of one forward pass: a batch, a process's share, or a part of it (``optim.accumulate``)."""
        return max(1, self.train.batch_size // self.train.processes // self.optim.accumulate)
