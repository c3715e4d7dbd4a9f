"""Pictures in ``train/<class>/`` and ``test/<class>/`` (or ``val/``), decoded once into a cached array.

The array is keyed by content: relative paths, bytes of every file, image size. So that a start need not read
every file again, the key is remembered under a signature of the folder's path and every file's size and
modification time.
"""

import hashlib
import os
import re
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from engine.data import decoded
from engine.data.cache import cache_folder, writing
from engine.data.dataset import Dataset, Samples
from engine.data.decode import Damage, over_files, read_bytes, refuse
from engine.data.entry import Entry
from engine.data.listing import Listing, list_images
from engine.data.progress import Pace
from engine.errors import UserError
from engine.files import write_text
from engine.regular import read_regular
from engine.text import one_line

if TYPE_CHECKING:
    from engine.config import DataConfig
    from engine.events import Progress

FORMAT = "resnet-tui imagefolder 1"
"""Changes with the meaning of the cached arrays, so that older ones are not found."""
_KEY = re.compile(r"[0-9a-f]{32}")


def entry(config: "DataConfig") -> Entry:
    """Say what is in the folder, or what is wrong with it. Reads names only."""
    shape = (3, config.image_size, config.image_size)
    if config.dir is None:
        todo = "give the folder with train/ and test/ (or val/): --data-dir FOLDER"
        return Entry("imagefolder", "absent", shape, None, None, None, "", todo)
    where = one_line(str(_folder(config)))
    try:
        listing = list_images(_folder(config))
    except UserError as error:
        return Entry("imagefolder", "not usable", shape, None, None, None, where, str(error))
    sizes = len(listing.train.names), len(listing.test.names)
    return Entry("imagefolder", "complete", shape, len(listing.classes), *sizes, where)


def check(config: "DataConfig") -> tuple[int, int]:
    """Return the number of training images and of classes.

    Raises:
        UserError: see ``list_images``.
    """
    listing = list_images(_folder(config))
    return len(listing.train.names), len(listing.classes)


def load(config: "DataConfig", seed: int) -> "Generator[Progress, None, Dataset]":  # noqa: ARG001 - as every source
    """Return the images as memory-mapped uint8 (N, 3, image_size, image_size).

    An image of another size is resized to exactly that square, bilinearly with antialiasing; one that already
    has it is kept as it is.

    Raises:
        UserError: see ``list_images``.
        WorldError: an image cannot be read or decoded; the cache cannot be written.
    """
    listing = list_images(_folder(config))
    root = cache_folder() / "imagefolder"
    signature = _signature(listing, config.image_size)
    remembered = root / "signatures" / signature
    key = _read_key(remembered)
    arrays = decoded.open_arrays(root / key, listing, config.image_size) if key else None
    if arrays is None:
        key = yield from _content_key(listing, config.image_size)
        arrays = yield from decoded.build(root, key, listing, config.image_size)
        with writing(remembered.parent):
            remembered.parent.mkdir(parents=True, exist_ok=True)
            write_text(remembered, key)
    train, test = arrays
    return Dataset(
        "imagefolder",
        tuple(one_line(name, 100) for name in listing.classes),
        Samples(train, listing.train.labels),
        None,
        Samples(test, listing.test.labels),
    )


def _folder(config: "DataConfig") -> Path:
    assert config.dir is not None  # RunConfig refuses an imagefolder without one
    return config.dir.expanduser().absolute()


def _signature(listing: Listing, image_size: int) -> str:
    """Return a hash of what can be told without opening a file."""
    hasher = hashlib.blake2b(
        f"{FORMAT}\0{image_size}\0{os.fspath(listing.folder)}".encode(errors="surrogateescape"),
        digest_size=16,
    )
    for name in (*listing.train.names, *listing.test.names):
        try:
            status = (listing.folder / name).stat()
        except OSError as error:
            refuse([Damage(listing.folder / name, error.strerror or str(error))])
        hasher.update(os.fsencode(name) + f"\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return hasher.hexdigest()


def _content_key(listing: Listing, image_size: int) -> "Generator[Progress, None, str]":
    """Return a hash of what the images are: names and bytes."""
    names = (*listing.train.names, *listing.test.names)
    hasher = hashlib.blake2b(f"{FORMAT}\0{image_size}\0".encode(), digest_size=16)
    damaged: list[Damage] = []
    pace = Pace("reading images", len(names))
    paths = [listing.folder / name for name in names]
    for done, (name, digest) in enumerate(zip(names, over_files(_digest, paths), strict=True)):
        if isinstance(digest, Damage):
            damaged.append(digest)
        else:
            hasher.update(os.fsencode(name) + b"\0" + digest)
        if pace.due():
            yield pace.report(done)
    refuse(damaged)
    return hasher.hexdigest()


def _digest(path: Path) -> bytes | Damage:
    raw = read_bytes(path)
    return raw if isinstance(raw, Damage) else hashlib.blake2b(raw, digest_size=16).digest()


def _read_key(path: Path) -> str | None:
    """Return the key remembered at ``path``, unless there is none or it is not one."""
    try:
        text = read_regular(path, 64).decode("ascii", errors="replace")
    except OSError:
        return None
    return text if _KEY.fullmatch(text) else None
