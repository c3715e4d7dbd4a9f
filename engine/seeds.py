"""A generator of its own for every source of randomness, derived from the run's seed.

A generator is addressed by what it is for, not carried along: shuffling epoch 3 always draws from
``generator(seed, "shuffle", 3)``. So a resumed run needs no saved generator states to be exact, and
no part of the program can disturb the random numbers of another.
"""

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def derive(seed: int, *purpose: str | int) -> int:
    """Return a 63-bit seed for ``purpose``, the same on every machine."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, *purpose: str | int) -> "torch.Generator":
    """Return a CPU generator for ``purpose``."""
    import torch

    return torch.Generator().manual_seed(derive(seed, *purpose))
