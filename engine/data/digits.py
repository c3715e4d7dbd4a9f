"""The embedded default: scikit-learn's 1,797 scans of handwritten digits, 8x8, brought to 3x32x32."""

from collections.abc import Generator
from typing import TYPE_CHECKING

import numpy as np

from engine.data.dataset import Dataset, Samples
from engine.data.entry import Entry
from engine.data.interpolate import enlarge

if TYPE_CHECKING:
    from engine.config import DataConfig
    from engine.events import Progress

SIZE = 32
TEST_FRACTION = 0.2
RANDOM_STATE = 42
"""Fixed, so that every run is tested on the same 360 images whatever its seed."""
TRAIN, TEST = 1437, 360
CLASSES = tuple(str(digit) for digit in range(10))


def entry(config: "DataConfig") -> Entry:  # noqa: ARG001 - one signature for every source
    """Say what is known of it."""
    return Entry("digits", "embedded", (3, SIZE, SIZE), len(CLASSES), TRAIN, TEST, "scikit-learn")


def check(config: "DataConfig") -> tuple[int, int]:  # noqa: ARG001
    """Return the number of training images and of classes."""
    return TRAIN, len(CLASSES)


def load(config: "DataConfig", seed: int) -> "Generator[Progress, None, Dataset]":  # noqa: ARG001
    """Return the scans as uint8 (N, 3, 32, 32), enlarged bilinearly; 80/20 stratified."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    yield from ()
    scans = load_digits()
    grey = np.rint(enlarge(scans.images.astype(np.float32), SIZE) * (255 / 16)).astype(np.uint8)
    x = np.repeat(grey[:, None], 3, axis=1)
    x_train, x_test, y_train, y_test = train_test_split(
        x,
        scans.target.astype(np.int64),
        test_size=TEST_FRACTION,
        random_state=RANDOM_STATE,
        stratify=scans.target,
    )
    return Dataset("digits", CLASSES, Samples(x_train, y_train), None, Samples(x_test, y_test))
