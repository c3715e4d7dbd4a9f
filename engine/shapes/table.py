"""The shape table as a value. Imports no torch."""

from dataclasses import dataclass

from engine.events import ShapeRow

FLOAT_BYTES = 4
_OPTIMISER_STATES = {"adam": 2, "adamw": 2}


@dataclass(frozen=True)
class Failure:
    """The operation that the input does not fit, and why."""

    name: str
    op: str
    input: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class ShapeTable:
    """Rows in the order in which a forward pass runs through them, and their sums."""

    rows: tuple[ShapeRow, ...]
    input: tuple[int, ...]
    """Of one sample: (C, H, W), or (F,)."""
    batch_size: int
    """For which ``activation_bytes`` holds."""
    params: int
    trainable_params: int
    buffers: int
    """Numbers that are kept but not trained: the norms' running mean and variance."""
    failure: Failure | None = None
    """None: the whole network ran."""

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one sample."""
        return sum(row.macs for row in self.rows)

    @property
    def flops(self) -> int:
        """Floating-point operations of one sample, counted as ``events.ShapeRow`` says."""
        return sum(row.flops for row in self.rows)

    @property
    def activation_bytes(self) -> int:
        """What a batch keeps in memory between the forward and the backward pass."""
        return sum(row.activation_bytes for row in self.rows)


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes in float32 that training takes, without what libraries use for a moment."""

    weights: int
    gradients: int
    optimiser: int
    activations: int
    batch: int
    """The input itself."""

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.gradients + self.optimiser + self.activations + self.batch


def training_memory(table: ShapeTable, optimiser: str, momentum: float) -> TrainingMemory:
    """Return what training needs at ``table.batch_size`` with ``optimiser`` ("sgd", "adam", "adamw")."""
    samples = table.batch_size
    for size in table.input:
        samples *= size
    states = _OPTIMISER_STATES.get(optimiser, 1 if momentum else 0)
    return TrainingMemory(
        weights=FLOAT_BYTES * (table.params + table.buffers),
        gradients=FLOAT_BYTES * table.trainable_params,
        optimiser=FLOAT_BYTES * states * table.trainable_params,
        activations=table.activation_bytes,
        batch=FLOAT_BYTES * samples,
    )
