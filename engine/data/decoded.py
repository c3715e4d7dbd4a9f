"""The cache of decoded images: a folder a key with ``train.npy`` and ``test.npy``.

Labels are not stored: they follow from the folder's listing, which the key covers. A folder appears under its
name only when it is whole.
"""

import math
import os
import shutil
from collections.abc import Generator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from engine.data.cache import acquire, held, writing
from engine.data.decode import Damage, decode, over_files, refuse
from engine.data.listing import Listing
from engine.data.progress import Pace
from engine.errors import WorldError
from engine.events import Progress
from engine.files import sync_folder
from engine.regular import open_regular

Arrays = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def open_arrays(folder: Path, listing: Listing, image_size: int) -> Arrays | None:
    """Open the training and test images read-only; None where they are missing or not what they must be."""
    train = _open(folder / "train.npy", (len(listing.train.names), 3, image_size, image_size))
    test = _open(folder / "test.npy", (len(listing.test.names), 3, image_size, image_size))
    return None if train is None or test is None else (train, test)


def build(root: Path, key: str, listing: Listing, image_size: int) -> Generator[Progress, None, Arrays]:
    """Decode into ``root/key`` unless it is there already; one process at a time.

    Raises:
        WorldError: images cannot be decoded, or the cache cannot be written.
    """
    with writing(root):
        lock = yield from acquire(root / f"{key}.lock", "waiting for another process that decodes these images")
        with held(lock):
            arrays = open_arrays(root / key, listing, image_size)
            if arrays is None:
                yield from _decode_all(root, key, listing, image_size)
                arrays = open_arrays(root / key, listing, image_size)
    if arrays is None:
        raise WorldError(f"{root / key}: changed while it was written; remove it and run again")
    return arrays


def _decode_all(root: Path, key: str, listing: Listing, image_size: int) -> Generator[Progress, None, None]:
    part = root / f"{key}.part"
    # What a process that was killed left behind; the lock says that none is at work.
    shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(root / key, ignore_errors=True)
    _check_space(root, 3 * image_size**2 * (len(listing.train.names) + len(listing.test.names)))
    part.mkdir()
    try:
        for name, split in (("train", listing.train), ("test", listing.test)):
            paths = [listing.folder / image for image in split.names]
            with (part / f"{name}.npy").open("wb") as file:
                yield from _write_array(file, paths, image_size, f"decoding {name} images")
        part.rename(root / key)
        sync_folder(root)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write_array(
    file: BinaryIO, paths: list[Path], image_size: int, activity: str
) -> Generator[Progress, None, None]:
    """Write a .npy file image by image: through a memory map, a full disk would kill the process."""
    file.write(_header((len(paths), 3, image_size, image_size)))
    damaged: list[Damage] = []
    pace = Pace(activity, len(paths))
    for done, image in enumerate(over_files(partial(decode, size=image_size), paths)):
        if isinstance(image, Damage):
            damaged.append(image)
        elif not damaged:
            file.write(image.tobytes())
        if pace.due():
            yield pace.report(done)
    refuse(damaged)
    yield pace.report(len(paths))
    file.flush()
    os.fsync(file.fileno())


def _check_space(root: Path, needed: int) -> None:
    free = shutil.disk_usage(root).free
    if needed > free:
        raise WorldError(
            f"{root}: the decoded images need {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free; free "
            "some space, lower data.image_size, or choose another cache folder with RESNET_TUI_CACHE"
        )


def _open(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """Map the file where it begins and is as long as what was written; its header is compared, never parsed."""
    header = _header(shape)
    try:
        with open_regular(path) as file:
            if file.read(len(header)) != header or os.fstat(file.fileno()).st_size != len(header) + math.prod(shape):
                return None
            return np.memmap(file, np.uint8, mode="r", offset=len(header), shape=shape)
    except OSError:
        return None


def _header(shape: tuple[int, ...]) -> bytes:
    header = BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return header.getvalue()
