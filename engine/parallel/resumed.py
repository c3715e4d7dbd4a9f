"""What a run goes on from, as rank 0 read it, for all ranks: the others may not see its folder."""

from pydantic import TypeAdapter
from safetensors.torch import load, save

from engine.checkpoint import Tensors, TrainState
from engine.parallel.group import Group

Resumed = tuple[Tensors, TrainState, list[str]]
"""As ``checkpoint.resumable`` returns it."""
_rest: TypeAdapter[tuple[TrainState, list[str]]] = TypeAdapter(tuple[TrainState, list[str]])


def from_rank_0(group: Group, resumed: Resumed | None) -> Resumed | None:
    """Return what rank 0 gave as ``resumed``."""
    tensors, rest = b"", b""
    if resumed is not None:
        tensors, rest = save(resumed[0]), _rest.dump_json(resumed[1:])
    tensors, rest = group.from_first(tensors), group.from_first(rest)
    return (load(tensors), *_rest.validate_json(rest)) if rest else None
