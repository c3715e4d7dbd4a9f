"""What an image folder holds: its classes and the pictures of each split, by name. Imports no torch."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import UserError
from engine.text import one_line

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".ppm", ".pgm", ".tif", ".tiff"})
LAYOUT = "imagefolder needs train/ and test/ (or val/), each with a folder of images for every class"


@dataclass(frozen=True)
class Split:
    """The pictures of one split, in order of class and name."""

    names: tuple[str, ...]
    """Paths relative to the image folder."""
    labels: NDArray[np.int64]
    """(N,)"""


@dataclass(frozen=True)
class Listing:
    """An image folder."""

    folder: Path
    classes: tuple[str, ...]
    """Names of the class folders, sorted; the position is the label."""
    train: Split
    test: Split


def list_images(folder: Path) -> Listing:
    """List ``folder``. Test images are those of ``test/``, or of ``val/`` where there is no ``test/``.

    Hidden files, files with other suffixes and folders inside class folders are passed over.

    Raises:
        UserError: it is missing or cannot be read, has not this layout, a class folder has no images, or the
            test split has a class that train lacks.
    """
    splits = _folders(folder)
    if "train" not in splits:
        raise UserError(f"data.dir = {_shown(folder)}: there is no train/ in it; {LAYOUT}")
    held_out = next((name for name in ("test", "val") if name in splits), None)
    if held_out is None:
        raise UserError(f"data.dir = {_shown(folder)}: there is neither test/ nor val/ in it; {LAYOUT}")
    classes = _folders(folder / "train")
    if len(classes) < 2:
        raise UserError(f"{_shown(folder / 'train')}: {len(classes)} class folders; at least 2 are needed; {LAYOUT}")
    test_classes = _folders(folder / held_out)
    if not test_classes:
        raise UserError(f"{_shown(folder / held_out)}: no class folders; {LAYOUT}")
    if unknown := sorted(set(test_classes) - set(classes)):
        names = ", ".join(repr(one_line(name, 100)) for name in unknown[:5])
        raise UserError(
            f"{_shown(folder / held_out)}: {len(unknown)} classes that train/ lacks: {names}; remove their "
            "folders or add them to train/"
        )
    return Listing(
        folder,
        tuple(classes),
        train=_split(folder, "train", classes, classes),
        test=_split(folder, held_out, test_classes, classes),
    )


def _split(folder: Path, split: str, present: list[str], classes: list[str]) -> Split:
    names: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        if name in present:
            images = _images(folder / split / name)
            names += [f"{split}/{name}/{image}" for image in images]
            labels += [label] * len(images)
    return Split(tuple(names), np.array(labels, dtype=np.int64))


def _images(class_folder: Path) -> list[str]:
    images = _names(class_folder, lambda entry: _suffix(entry.name) in SUFFIXES and entry.is_file())
    if not images:
        raise UserError(
            f"{_shown(class_folder)}: a class folder without images; put images into it "
            f"({', '.join(sorted(s[1:] for s in SUFFIXES))}) or remove it"
        )
    return images


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - a Path a name would take most of the time


def _folders(folder: Path) -> list[str]:
    return _names(folder, os.DirEntry.is_dir)


def _names(folder: Path, wanted: Callable[[os.DirEntry[str]], bool]) -> list[str]:
    """Return the names in ``folder``, sorted, that are ``wanted`` and not hidden."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if not entry.name.startswith(".") and wanted(entry))
    except OSError as error:
        raise UserError(
            f"data.dir: the folder {_shown(folder)} cannot be read: {one_line(error.strerror or str(error))}; give "
            "a readable image folder with --data-dir"
        ) from error


def _shown(path: Path) -> str:
    return one_line(str(path))
