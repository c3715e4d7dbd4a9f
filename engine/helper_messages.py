"""What the interface asks ``engine.helper`` and what it answers, a line of JSON each. Imports no torch, no numpy.

Every answer carries the number of its request. Of several requests of one kind that wait, the newest is answered.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from engine.config import RunConfig
from engine.events import Progress
from engine.lr_range import RangeTest
from engine.shapes.table import ShapeTable, TrainingMemory

DataState = Literal["embedded", "made", "complete", "archive only", "incomplete", "absent", "not usable"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DataFacts:
    """A dataset before it is loaded, as far as a look at names tells."""

    shape: tuple[int, ...]
    """Of one sample: (C, H, W), or (F,)."""
    classes: int | None
    """None, as the sizes: not known, since there is no usable folder of images."""
    train: int | None
    """Samples to train with, without those set aside for validation."""
    val: int
    """Set aside; all of the training samples at most."""
    test: int | None
    state: DataState
    problem: str
    """Why a run with it would be refused, in one line; empty: it would not."""
    todo: str
    """What to do so that it can be used; empty: nothing."""
    can_download: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceFacts:
    """A device of this machine."""

    name: str
    """As ``train.device`` takes it: ``cuda:0``, ``mps``, ``cpu``."""
    description: str
    """In words, the name included."""
    free_bytes: int | None
    """Memory; None: not known."""
    total_bytes: int | None
    precisions: tuple[str, ...]
    """What ``train.precision`` may be there, besides ``auto``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PreviewWanted:
    """Asks what a run with ``config`` would be."""

    id: int
    config: RunConfig
    kind: Literal["preview_wanted"] = "preview_wanted"


@dataclass(frozen=True, kw_only=True, slots=True)
class MachineWanted:
    """Asks what devices there are."""

    id: int
    kind: Literal["machine_wanted"] = "machine_wanted"


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """What a run would be; nothing of it is written, loaded or computed."""

    id: int
    table: ShapeTable
    """Every operation of the network, or up to the one that the input does not fit (``table.failure``)."""
    classes: int
    """For which the table holds: an assumption where ``data.classes`` is None."""
    memory: TrainingMemory
    data: DataFacts
    steps_per_epoch: int | None
    """None: not known, or ``batch_problem``."""
    batch_problem: str
    """Why the batch size does not fit the training set; empty: it does, or the set is not known."""
    device_problem: str
    """Why this machine cannot train on that device in that precision; empty: it can."""
    kind: Literal["preview"] = "preview"


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """The devices that a run can have, the best first."""

    id: int
    devices: tuple[DeviceFacts, ...]
    kind: Literal["machine"] = "machine"


@dataclass(frozen=True, kw_only=True, slots=True)
class HelperFailed:
    """There is no answer, and why."""

    id: int
    """The request; 0: none in particular."""
    message: str
    kind: Literal["helper_failed"] = "helper_failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class RangeTestWanted:
    """Asks a process of its own for a learning-rate range test."""

    config: RunConfig
    test: RangeTest
    runs: Path
    """Where weights to begin with are looked for by a run's name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """A batch of that test: an ``engine.lr_range.Reading``."""

    lr: float
    loss: float
    kind: Literal["tried"] = "tried"


Request = PreviewWanted | MachineWanted
Reply = Preview | Machine | HelperFailed

_LATER = ConfigDict(defer_build=True)
"""Built when first used: not before a first frame."""
_requests: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="kind")], config=_LATER)
_replies: TypeAdapter[Reply] = TypeAdapter(Annotated[Reply, Field(discriminator="kind")], config=_LATER)
_told: TypeAdapter[Progress | Tried] = TypeAdapter(
    Annotated[Progress | Tried, Field(discriminator="kind")],
    config=ConfigDict(ser_json_inf_nan="strings", defer_build=True),
)


def encode_request(request: Request) -> bytes:
    """Return one line of JSON.

    Raises:
        ValueError: a path in it is not text.
    """
    return _requests.dump_json(request) + b"\n"


def decode_request(line: bytes) -> Request:
    """Read one line.

    Raises:
        ValueError: it is not a request.
    """
    return _requests.validate_json(line)


def encode_reply(reply: Reply) -> bytes:
    """Return one line of JSON."""
    return _replies.dump_json(reply) + b"\n"


def decode_reply(line: bytes) -> Reply:
    """Read one line.

    Raises:
        ValueError: it is not a reply.
    """
    return _replies.validate_json(line)


def encode_range_test(wanted: RangeTestWanted) -> bytes:
    """Return one line of JSON.

    Raises:
        ValueError: a path in it is not text.
    """
    return TypeAdapter(RangeTestWanted).dump_json(wanted) + b"\n"


def decode_range_test(line: bytes) -> RangeTestWanted:
    """Read one line.

    Raises:
        ValueError: it does not ask for a range test.
    """
    return TypeAdapter(RangeTestWanted).validate_json(line)


def encode_told(told: Progress | Tried) -> bytes:
    """Return one line of JSON."""
    return _told.dump_json(told) + b"\n"


def decode_told(line: bytes) -> Progress | Tried:
    """Read one line.

    Raises:
        ValueError: it tells neither.
    """
    return _told.validate_json(line)
