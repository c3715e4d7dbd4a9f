"""CIFAR-10 and CIFAR-100. Of every file the published MD5 is compared before it is read, of the bytes that are.

Looked for in ``data.dir`` where that is given, else in the cache folder: as unpacked batches, or as the
archive, which is then unpacked. In the cache folder, what is missing is downloaded.
"""

import shutil
import tarfile
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.data.cache import acquire, cache_folder, held, writing
from engine.data.checksum import Digest, check_digest, read_checked
from engine.data.dataset import Dataset, Samples
from engine.data.download import download
from engine.data.entry import Entry
from engine.data.published import SPECS, Place, Spec, download_command, locate
from engine.errors import UserError, WorldError
from engine.events import Progress
from engine.pickles import read_batch
from engine.text import one_line

if TYPE_CHECKING:
    from engine.config import DataConfig

SHAPE = (3, 32, 32)
_MOST_BYTES = 256 << 20
"""Of a batch file; the largest has 155 million."""


def entry(config: "DataConfig") -> Entry:
    """Say where it is, and whether it is whole. Reads names only."""
    spec, folder = SPECS[config.dataset], config.dir
    facts = SHAPE, spec.classes, spec.train, spec.test
    try:
        place = locate(spec, folder)
    except UserError as error:
        return Entry(spec.name, "not usable", *facts, one_line(str(folder or cache_folder())), str(error))
    where = one_line(str(place.archive if place.state == "archive only" else place.root / spec.batches))
    todo = {
        "complete": "",
        "archive only": "nothing: training unpacks it",
        "incomplete": f"remove {where}, then: {download_command(spec, place.root)}",
        "absent": download_command(spec, folder),
    }[place.state]
    return Entry(spec.name, place.state, *facts, where, todo)


def check(config: "DataConfig") -> tuple[int, int]:
    """Return the number of training images and of classes.

    Raises:
        UserError: ``data.dir`` holds neither the batches nor the archive.
    """
    spec = SPECS[config.dataset]
    _find(spec, config.dir)
    return spec.train, spec.classes


def load(config: "DataConfig", seed: int) -> Generator[Progress, None, Dataset]:  # noqa: ARG001 - as every source
    """Return the images as uint8 (N, 3, 32, 32), downloaded where they are absent and no folder was given.

    Raises:
        UserError: as ``check``.
        WorldError: no network, a damaged file, a full disk.
    """
    spec = SPECS[config.dataset]
    _find(spec, config.dir)
    root = yield from make_ready(spec, config.dir)
    return (yield from read(spec, root))


def make_ready(spec: Spec, folder: Path | None) -> Generator[Progress, None, Path]:
    """Download and unpack what is missing; return the folder that holds the folder of batches.

    Raises:
        WorldError: no network, a damaged archive, a full disk.
    """
    place = locate(spec, folder)
    if place.state in {"complete", "incomplete"}:
        return place.root
    with writing(place.root):
        lock = yield from acquire(
            place.root / f".{spec.name}.lock", f"waiting for another process that gets {spec.name}"
        )
        with held(lock):
            place = locate(spec, folder)  # the other process may have finished it
            if place.state == "absent":
                yield from download(spec.archive, place.archive, _without_network(spec, place.archive.parent))
            if place.state in {"absent", "archive only"}:
                yield from _unpack(spec, place)
    return place.root


def read(spec: Spec, root: Path) -> Generator[Progress, None, Dataset]:
    """Read the batches in ``root``.

    Raises:
        WorldError: a file is missing or is not the published one.
    """
    tables = {}
    for name, md5 in spec.files.items():
        yield Progress(activity=f"reading {spec.name}", done=0, total=0)
        path = root / spec.batches / name
        content = read_checked(path, Digest("md5", md5), _MOST_BYTES, _remedy(spec, root))
        tables[name] = read_batch(content, one_line(str(path)))
    try:
        *batches, meta = tables
        names = tables[meta][f"{spec.labels.removesuffix('s')}_names"]
        train, test = (
            _samples([tables[name] for name in batches if ("test" in name) == is_test], spec)
            for is_test in (False, True)
        )
        return Dataset(spec.name, tuple(one_line(name, 100) for name in names), train, None, test)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WorldError(
            f"{one_line(str(root / spec.batches))}: not as published: {one_line(repr(error))}"
        ) from error


def verify_batches(spec: Spec, root: Path) -> Generator[Progress, None, None]:
    """Compare every file of the unpacked batches with its published MD5.

    Raises:
        WorldError: naming the first file that differs or is missing.
    """
    for name, md5 in spec.files.items():
        yield from check_digest(root / spec.batches / name, Digest("md5", md5), _remedy(spec, root))


def _remedy(spec: Spec, root: Path) -> str:
    folder = one_line(str(root / spec.batches))
    return f"remove the folder {folder}; then get it anew with: {download_command(spec, root)}"


def verify_archive(spec: Spec, archive: Path) -> Generator[Progress, None, None]:
    """Compare the archive with its published MD5.

    Raises:
        WorldError: it differs or cannot be read.
    """
    yield from check_digest(
        archive, spec.archive.digest, f"remove it; then get it anew with: {download_command(spec, archive.parent)}"
    )


def _find(spec: Spec, folder: Path | None) -> None:
    """Refuse a folder that was given but does not hold the dataset: it may be a slip of the pen."""
    if folder is None or locate(spec, folder).state != "absent":
        return
    what = (
        "there is no such folder"
        if not folder.expanduser().is_dir()
        else (f"neither the folder {spec.batches} nor the archive {spec.archive_name} is in it")
    )
    raise UserError(
        f"data.dir = {one_line(str(folder))}: {what}; give the folder that holds one of them, or "
        f"download it there with: resnet-tui data download {spec.name} --data-dir FOLDER; without --data-dir it "
        f"is downloaded into {one_line(str(cache_folder()))}"
    )


def _unpack(spec: Spec, place: Place) -> Generator[Progress, None, None]:
    """Check the archive, unpack it beside its target, and rename."""
    yield from verify_archive(spec, place.archive)
    yield Progress(activity=f"unpacking {place.archive.name}", done=0, total=0)
    part = place.root / f".{spec.batches}.part"
    shutil.rmtree(part, ignore_errors=True)
    try:
        _extract(spec, place.archive, part / spec.batches)
        (part / spec.batches).rename(place.root / spec.batches)
    except (tarfile.TarError, EOFError) as error:
        raise WorldError(f"{one_line(str(place.archive))}: cannot be unpacked: {one_line(str(error))}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _extract(spec: Spec, archive: Path, folder: Path) -> None:
    """Copy the files that are read out of the archive, and nothing else: no link, no device, no other path.

    Not ``extractall`` with a filter, which Python has only since 3.11.4.

    Raises:
        tarfile.TarError: one is not there.
    """
    folder.mkdir(parents=True)
    missing = {f"{spec.batches}/{name}": folder / name for name in spec.files}
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() and member.name in missing else None
            if content is not None:
                with content, missing.pop(member.name).open("wb") as file:
                    shutil.copyfileobj(content, file)
    if missing:
        raise tarfile.TarError(f"{', '.join(missing)} not in it")


def _samples(batches: list[dict[Any, Any]], spec: Spec) -> Samples:
    x = np.concatenate([batch["data"] for batch in batches]).reshape(-1, *SHAPE)
    return Samples(x, np.concatenate([np.array(batch[spec.labels], dtype=np.int64) for batch in batches]))


def _without_network(spec: Spec, folder: Path) -> str:
    return (
        "what to do instead: use a copy you have with --data-dir FOLDER; or put the archive from "
        f"{spec.archive.url} into {one_line(str(folder))} by hand; or train on the embedded scans with "
        "--dataset digits"
    )
