"""Weights to begin with: from runs, checkpoints and other people's files, or downloaded, and put under our names.

Nothing in a file is ever run. ``read`` turns a file into tensors; ``layouts``, with ``foreign`` and ``infer``, tells
by names and shapes whose network they are; ``fit`` holds them against the one that is built here; ``published`` gets
what has a name; and ``source`` finds out which of all this is wanted.
"""

from engine.weights.fit import Weights
from engine.weights.source import load_weights

__all__ = ["Weights", "load_weights"]
