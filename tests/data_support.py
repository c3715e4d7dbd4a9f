"""Small datasets for the data tests, and a way to run a loader to its end."""

import hashlib
import io
import pickle
import tarfile
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from engine.config import DataConfig, RunConfig, TrainConfig
from engine.data.checksum import Digest
from engine.data.dataset import Dataset
from engine.data.download import Remote
from engine.data.published import Spec
from engine.data.sources import load
from engine.events import Progress

T = TypeVar("T")


def finish(work: Generator[Progress, None, T]) -> tuple[T, list[Progress]]:
    """Run ``work`` to its end: what it returns, and the progress it told."""
    told: list[Progress] = []
    while True:
        try:
            told.append(next(work))
        except StopIteration as end:
            return end.value, told


def loaded(seed: int = 1, **data: Any) -> Dataset:
    return finish(load(DataConfig(**data), seed))[0]


def run_config(batch_size: int = 16, seed: int = 1, **data: Any) -> RunConfig:
    train = TrainConfig(batch_size=batch_size, seed=seed, eval_batch_size=50)
    return RunConfig(data=DataConfig(**{"dataset": "synthetic", **data}), train=train)


def picture(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (8, 8)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def image_folder(folder: Path, held_out: str = "test", images: int = 3) -> Path:
    """Classes ant and bee, told apart by colour; ``images`` a class in train, one in ``held_out``."""
    for label, name in enumerate(("ant", "bee")):
        for index in range(images):
            picture(folder / "train" / name / f"{index}.png", (200 * label, 10 * index, 0))
        picture(folder / held_out / name / "0.png", (200 * label, 99, 0))
    return folder


def small_cifar(folder: Path) -> tuple[Spec, Path]:
    """Make an archive in CIFAR-10's format: two training batches of 6 images, one test batch of 4.

    Returns what is published about it, and the archive.
    """
    rng = np.random.default_rng(0)

    def batch(count: int) -> bytes:
        data = rng.integers(0, 256, (count, 3072), dtype=np.uint8)
        return pickle.dumps({"data": data, "labels": [i % 2 for i in range(count)]}, protocol=4)

    contents = {
        "data_batch_1": batch(6),
        "data_batch_2": batch(6),
        "test_batch": batch(4),
        "batches.meta": pickle.dumps({"label_names": ["ant", "b\x1bee"]}),
    }
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / "small.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, raw in contents.items():
            info = tarfile.TarInfo(f"small-batches/{name}")
            info.size = len(raw)
            tar.addfile(info, io.BytesIO(raw))
    spec = Spec(
        name="cifar10",
        archive=Remote(
            "http://127.0.0.1:9/small.tar.gz", Digest("md5", hashlib.md5(archive.read_bytes()).hexdigest()), 1 << 20
        ),
        batches="small-batches",
        files={name: hashlib.md5(raw).hexdigest() for name, raw in contents.items()},
        train=12,
        test=4,
        classes=2,
        labels="labels",
    )
    return spec, archive


def served_at(spec: Spec, url: str) -> Spec:
    return replace(spec, archive=replace(spec.archive, url=url))
