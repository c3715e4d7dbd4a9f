"""What a person can ask of a run while it goes on, and how the asking reaches the engine thread.

A message takes effect at the next step and is recorded as a ``control_applied`` event. Inside one process it goes
through ``Control``; from another, as a line appended to the run directory's ``control.jsonl``, which the run's
host follows. Imports no torch.
"""

import contextlib
import errno
import os
import queue
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from engine.files import naming
from engine.regular import open_regular

MAX_LINE_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class Message:
    """What every message carries."""

    source: Annotated[str, Field(max_length=100)] = "program"
    id: Annotated[str, Field(max_length=64)] = field(default_factory=lambda: uuid.uuid4().hex[:12])


@dataclass(frozen=True, kw_only=True)
class Pause(Message):
    """Wait before the next step."""

    command: Literal["pause"] = "pause"


@dataclass(frozen=True, kw_only=True)
class Resume(Message):
    """Go on after ``Pause``."""

    command: Literal["resume"] = "resume"


@dataclass(frozen=True, kw_only=True)
class StopNow(Message):
    """Save a checkpoint and end."""

    command: Literal["stop_now"] = "stop_now"


@dataclass(frozen=True, kw_only=True)
class StopAfterEpoch(Message):
    """End when the epoch in hand is trained, evaluated and saved."""

    command: Literal["stop_after_epoch"] = "stop_after_epoch"


@dataclass(frozen=True, kw_only=True)
class CheckpointNow(Message):
    """Save ``last`` at once."""

    command: Literal["checkpoint_now"] = "checkpoint_now"


@dataclass(frozen=True, kw_only=True)
class EvaluateNow(Message):
    """Evaluate every split before the next step."""

    command: Literal["evaluate_now"] = "evaluate_now"


@dataclass(frozen=True, kw_only=True)
class SetLearningRate(Message):
    """From here on the rate is ``lr`` now, and follows the schedule in proportion."""

    lr: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
    command: Literal["set_learning_rate"] = "set_learning_rate"


@dataclass(frozen=True, kw_only=True)
class ExtendEpochs(Message):
    """Train ``epochs`` more; what is left of the schedule is stretched over what is left of the run."""

    epochs: Annotated[int, Field(ge=1, le=100_000)]
    command: Literal["extend_epochs"] = "extend_epochs"


ControlMessage = (
    Pause | Resume | StopNow | StopAfterEpoch | CheckpointNow | EvaluateNow | SetLearningRate | ExtendEpochs
)
_adapter: TypeAdapter[ControlMessage] = TypeAdapter(Annotated[ControlMessage, Field(discriminator="command")])


class Control:
    """A thread-safe queue of messages from anywhere in this process to the engine thread."""

    def __init__(self) -> None:
        self.stop_wanted = False
        """Whether a message to stop was sent, perhaps not received yet: what only waits must wait no longer."""
        self._queue: queue.SimpleQueue[ControlMessage] = queue.SimpleQueue()

    def send(self, message: ControlMessage) -> None:
        """Queue ``message``. May be called from any thread and from a signal handler."""
        self.stop_wanted = self.stop_wanted or isinstance(message, StopNow)
        self._queue.put(message)

    def receive(self, timeout: float = 0.0) -> ControlMessage | None:
        """Return the next message, or None when none came within ``timeout`` seconds."""
        try:
            return self._queue.get(block=timeout > 0, timeout=timeout or None)
        except queue.Empty:
            return None


class ControlFile:
    """Follows a run's ``control.jsonl`` from where it ended when the run began."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = path.stat().st_size if path.exists() else 0

    def read(self) -> list[ControlMessage]:
        """Return the messages in the whole lines added since the last call; what is no message is passed over."""
        try:
            if not self._path.exists() or self._path.stat().st_size <= self._offset:
                return []
            with open_regular(self._path) as file:
                file.seek(self._offset)
                added = file.read(64 * MAX_LINE_BYTES)
        except OSError:  # a run goes on without its messages
            return []
        end = added.rfind(b"\n") + 1
        if end == 0:
            self._offset += len(added) if len(added) >= MAX_LINE_BYTES else 0
            return []
        self._offset += end
        messages: list[ControlMessage] = []
        for line in added[:end].splitlines():
            with contextlib.suppress(ValueError):
                messages.append(_adapter.validate_json(line))
        return messages


def validated(message: ControlMessage) -> ControlMessage:
    """Return ``message`` as a run would read it.

    Raises:
        ValueError: a value of it is not allowed; a run would pass it over.
    """
    return _adapter.validate_json(_adapter.dump_json(message))


def post(path: Path, message: ControlMessage) -> None:
    """Append ``message`` to a run's ``control.jsonl``, in one write.

    Raises:
        OSError: it cannot be written, or not whole; what was written of it is passed over.
    """
    line = b"\n" + _adapter.dump_json(message) + b"\n"  # begins anew, whatever an earlier one left unfinished
    with naming(path), path.open("ab", buffering=0) as file:
        if file.write(line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
