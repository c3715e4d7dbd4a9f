"""What differs between what two runs left, which ought to be equal to the bit."""

import hashlib
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import torch

from engine.checkpoint import load_checkpoint
from engine.event_log import read_events
from engine.events import Evaluated, GradNorms, RunFinished, RunStarted, Step, encode
from engine.run_dir import RunDir
from engine.text import one_line

Compared = Step | GradNorms | Evaluated | RunFinished
Key = tuple[str, int, str]
"""Kind, step and split of an event."""

_UNCOMPARED = {"seq": 0, "time": 0.0, "images_per_second": 0.0, "seconds": 0.0}
"""What equal runs may differ in: when, and how fast."""


def difference(whole: RunDir, resumed: RunDir) -> str:
    """Return the first difference between what two runs left, in words; empty where there is none."""
    for one, other in ((whole.last, resumed.last), (whole.best, resumed.best)):
        if found := _checkpoints_differ(one, other):
            return f"{one.name}: {found}"
    return _logs_differ(whole, resumed)


def digest(run: RunDir) -> str:
    """Return the SHA-256 over all that the last checkpoint of ``run`` holds."""
    tensors, state = load_checkpoint(run.last)
    hashed = hashlib.sha256(repr(state).encode())
    for name in sorted(tensors):
        hashed.update(name.encode() + _content(tensors[name]))
    return hashed.hexdigest()


def _content(tensor: torch.Tensor) -> bytes:
    """Return type, shape and bytes: equal only where every bit is."""
    raw: bytes = tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()
    return f"{tensor.dtype} {tuple(tensor.shape)} ".encode() + raw


def _checkpoints_differ(one: Path, other: Path) -> str:
    (tensors, state), (other_tensors, other_state) = load_checkpoint(one), load_checkpoint(other)
    for name in sorted(tensors.keys() | other_tensors.keys()):
        if name not in tensors or name not in other_tensors:
            return f"{name} is in one alone"
        if _content(tensors[name]) != _content(other_tensors[name]):
            return f"{name} differs"
    for field in fields(state):
        expected, found = getattr(state, field.name), getattr(other_state, field.name)
        if expected != found:
            return one_line(f"{field.name} is {found} instead of {expected}", 200)
    return ""


def _logs_differ(whole: RunDir, resumed: RunDir) -> str:
    expected: dict[Key, Compared] = {}
    for _, event in _compared(whole):
        expected[_key(event)] = event
    kept: dict[Key, Compared] = {}
    for resumed_at, event in _compared(resumed):
        kept = {key: old for key, old in kept.items() if key[1] <= resumed_at} if resumed_at >= 0 else kept
        kept[_key(event)] = event
        # Also what is forgotten later, as what is done again, must have been equal.
        if (wanted := expected.get(_key(event))) is None or encode(wanted) != encode(event):
            return _worded(event, wanted)
    if list(kept) != list(expected):
        lost = [key for key in expected if key not in kept]
        return f"log: {lost[0][0]} of step {lost[0][1]} is missing" if lost else "log: the order differs"
    return ""


def _compared(run: RunDir) -> Iterator[tuple[int, Compared]]:
    """Yield what is compared, each with the step that was resumed from right before it, or -1."""
    resumed_at = -1
    for event in read_events(run.events):
        if isinstance(event, RunStarted):
            resumed_at = event.resumed_at if event.resumed_at is not None else -1
        elif isinstance(event, Compared):
            same = {field.name: _UNCOMPARED[field.name] for field in fields(event) if field.name in _UNCOMPARED}
            yield resumed_at, replace(event, **same)  # type: ignore[arg-type]
            resumed_at = -1


def _key(event: Compared) -> Key:
    step = event.steps if isinstance(event, RunFinished) else event.step
    return event.kind, step, event.split if isinstance(event, Evaluated) else ""


def _worded(found: Compared, wanted: Compared | None) -> str:
    kind, step, split = _key(found)
    what = f"log: {kind} {split}".rstrip() + f" of step {step}"
    if wanted is None:
        return f"{what} is not in the other"
    for field in fields(found):
        values = getattr(found, field.name), getattr(wanted, field.name)
        if values[0] != values[1]:
            return one_line(f"{what}: {field.name} is {values[0]} instead of {values[1]}", 200)
    return f"{what} differs"
