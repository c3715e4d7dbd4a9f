"""From an image file to an RGB array, defensively, many at a time."""

import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from engine.errors import WorldError
from engine.regular import read_regular
from engine.text import one_line

MAX_FILE_BYTES = 256 << 20
SMALL_FILE_BYTES = 8 << 10
SHOWN = 5

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "PPM", "TIFF")
"""What is opened, whatever a file calls itself: other readers of Pillow, such as EPS, run programs."""
R = TypeVar("R")


@dataclass(frozen=True)
class Damage:
    """An image that cannot be used, and why."""

    path: Path
    reason: str


def refuse(damaged: list[Damage]) -> None:
    """Do nothing for an empty list.

    Raises:
        WorldError: naming the first images of ``damaged`` and how many there are.
    """
    if not damaged:
        return
    lines = [f"{one_line(str(d.path))}: {one_line(d.reason, 300)}" for d in damaged[:SHOWN]]
    if len(damaged) > SHOWN:
        lines.append(f"… and {len(damaged) - SHOWN} more")
    count = "1 image" if len(damaged) == 1 else f"{len(damaged)} images"
    raise WorldError("\n".join([f"{count} cannot be used; repair or remove:", *lines]))


def read_bytes(path: Path) -> bytes | Damage:
    """Return the file's bytes; a file over 256 MiB is refused."""
    try:
        return read_regular(path, MAX_FILE_BYTES)
    except OSError as error:
        return Damage(path, error.strerror or str(error))


def decode(path: Path, size: int) -> NDArray[np.uint8] | Damage:
    """Return the (first) image in ``path`` as uint8 (3, size, size), RGB.

    Resized bilinearly with antialiasing unless it already has that size.
    """
    raw = read_bytes(path)
    if isinstance(raw, Damage):
        return raw
    try:
        with Image.open(BytesIO(raw), formats=FORMATS) as image:
            rgb = _rgb(image)
            if rgb.size != (size, size):
                rgb = rgb.resize((size, size), Image.Resampling.BILINEAR)
            return np.ascontiguousarray(np.asarray(rgb).transpose(2, 0, 1))
    except Exception as error:
        # PIL's own message for an unknown format ends in the address of a buffer.
        unknown = isinstance(error, UnidentifiedImageError)
        return Damage(path, "not an image" if unknown else str(error) or type(error).__name__)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # 16-bit grey: PIL's own conversion clips where it ought to scale.
        levels = np.clip(np.asarray(image).astype(np.int64) >> 8, 0, 255)
        return Image.fromarray(levels.astype(np.uint8)).convert("RGB")
    if "transparency" in image.info:
        image = image.convert("RGBA")
    return image if image.mode == "RGB" else image.convert("RGB")


def over_files(function: Callable[[Path], R], paths: Sequence[Path]) -> Iterator[R]:
    """Yield ``function`` of every file, in order, worked out on all cores with a bounded number under way.

    Small files are worked on in the calling thread: there the interpreter, which threads must take turns to
    use, is most of the work, and turns cost more than they bring (measured: twice the time at 1 kB a file).
    """
    # A picture of more pixels than PIL thinks safe is an error, not a line on stderr. The filter is the
    # process's, as PIL's documentation advises; it concerns this one warning only.
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    workers = os.cpu_count() or 1
    if workers == 1 or _typical_bytes(paths) < SMALL_FILE_BYTES:
        yield from map(function, paths)
        return
    pending: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        for path in paths:
            pending.append(pool.submit(function, path))
            if len(pending) >= 8 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _typical_bytes(paths: Sequence[Path]) -> int:
    """Return the median size of some of the files; one that cannot be read counts as empty."""
    some = paths[:: max(1, len(paths) // 63)]
    return sorted(path.stat().st_size if path.exists() else 0 for path in some)[len(some) // 2]
