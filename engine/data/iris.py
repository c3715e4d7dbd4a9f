"""Fisher's iris data, as the document "ResNet explained and problems" prepares it: 4 features, 3 classes."""

from collections.abc import Generator
from typing import TYPE_CHECKING

import numpy as np

from engine.data.dataset import Dataset, Samples
from engine.data.entry import Entry

if TYPE_CHECKING:
    from engine.config import DataConfig
    from engine.events import Progress

TRAIN, TEST = 120, 30
CLASSES = ("setosa", "versicolor", "virginica")


def entry(config: "DataConfig") -> Entry:  # noqa: ARG001 - one signature for every source
    """Say what is known of it."""
    return Entry("iris", "embedded", (4,), len(CLASSES), TRAIN, TEST, "scikit-learn")


def check(config: "DataConfig") -> tuple[int, int]:  # noqa: ARG001
    """Return the number of training rows and of classes."""
    return TRAIN, len(CLASSES)


def load(config: "DataConfig", seed: int) -> "Generator[Progress, None, Dataset]":  # noqa: ARG001
    """Return the features as float32 (N, 4), standardised over all 150 rows before the 80/20 split.

    As in the document, the scaler sees the test rows too, and the split is not stratified.
    """
    from sklearn.datasets import load_iris
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    yield from ()
    iris = load_iris()
    x = StandardScaler().fit_transform(iris.data)
    x_train, x_test, y_train, y_test = train_test_split(x, iris.target, test_size=0.2, random_state=42)
    return Dataset("iris", CLASSES, _samples(x_train, y_train), None, _samples(x_test, y_test))


def _samples(x: np.ndarray, y: np.ndarray) -> Samples:
    return Samples(x.astype(np.float32), y.astype(np.int64))
