"""Writing that leaves the old content or the new one, also where files have one name only."""

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.files import append, write_atomic


def write(path: Path, content: bytes, previous: Path) -> None:
    write_atomic(path, lambda file: file.write(content), previous=previous)


def refuse(*_: object, **__: object) -> Any:
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_the_one_before_is_kept_and_nothing_is_lost_where_the_last_rename_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    path, previous = tmp_path / "last", tmp_path / "previous"
    if not links:
        monkeypatch.setattr(Path, "hardlink_to", refuse)
    for content in (b"one", b"two", b"three"):
        write(path, content, previous)
    assert (path.read_bytes(), previous.read_bytes()) == (b"three", b"two")
    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="not permitted"):
        write(path, b"four", previous)
    assert (path.read_bytes(), previous.read_bytes()) == (b"three", b"two")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["last", "previous"], "nothing is left beside them"


def test_without_room_for_a_copy_the_new_one_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, previous = tmp_path / "last", tmp_path / "previous"
    monkeypatch.setattr(Path, "hardlink_to", refuse)
    monkeypatch.setattr("shutil.copyfile", refuse)
    write(path, b"one", previous)
    write(path, b"two", previous)
    assert path.read_bytes() == b"two"
    assert not previous.exists()


class Full(io.FileIO):
    """A file that takes half of what is written, or whose close tells that there was no room."""

    when = "write"
    taken = 0

    def write(self, content: Any, /) -> int:
        if self.when != "write":
            return super().write(content)
        if self.taken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.taken = super().write(bytes(content[:4]))
        return self.taken

    def close(self) -> None:
        was_open = not self.closed
        super().close()
        if was_open and self.when == "close" and self.mode == "ab":
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))


@pytest.mark.parametrize("when", ["write", "close"])
def test_a_line_is_appended_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    path = tmp_path / "log"
    append(path, b"first\n")
    opening: Callable[..., Any] = Path.open
    monkeypatch.setattr(Full, "when", when)
    monkeypatch.setattr(
        Path, "open", lambda path, mode, **rest: Full(path, mode) if mode == "ab" else opening(path, mode, **rest)
    )
    with pytest.raises(OSError, match=r"No space|quota"):
        append(path, b"second\n")
    assert path.read_bytes() == b"first\n"
