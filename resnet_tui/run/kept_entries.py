"""The list of runs as a command prints it, without reading again what was over when it was read last.

What was read of a run is kept in the cache folder, in a file for each folder of runs, and holds for as long as the
run's files have the same sizes and times and nobody holds it. Nothing but the list rests on it, and a cache that is
deleted, damaged, of another version or cannot be written costs time only. Imports no torch.
"""

import contextlib
import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from pydantic import ConfigDict, TypeAdapter

from engine import run_dir
from engine.files import write_atomic
from engine.run_dir import RunDir
from resnet_tui.run.listing import Entry, Stamp, read, stamp_of

_FORMAT = 1
"""Of the file, and of what the list says of a log: with another number everything is read once more."""
_WORTH_KEEPING = 1 << 16
"""Bytes of a log that take longer to read than a person should wait, where there are a thousand of them."""
_MAX_FILE_BYTES = 16 << 20


class _Kept(NamedTuple):
    stamp: Stamp
    entry: Entry


_Cache = dict[str, _Kept]
"""By the run's name."""
_adapter = TypeAdapter(tuple[int, _Cache], config=ConfigDict(ser_json_inf_nan="strings"))


def entries(folder: Path) -> list[Entry]:
    """Return what the list shows of each run in ``folder``, oldest first.

    Raises:
        OSError: the folder is there but cannot be read.
    """
    runs = [(run, stamp_of(run)) for run in run_dir.iterate(folder)]  # the stamp first: what comes then is news
    if not any(_is_worth_keeping(stamp) for _, stamp in runs):
        return [read(run).entry for run, _ in runs]
    file = _file(folder)
    before = _load(file)
    shown = [_Kept(stamp, _entry(run, stamp, before)) for run, stamp in runs]
    after = {kept.entry.name: kept for (run, _), kept in zip(runs, shown, strict=True) if _is_to_keep(run, kept)}
    if after != before:
        with contextlib.suppress(OSError):
            _save(file, after)
    return [kept.entry for kept in shown]


def _entry(run: RunDir, stamp: Stamp, before: _Cache) -> Entry:
    kept = before.get(run.path.name)
    is_known = kept is not None and kept.stamp == stamp and not run.is_alive()
    return kept.entry if kept is not None and is_known else read(run).entry


def _is_to_keep(run: RunDir, kept: _Kept) -> bool:
    """Whether the run is over, was readable, and has a name that stands for itself."""
    over = kept.entry.state in {"completed", "stopped", "failed", "diverged", "lost"}
    return over and _is_worth_keeping(kept.stamp) and kept.entry.name == run.path.name


def _is_worth_keeping(stamp: Stamp) -> bool:
    return stamp.log[0] >= _WORTH_KEEPING


def _file(folder: Path) -> Path:
    from engine.data.cache import cache_folder  # which imports what takes locks

    return cache_folder() / "runs" / f"{hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:16]}.json"


def _load(file: Path) -> _Cache:
    """Return what is kept in ``file``; nothing where there is none or it cannot be used."""
    try:
        with file.open("rb") as opened:
            version, cache = _adapter.validate_json(opened.read(_MAX_FILE_BYTES))
    except (OSError, ValueError):
        return {}
    return cache if version == _FORMAT else {}


def _save(file: Path, cache: _Cache) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    line = _adapter.dump_json((_FORMAT, cache))
    write_atomic(file, lambda opened: opened.write(line))
