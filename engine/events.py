"""What a run says, as a closed set of small immutable values.

A live run, a recorded log and a test fixture are the same type: an iterator of ``Event``. Fields are floats,
strings and tuples, never tensors. Accuracies are fractions, times are seconds, losses are means in nats.

Legal order of one run::

    progress*  run_started  weights_loaded?  model_built  warning*
      ( epoch_started  pruned?
          ( step grad_norms? | system | control_applied | evaluated | checkpoint_saved | progress | warning )*
          checkpoint_saved?  evaluated+  checkpoint_saved? )*
    checkpoint_saved?  run_finished

An epoch ends with checkpoint ``last``, an evaluation of each split, and checkpoint ``best`` where it is better;
a run that is stopped ends wherever it is. ``pruned`` comes once a run, before the first step of its epoch; only
what a person asked for may stand between. ``progress`` before ``run_started`` tells of data being made ready, is
not numbered and not kept. An evaluation at the end of an epoch has ``step`` equal to the epoch's last step; one
that a person asked for may stand anywhere. A run that is resumed
appends to the same log: ``run_started`` again, with ``resumed_at`` the step it goes on from; a reader forgets
what the log holds of later steps. ``run_finished`` is always last; a log without one belongs to a run that is
still going, or was killed. Imports no torch.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from engine.config import RunConfig

Int = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""As large as any count of a run; what is larger in a file is damage, and no arithmetic has to mind it."""
Count = Annotated[int, Field(ge=0, lt=2**63)]
Split = Literal["train", "val", "test"]
Outcome = Literal["completed", "stopped", "failed", "diverged"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """What every event carries; the engine fills it in as the event leaves."""

    seq: Int = 0
    """Position in the run's log, from 0, never repeated; 0 also before ``run_started``."""
    time: Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)] = 0.0
    """Seconds since the epoch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress(Header):
    """How far a phase has come that takes more than a moment; at most a few a second."""

    activity: str
    """What is being done, such as ``decoding images``."""
    done: Int
    total: Int
    """In the phase's own unit; 0 where it is not known."""
    unit: str = "images"
    kind: Literal["progress"] = "progress"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunStarted(Header):
    """The configuration in full, and what it runs on."""

    config: RunConfig
    device: str
    """The device in words, such as ``cuda:0 (NVIDIA H200)``."""
    precision: str
    versions: tuple[tuple[str, str], ...]
    """Name and version of Python and of the packages that decide results."""
    process: Int
    host: str
    classes: tuple[str, ...]
    train_images: Int
    val_images: Int
    test_images: Int
    epochs: Int
    """How many the run means to train; a person may have extended it before a resume."""
    steps_per_epoch: Int
    resumed_at: Int | None = None
    """The step this run goes on from, or None for a fresh one."""
    format: Int = 1
    """Version of the log's format, as ``docs/event-log.md`` describes it."""
    kind: Literal["run_started"] = "run_started"


@dataclass(frozen=True, slots=True)
class ShapeRow:
    """One operation of the network; ``engine.shapes.groups`` also makes rows of blocks and stages."""

    stage: str
    block: str
    """Empty outside the stages."""
    name: str
    """Dotted path of the module."""
    op: str
    kernel: tuple[Int, ...]
    stride: tuple[Int, ...]
    padding: tuple[Int, ...]
    input: tuple[Int, ...]
    output: tuple[Int, ...]
    params: Int
    macs: Int
    """Multiply-accumulates of convolutions and linear layers, for one sample."""
    formula: str = ""
    """Why the output has its shape, with the numbers put in."""
    flops: Int = 0
    """Two for each of ``macs``, as ``torch.utils.flop_counter`` counts: norms, ReLUs, additions, pooling and biases,
    which take a few per cent of the time of their neighbours, count nothing."""
    activation_bytes: Int = 0
    """What of the output a batch keeps in memory (float32) until the backward pass has used it; nothing where the
    operation overwrites its input, or where no gradient needs the output. Max-pooling keeps its indices too."""
    receptive_field: tuple[Int, ...] = ()
    """Height and width of the part of the input that a value of the output sees; empty for rows of features."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelBuilt(Header):
    """The network's shape table and totals."""

    rows: tuple[ShapeRow, ...]
    blocks: tuple[str, ...]
    """Names of the parts whose gradient norms are measured, from the input to the output."""
    params: Int
    macs: Int
    kind: Literal["model_built"] = "model_built"


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightsLoaded(Header):
    """The run begins with weights from elsewhere; what became of each tensor."""

    source: str
    """As it was given."""
    sha256: str
    """Of the file."""
    network: str
    """What the source holds, in words."""
    layout: str
    """Whose way of naming tensors it was recognised by."""
    normalise: str | None
    """How the images were normalised that it was trained on; None: not known."""
    loaded: Int
    """Tensors that were carried over as they are."""
    adapted: tuple[str, ...]
    """Name and how."""
    fresh: tuple[str, ...]
    """Of the network: random, because that was asked for."""
    missing: tuple[str, ...]
    """Of the network: random, because the source has nothing that fits."""
    left_out: tuple[str, ...]
    """Of the source: without a place in the network."""
    kind: Literal["weights_loaded"] = "weights_loaded"


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochStarted(Header):
    """An epoch begins, or goes on after a resume."""

    epoch: Int
    """From 1."""
    epochs: Int
    """How many the run now means to train."""
    kind: Literal["epoch_started"] = "epoch_started"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pruned(Header):
    """The smallest weights of convolutions and linear layers became zero for good."""

    step: Int
    """Optimiser steps finished before."""
    epoch: Int
    """The epoch that begins with it."""
    amount: float
    """The share that was asked for."""
    weights: Int
    """Of convolutions and linear layers, zeros counted."""
    zeros: Int
    parts: tuple[tuple[str, Int, Int], ...]
    """Name, weights and zeros of each part in ``model_built.blocks`` that has such weights."""
    threshold: float
    """The largest magnitude that was removed."""
    compressed_before: Int
    """Bytes of all parameters after zlib."""
    compressed_after: Int
    kind: Literal["pruned"] = "pruned"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step(Header):
    """Training since the last ``step``: means over ``steps`` optimiser steps."""

    step: Int
    """Optimiser steps finished since the run began."""
    epoch: Int
    steps: Int
    images: Int
    loss: float
    accuracy: float
    lr: float
    """Of the last of these steps."""
    images_per_second: float
    kind: Literal["step"] = "step"


@dataclass(frozen=True, kw_only=True, slots=True)
class GradNorms(Header):
    """L2 norm of the gradient of each part in ``model_built.blocks``, at one step, before clipping."""

    step: Int
    norms: tuple[float, ...]
    total: float
    kind: Literal["grad_norms"] = "grad_norms"


@dataclass(frozen=True, kw_only=True, slots=True)
class System(Header):
    """Use of host and device. None: not known here."""

    cpu_percent: float
    """Of this process; 100 is one core."""
    memory_bytes: Int
    """Resident, of this process."""
    host_cpu_percent: float
    """Of all cores together; 100 is all of them."""
    host_memory_bytes: Int
    host_memory_total: Int
    device_memory_bytes: Int | None = None
    device_memory_total: Int | None = None
    device_percent: float | None = None
    device_watts: float | None = None
    device_celsius: float | None = None
    rank_images_per_second: tuple[float, ...] = ()
    """Where several processes train: the speed of each in its own forward and backward passes, without waiting for
    the others; 0: not known yet. The others' use of their devices is not told."""
    kind: Literal["system"] = "system"


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluated(Header):
    """Loss and accuracy over a whole split, without augmentation."""

    step: Int
    epoch: Int
    split: Split
    loss: float
    accuracy: float
    top5: float | None
    """None for ten classes or fewer."""
    per_class: tuple[float, ...]
    """Accuracy of each class; NaN for one without images."""
    confusion: tuple[tuple[Count, ...], ...]
    """Rows: true class; columns: predicted class."""
    images: Int
    seconds: float
    kind: Literal["evaluated"] = "evaluated"

    def __post_init__(self) -> None:
        """Refuse a confusion matrix that is not square or not of these classes."""
        count = len(self.per_class)
        if len(self.confusion) != count or any(len(row) != count for row in self.confusion):
            raise ValueError("confusion is not classes by classes")


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointSaved(Header):
    """A checkpoint is on disk for sure."""

    step: Int
    epoch: Int
    """Epochs finished."""
    which: Literal["last", "best"]
    path: str
    """Relative to the run directory."""
    accuracy: float | None
    """The best so far, of the split that chooses."""
    kind: Literal["checkpoint_saved"] = "checkpoint_saved"


@dataclass(frozen=True, kw_only=True, slots=True)
class ControlApplied(Header):
    """What a person or a signal changed while the run went on; in force from the next step."""

    step: Int
    command: str
    """The control message's own tag, such as ``set_learning_rate``."""
    value: float | Int | None
    source: str
    """Who asked, such as ``signal SIGTERM`` or ``viewer``."""
    id: str
    """The message's own, so that its sender can recognise it."""
    kind: Literal["control_applied"] = "control_applied"


@dataclass(frozen=True, kw_only=True, slots=True)
class Warned(Header):
    """Something a person should know that does not end the run."""

    message: str
    kind: Literal["warning"] = "warning"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFinished(Header):
    """The end, and how it came."""

    outcome: Outcome
    reason: str
    """In words, for a person."""
    steps: Int
    epochs: Int
    """Finished, since the run began."""
    seconds: float
    """Of this process, from ``run_started``; a resumed run counts anew."""
    best_accuracy: float | None
    best_epoch: Int | None
    best_split: Split | None
    """Which split chose the best epoch: val where there is one, else test."""
    target_missed: bool = False
    kind: Literal["run_finished"] = "run_finished"


Event = (
    Progress
    | RunStarted
    | ModelBuilt
    | WeightsLoaded
    | EpochStarted
    | Pruned
    | Step
    | GradNorms
    | System
    | Evaluated
    | CheckpointSaved
    | ControlApplied
    | Warned
    | RunFinished
)

_adapter: TypeAdapter[Event] = TypeAdapter(
    Annotated[Event, Field(discriminator="kind")],
    config=ConfigDict(
        ser_json_inf_nan="strings", defer_build=True
    ),  # built when first used: not before a first frame
)


def encode(event: Event) -> bytes:
    """Return one line of strict JSON in ASCII; non-finite numbers become the strings NaN, Infinity, -Infinity."""
    return _adapter.dump_json(event, ensure_ascii=True) + b"\n"


def decode(line: bytes) -> Event:
    """Read one line.

    Raises:
        ValueError: it is not an event.
    """
    return _adapter.validate_json(line)


def decode_line(line: bytes) -> Event | None:
    """Return the event in ``line``, or None where it holds none."""
    try:
        return decode(line)
    except ValueError:
        return None
