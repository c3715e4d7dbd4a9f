"""Checkpoints: tensors in a safetensors file, everything else as JSON in its header, a hash over both.

A file is read in three steps, each of which refuses what it does not like: safetensors' own bounds checks, the hash
over every name, shape, type and byte, and the state's schema. No step can run code.
"""

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from engine.config import RunConfig
from engine.errors import UserError, WorldError
from engine.files import write_atomic
from engine.regular import open_regular
from engine.run_dir import RunDir
from engine.schedule import RateState
from engine.text import one_line

Tensors = dict[str, Tensor]
FORMAT = "resnet-tui-checkpoint-1"


@dataclass(frozen=True, kw_only=True)
class Best:
    """The best epoch so far, by the split that chooses."""

    accuracy: float
    epoch: int


@dataclass(frozen=True, kw_only=True)
class TrainState:
    """Where a run stands, besides its tensors. Random numbers need no state: ``seeds`` says why."""

    config: RunConfig
    classes: tuple[str, ...]
    epoch: int
    """The epoch in progress, from 1; its steps done are ``step_in_epoch``."""
    step_in_epoch: int
    step: int
    epochs: int
    """How many the run means to train; a person may have extended it."""
    steps_per_epoch: int
    rate: RateState
    best: Best | None
    epochs_since_best: int
    scaler: dict[str, int | float]
    """The loss scale of float16; empty for other precisions."""
    carried: tuple[str, ...] = ()
    """Parameters that began with weights from elsewhere."""


_state = TypeAdapter(TrainState)


class DamagedError(WorldError):
    """A checkpoint is there and can be read, and is not what was saved."""


def save_checkpoint(path: Path, tensors: Tensors, state: TrainState, *, previous: Path | None = None) -> None:
    """Write a checkpoint atomically. Reading the tensors from the device is a host-device synchronisation.

    Args:
        path: the file.
        tensors: by name.
        state: everything else.
        previous: where the checkpoint is kept that was at ``path`` before.

    Raises:
        OSError: it cannot be written; an older file at ``path`` is untouched.
    """
    on_host = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = _state.dump_json(state).decode()
    header = {"format": FORMAT, "state": text, "sha256": _digest(on_host, text)}
    content = save(on_host, metadata=header)
    write_atomic(path, lambda file: file.write(content), previous=previous)


def load_checkpoint(path: Path) -> tuple[Tensors, TrainState]:
    """Read and verify a checkpoint; tensors are on the CPU.

    Raises:
        DamagedError: it is damaged, or no checkpoint of ours.
        WorldError: it is missing, cannot be read at this moment, or was written by another version.
    """
    name = one_line(str(path))
    try:
        with open_regular(path), safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except FileNotFoundError:
        raise WorldError(f"{name}: there is no such checkpoint") from None
    except (OSError, MemoryError) as error:
        why = getattr(error, "strerror", None) or str(error) or "out of memory"
        raise WorldError(f"{name}: cannot be read: {one_line(why, 200)}") from error
    except (SafetensorError, ValueError, RuntimeError, TypeError, KeyError) as error:
        raise DamagedError(f"{name}: damaged, or no checkpoint: {one_line(str(error), 200)}") from error
    if header.get("format") != FORMAT:
        raise DamagedError(f"{name}: not a checkpoint of resnet-tui ({FORMAT})")
    if header.get("sha256") != _digest(tensors, header.get("state", "")):
        raise DamagedError(f"{name}: damaged: its content does not match its hash")
    try:
        return tensors, _state.validate_json(header["state"])
    except ValueError as error:
        raise WorldError(f"{name}: written by another version: {one_line(str(error), 300)}") from error


def resumable(run: RunDir) -> tuple[Tensors, TrainState, list[str]]:
    """Read the checkpoint that a run goes on from: ``last``, or where that is damaged the newest that is not.

    The third value says what was damaged, for a person. A damaged ``last`` is put aside as ``last.damaged``: the next
    save would keep it as the one before, in the place of one that is good.

    Raises:
        UserError: the run has no checkpoint yet.
        WorldError: every checkpoint it has is damaged, or one of them cannot be read, which may pass.
    """
    existing = [path for path in (run.last, run.previous, run.best) if path.exists()]
    if not existing:
        raise UserError(
            f"run {run.name} ended before its first checkpoint, so there is nothing to resume; "
            f"start it again with --preset {one_line(str(run.config_file))}"
        )
    damage: list[str] = []
    good: list[tuple[Tensors, TrainState, str]] = []
    for path in existing:
        try:
            good.append((*load_checkpoint(path), path.name))
        except DamagedError as error:
            damage.append(str(error))
        if good and path == run.last:
            break
    if not good:
        raise WorldError("; ".join(damage))
    tensors, state, name = max(good, key=lambda one: (one[1].step, one[1].epoch))
    if name != run.last.name:
        with suppress(OSError):
            run.last.replace(run.last.with_suffix(".damaged"))
    return tensors, state, [f"{message}; going on from {name}, saved at step {state.step:,}" for message in damage]


def _digest(tensors: Tensors, state: str) -> str:
    digest = hashlib.sha256(state.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def model_tensors(model: nn.Module) -> Tensors:
    """Return parameters and buffers under ``model.``."""
    return {f"model.{name}": tensor for name, tensor in model.state_dict().items()}


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> Tensors:
    """Return the optimiser's tensors as ``optim.<parameter>.<name>``; parameters are counted."""
    return {
        f"optim.{index}.{name}": value
        for index, state in optimiser.state_dict()["state"].items()
        for name, value in state.items()
        if isinstance(value, Tensor)
    }


def select(tensors: Tensors, prefix: str) -> Tensors:
    """Return the tensors whose names begin with ``prefix.``, without it."""
    return {name[len(prefix) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}.")}


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Tensors) -> None:
    """Put tensors from ``optimiser_tensors`` back; settings stay those of ``optimiser``."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {index: dict(old) for index, old in optimiser.state_dict()["state"].items()}
    for key, tensor in select(tensors, "optim").items():
        index, _, name = key.partition(".")
        parameter = parameters[int(index)]
        if tensor.shape == parameter.shape:  # in the parameter's own layout, or the optimiser's fast path is lost
            tensor = torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)
        state.setdefault(int(index), {})[name] = tensor
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def check_same_run(config: RunConfig, state: TrainState, classes: tuple[str, ...], steps_per_epoch: int) -> None:
    """Refuse to go on with other data or another network than the checkpoint's.

    Raises:
        UserError: what differs.
    """
    if classes != state.classes:
        raise UserError(
            f"the data has other classes ({len(classes)}) than the run was trained on ({len(state.classes)}); "
            "give the folder it was trained on with --data-dir"
        )
    if steps_per_epoch != state.steps_per_epoch:
        raise UserError(
            f"the data gives {steps_per_epoch} steps an epoch and the run was trained with {state.steps_per_epoch}: "
            "give the data it was trained on with --data-dir, or start a new run without --resume"
        )
    for part in ("model", "optim", "schedule", "prune", "weights"):
        if getattr(config, part) != getattr(state.config, part):
            raise UserError(f"[{part}] of the run's config.toml was changed since its checkpoint; change it back")
