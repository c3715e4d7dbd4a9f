"""Made images for tests and benchmarks: a smooth random template a class, with noise. Learnable, seeded."""

from collections.abc import Generator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.data.dataset import Dataset, Samples
from engine.data.entry import Entry
from engine.data.interpolate import enlarge
from engine.data.progress import Pace
from engine.errors import UserError
from engine.seeds import derive

if TYPE_CHECKING:
    from engine.config import DataConfig
    from engine.events import Progress

GRID = 4
"""Side of the random grid that is enlarged into a class's template."""
NOISE = 48.0
"""Standard deviation of the noise, in levels of 0 to 255."""
CHUNK = 256


def entry(config: "DataConfig") -> Entry:
    """Say what will be made."""
    shape = (3, config.image_size, config.image_size)
    images = config.synthetic_size, test_size(config)
    return Entry("synthetic", "made", shape, config.synthetic_classes, *images, "made from the seed")


def check(config: "DataConfig") -> tuple[int, int]:
    """Return the number of training images and of classes.

    Raises:
        UserError: a class would have no image, or the images would not fit in memory.
    """
    import psutil

    size, classes = config.synthetic_size, config.synthetic_classes
    if size < classes:
        raise UserError(
            f"data.synthetic_size = {size}: fewer than one image a class; allowed: at least "
            f"data.synthetic_classes = {classes}"
        )
    image_bytes = 3 * config.image_size**2
    most = int(psutil.virtual_memory().available / image_bytes / 2)
    if size + test_size(config) > most:
        raise UserError(
            f"data.synthetic_size = {size}: images of data.image_size = {config.image_size} would take more "
            f"than half of the free memory; allowed here: at most {most * 4 // 5}"
        )
    return size, classes


def test_size(config: "DataConfig") -> int:
    """Return how many test images there are: a quarter of the training images."""
    return config.synthetic_size // 4


def load(config: "DataConfig", seed: int) -> "Generator[Progress, None, Dataset]":
    """Return uint8 (N, 3, image_size, image_size); the same ``seed`` gives the same images."""
    shape = (config.synthetic_classes, 3, GRID, GRID)
    grid = np.random.default_rng(derive(seed, "synthetic", "templates")).uniform(32, 224, shape)
    templates = enlarge(grid.astype(np.float32), config.image_size)
    train = yield from _samples(templates, config.synthetic_size, derive(seed, "synthetic", "train"))
    test = yield from _samples(templates, test_size(config), derive(seed, "synthetic", "test"))
    classes = tuple(f"class {label}" for label in range(config.synthetic_classes))
    return Dataset("synthetic", classes, train, None, test)


def _samples(templates: NDArray[np.float32], count: int, seed: int) -> "Generator[Progress, None, Samples]":
    """Make ``count`` images of templates (K, C, H, W), every class as often as every other or once more."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(count, dtype=np.int64) % len(templates))
    x = np.empty((count, *templates.shape[1:]), dtype=np.uint8)
    pace = Pace("making synthetic images", count)
    for start in range(0, count, CHUNK):
        chunk = templates[y[start : start + CHUNK]]
        noise = rng.standard_normal(chunk.shape, dtype=np.float32) * NOISE
        x[start : start + CHUNK] = np.clip(chunk + noise, 0, 255)
        if pace.due():
            yield pace.report(start + len(chunk))
    return Samples(x, y)
