"""What ``engine.helper`` answers. Imports torch, and computes nothing with it: networks run without numbers."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import get_args

import torch
from pydantic import TypeAdapter

from engine.config import ARCHITECTURES, ModelConfig, Precision, RunConfig
from engine.data.batching import check_batch_size, steps_per_epoch
from engine.data.facts import ASSUMED_CLASSES, facts
from engine.devices import available, describe, memory, resolve, resolve_precision
from engine.errors import UserError
from engine.helper_messages import DeviceFacts, Machine, MachineWanted, Preview, PreviewWanted, Reply, Request
from engine.shapes.table import training_memory
from engine.shapes.trace import shape_table
from engine.system import SystemMeter

_SMALL = {"residual-mlp": (4,)}
"""Inputs of networks that take no images."""
_table = lru_cache(maxsize=4)(shape_table)
"""Most changes to a run, such as of its learning rate, leave its network as it is."""


def answer(request: Request) -> Reply:
    """Answer ``request``.

    Raises:
        UserError: the network takes images and these are features, or the other way round.
    """
    match request:
        case PreviewWanted():
            return _preview(request)
        case MachineWanted():
            return Machine(id=request.id, devices=tuple(_device(torch.device(name)) for name in available()))


def warm_ups() -> list[Callable[[], object]]:
    """Return what makes later answers fast: a small network of each architecture, shown once."""
    networks: TypeAdapter[ModelConfig] = TypeAdapter(ModelConfig)
    return [
        partial(shape_table, networks.validate_python({"arch": arch}), _SMALL.get(arch, (3, 32, 32)), 10)
        for arch in ARCHITECTURES
    ]


def _preview(request: PreviewWanted) -> Preview:
    config = request.config
    data = facts(config.data)
    classes = data.classes or ASSUMED_CLASSES
    table = _table(config.model, data.shape, classes, config.micro_batch)
    steps, batch_problem = _steps(config.train.batch_size, data.train)
    return Preview(
        id=request.id,
        table=table,
        classes=classes,
        memory=training_memory(table, config.optim.name, config.optim.momentum),
        data=data,
        steps_per_epoch=steps,
        batch_problem=batch_problem,
        device_problem=_device_problem(config),
    )


def _steps(batch_size: int, images: int | None) -> tuple[int | None, str]:
    """Return the steps of an epoch, or why there are none."""
    if images is None:
        return None, ""
    try:
        check_batch_size(batch_size, images)
    except UserError as error:
        return None, str(error)
    return steps_per_epoch(images, batch_size), ""


def _device_problem(config: RunConfig) -> str:
    try:
        resolve_precision(config.train.precision, resolve(config.train.device))
    except UserError as error:
        return str(error)
    return ""


def _device(device: torch.device) -> DeviceFacts:
    free, total = _memory(device)
    return DeviceFacts(
        name=str(device),
        description=describe(device),
        free_bytes=free,
        total_bytes=total,
        precisions=tuple(name for name in get_args(Precision) if name != "auto" and _can_train_in(name, device)),
    )


def _memory(device: torch.device) -> tuple[int | None, int | None]:
    """Return what is free and what there is, without a CUDA context, which would take part of it for good."""
    if device.type != "cuda":
        return memory(device) or (None, None)
    use = SystemMeter(device).read()
    if use.device_memory_bytes is None or use.device_memory_total is None:
        return None, None
    return use.device_memory_total - use.device_memory_bytes, use.device_memory_total


def _can_train_in(precision: Precision, device: torch.device) -> bool:
    try:
        resolve_precision(precision, device)
    except UserError:
        return False
    return True
