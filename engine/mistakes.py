"""``mistakes.json``: the samples that a network gets most confidently wrong, to be looked at. Imports no torch.

Written anew at every evaluation of a run, of the split that chooses its best epoch: val where there is one, else
test.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Base64Bytes, Field, TypeAdapter

from engine.events import Split
from engine.files import write_atomic
from engine.regular import read_regular

MOST = 40
"""How many are kept."""
LARGEST_SIDE = 64
"""Height and width, in pixels, to which larger pictures are reduced."""
_MAX_FILE_BYTES = 4 << 20

_Count = Annotated[int, Field(ge=0, lt=2**63)]
_Label = Annotated[int, Field(ge=0, lt=100_000)]
_Size = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, slots=True)
class Mistake:
    """A sample that was taken for another class."""

    index: _Count
    """In its split, from 0."""
    label: _Label
    """Of its true class."""
    predicted: _Label
    """Label of the class it was taken for."""
    confidence: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    """Softmax of ``predicted``."""
    pixels: Base64Bytes = b""
    """A picture's levels, one byte each, in the order (C, H, W)."""
    values: tuple[Annotated[float, Field(allow_inf_nan=False)], ...] = ()
    """Of a sample that is no picture: its features."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mistakes:
    """The most confidently wrong samples of one evaluation."""

    step: _Count
    """Optimiser steps finished."""
    epoch: _Count
    split: Split
    shape: Annotated[tuple[_Size, ...], Field(min_length=1, max_length=3)]
    """Of a picture as it is kept here, (C, H, W); of a row of features, (F,)."""
    mistakes: Annotated[tuple[Mistake, ...], Field(max_length=MOST)]
    """The most confident first; fewer than ``MOST`` where fewer samples were wrong."""

    def __post_init__(self) -> None:
        """Hold every sample to ``shape``.

        Raises:
            ValueError: one has another size.
        """
        size = math.prod(self.shape)
        is_picture = len(self.shape) == 3
        for mistake in self.mistakes:
            if (len(mistake.pixels), len(mistake.values)) != ((size, 0) if is_picture else (0, size)):
                raise ValueError(f"sample {mistake.index} has not the shape {self.shape}")


_adapter = TypeAdapter(Mistakes)


def write(path: Path, mistakes: Mistakes) -> None:
    """Replace the file at ``path``.

    Raises:
        OSError: it cannot be written; it is then as it was.
    """
    line = _adapter.dump_json(mistakes, exclude_defaults=True)
    write_atomic(path, lambda file: file.write(line))


def read(path: Path) -> Mistakes | None:
    """Return what the file at ``path`` holds, or None where there is none or it is damaged."""
    try:
        return _adapter.validate_json(read_regular(path, _MAX_FILE_BYTES))
    except (OSError, ValueError):
        return None
