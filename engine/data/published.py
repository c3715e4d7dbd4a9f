"""What is published of CIFAR-10 and CIFAR-100, and where a copy lies on this machine. Imports no torch."""

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.data.cache import cache_folder
from engine.data.checksum import Digest
from engine.data.download import Remote
from engine.errors import UserError
from engine.text import one_line

State = Literal["complete", "incomplete", "archive only", "absent"]


@dataclass(frozen=True)
class Spec:
    """What is published, and how it is read."""

    name: str
    archive: Remote
    batches: str
    """The folder in the archive."""
    files: Mapping[str, str]
    """The MD5 of each file in it that is read, in the order in which they are: those of the test split have
    ``test`` in their names, and the last holds the names of the classes."""
    train: int
    test: int
    classes: int
    labels: str
    """Under which name a file has its labels; the names of the classes are under ``<singular>_names``."""

    @property
    def archive_name(self) -> str:
        """File name of the archive."""
        return self.archive.url.rpartition("/")[2]


SPECS = {
    "cifar10": Spec(
        name="cifar10",
        archive=Remote(
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
            Digest("md5", "c58f30108f718f92721af3b95e74349a"),
            200 << 20,
        ),
        batches="cifar-10-batches-py",
        files={
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "40351d587109b95175f43aff81a1287e",
            "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
        },
        train=50_000,
        test=10_000,
        classes=10,
        labels="labels",
    ),
    "cifar100": Spec(
        name="cifar100",
        archive=Remote(
            "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
            Digest("md5", "eb9058c3a382ffc7106e4002c42a8d85"),
            200 << 20,
        ),
        batches="cifar-100-python",
        files={
            "train": "16019d7e3df5f24257cddd939b257f8d",
            "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
            "meta": "7973b15100ade9c7d40fb424638fde48",
        },
        train=50_000,
        test=10_000,
        classes=100,
        labels="fine_labels",
    ),
}


@dataclass(frozen=True)
class Place:
    """Where a dataset is, or would be."""

    state: State
    root: Path
    """The folder that holds, or will hold, the folder of batches."""
    archive: Path
    """The archive, which may not be there."""


def locate(spec: Spec, folder: Path | None) -> Place:
    """Look for ``spec`` in ``folder``, or in the cache folder if None. Looks at names only.

    ``folder`` may hold the folder of batches, be it, or hold the archive. An archive in a folder that cannot
    be written to is unpacked into the cache folder.

    Raises:
        UserError: the folder cannot be read.
    """
    home = folder.expanduser().absolute() if folder is not None else cache_folder()
    try:
        return _look(spec, home)
    except OSError as error:
        reason = one_line(error.strerror or str(error))
        raise UserError(f"data.dir = {one_line(str(home))}: cannot be read: {reason}") from error


def _look(spec: Spec, home: Path) -> Place:
    archive = home / spec.archive_name
    roots = [home]
    if home.name == spec.batches:
        roots.append(home.parent)
    if archive.is_file() and not os.access(home, os.W_OK):
        roots.append(cache_folder())
    for root in roots:
        if (root / spec.batches).is_dir():
            complete = all((root / spec.batches / name).is_file() for name in spec.files)
            return Place("complete" if complete else "incomplete", root, archive)
    return Place("archive only" if archive.is_file() else "absent", roots[-1], archive)


def download_command(spec: Spec, folder: Path | None) -> str:
    """Return the command that downloads ``spec`` into ``folder``, or into the cache folder if None."""
    command = f"resnet-tui data download {spec.name}"
    return command if folder is None else f"{command} --data-dir {shlex.quote(one_line(str(folder)))}"
