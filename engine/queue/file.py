"""The file of the runs that wait: ``queue.json`` in the runs folder.

It is replaced as a whole, under a lock, so that a reader needs none and a kill at any instant leaves the old queue or
the new. It says what is wanted and which run came of it; how that run stands is in the run's own folder.
"""

import contextlib
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from engine.config import RunConfig
from engine.errors import UserError, WorldError
from engine.files import remove_unfinished, write_text
from engine.queue.hint import hint
from engine.queue.locks import lock
from engine.regular import read_regular
from engine.text import one_line

_FORMAT = 1
MOST_RUNS = 1000
"""In one queue: it is read and written as a whole."""
_MOST_BYTES = 16 << 20


def _folder_name(value: str) -> str:
    if value.startswith(".") or {"/", "\\", ":", "\0"} & set(value):
        raise ValueError("allowed: the name of a folder in the runs folder")
    return value


class Entry(BaseModel):
    """One run that is wanted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: Annotated[int, Field(ge=1)]
    """By which a person names it; no other of this queue ever has it."""
    group: Annotated[str, AfterValidator(one_line), Field(max_length=200)] = ""
    """What it was asked for with."""
    preset: Annotated[str, AfterValidator(one_line)] = ""
    """As a person typed it; empty in queues of before it was kept."""
    case: Annotated[str, AfterValidator(one_line)] = ""
    """What is tried with it in a sweep, such as ``optim.lr=0.01``."""
    config: RunConfig
    run: Annotated[str, AfterValidator(_folder_name), Field(max_length=255)] = ""
    """The run's folder, once it has begun."""
    device: Annotated[str, AfterValidator(one_line), Field(max_length=40)] = ""
    """On which it is being worked at; it counts for as long as that device's lock is held."""
    problem: Annotated[str, AfterValidator(one_line)] = ""
    """Why it could not begin or go on."""

    @property
    def called(self) -> str:
        """The preset as it was typed, with the run's name where that is another."""
        name = self.config.name
        return name if self.preset in {"", name} else f"{self.preset} ({name})"


class _Content(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    next_number: Annotated[int, Field(ge=1)] = 1
    entries: Annotated[tuple[Entry, ...], Field(max_length=MOST_RUNS)] = ()


@dataclass
class Draft:
    """A queue while it is changed: ``entries`` in the order in which they are worked off."""

    entries: list[Entry]
    next_number: int
    runs: Path
    """The folder whose queue it is."""

    def add(self, group: str, config: RunConfig, run: str = "", *, preset: str = "", case: str = "") -> Entry:
        """Put a run at the end.

        Raises:
            UserError: the queue is full.
        """
        if len(self.entries) >= MOST_RUNS:
            room = hint(self.runs, "queue", "clear")
            raise UserError(f"the queue holds {MOST_RUNS:,} runs at most; make room with {room}")
        entry = Entry(number=self.next_number, group=group, preset=preset, case=case, config=config, run=run)
        self.entries.append(entry)
        self.next_number += 1
        return entry

    def find(self, number: int) -> Entry:
        """Return the entry of this number.

        Raises:
            UserError: there is none.
        """
        return find(self.entries, number, self.runs)

    def change(self, number: int, **changes: str | RunConfig) -> Entry:
        """Give fields of the entry of this number other values."""
        place = self._place(number)
        self.entries[place] = self.entries[place].model_copy(update=changes)
        return self.entries[place]

    def remove(self, numbers: Collection[int]) -> None:
        """Take entries out; none where one of ``numbers`` is not there."""
        for number in numbers:
            self._place(number)
        self.entries = [entry for entry in self.entries if entry.number not in numbers]

    def move(self, number: int, position: int) -> None:
        """Let the entry of this number be the one at ``position``, from 1."""
        entry = self.entries.pop(self._place(number))
        self.entries.insert(position - 1, entry)

    def _place(self, number: int) -> int:
        for place, entry in enumerate(self.entries):
            if entry.number == number:
                return place
        raise _not_there(self.entries, number, self.runs)


def find(entries: Sequence[Entry], number: int, runs: Path) -> Entry:
    """Return the one of ``entries``, the queue of ``runs``, that has this number.

    Raises:
        UserError: there is none.
    """
    found = next((entry for entry in entries if entry.number == number), None)
    if found is None:
        raise _not_there(entries, number, runs)
    return found


def _not_there(entries: Sequence[Entry], number: int, runs: Path) -> UserError:
    known = ", ".join(str(entry.number) for entry in entries[:20])
    more = ", …" if len(entries) > 20 else ""
    there = f"there are {known}{more}" if known else "it is empty"
    return UserError(f"number {number} is not in the queue: {there}; {hint(runs, 'queue')} lists what is")


class Queue:
    """The runs that wait in a runs folder."""

    def __init__(self, runs: Path) -> None:
        """Use ``runs``, which need not exist before something is added."""
        self.runs = runs
        self.path = runs / "queue.json"

    def entries(self) -> tuple[Entry, ...]:
        """Return what is in it, in the order in which it is worked off.

        Raises:
            WorldError: the file is damaged, of another version, or cannot be read.
        """
        return self._read().entries

    @contextlib.contextmanager
    def edit(self) -> Iterator[Draft]:
        """Change the queue while nobody else can; nothing is changed where the block raises.

        Raises:
            WorldError: as ``entries``, or it cannot be written, or others keep it locked.
        """
        name = one_line(str(self.path))
        with contextlib.ExitStack() as held:
            try:
                self.runs.mkdir(parents=True, exist_ok=True)
                held.enter_context(lock(self.runs / ".queue.lock", seconds=20))
            except TimeoutError:
                raise WorldError(f"{name}: another process has been changing it for 20 s; try again") from None
            except OSError as error:
                raise WorldError(f"{name}: cannot be written: {one_line(error.strerror or str(error))}") from error
            content = self._read()
            draft = Draft([*content.entries], content.next_number, self.runs)
            yield draft
            after = _Content(next_number=draft.next_number, entries=tuple(draft.entries))
            if after != content:
                self._write(after)

    def change(self, number: int, **changes: str) -> None:
        """Give fields of the entry of this number other values; the rest of the queue stays as it is by then.

        Nothing happens where somebody has taken the entry out.
        """
        with self.edit() as draft:
            if any(entry.number == number for entry in draft.entries):
                draft.change(number, **changes)

    def _read(self) -> _Content:
        try:
            text = read_regular(self.path, _MOST_BYTES)
        except FileNotFoundError:
            return _Content()
        except OSError as error:
            raise WorldError(
                f"{one_line(str(self.path))}: cannot be read: {one_line(error.strerror or str(error))}"
            ) from error
        try:
            return _decode(text)
        except _NewerError as error:
            raise WorldError(
                f"{one_line(str(self.path))}: made by a newer program: {error}. Nothing is wrong with it: update "
                "resnet-tui, or use another folder with --runs-dir"
            ) from error
        except (ValueError, RecursionError) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: ValueError | RecursionError) -> WorldError:
        name = one_line(str(self.path))
        return WorldError(
            f"{name}: damaged: {_words(error)}; it was left as it is, and runs that have begun are safe in their "
            f"folders: {hint(self.runs, 'runs')} lists them. Put it aside (rename it to "
            f"{one_line(self.path.name)}.damaged), and add what waited again"
        )

    def _write(self, content: _Content) -> None:
        try:
            with contextlib.suppress(OSError):  # what a killed process left
                remove_unfinished(self.path)
            write_text(self.path, json.dumps(content.model_dump(mode="json"), indent=1, allow_nan=False) + "\n")
        except OSError as error:
            raise WorldError(
                f"{one_line(str(self.path))}: cannot be written: {one_line(error.strerror or str(error))}; the "
                "queue is as it was"
            ) from error


class _NewerError(Exception):
    """A queue of a version that comes after this program's."""


def _decode(text: bytes) -> _Content:
    """Read a queue.

    Raises:
        _NewerError: a newer program wrote it.
        ValueError, RecursionError: it is none.
    """
    tree: Any = json.loads(text)
    if not isinstance(tree, dict) or "version" not in tree:
        raise ValueError("it is no queue: there is no version in it")
    version = tree["version"]
    if isinstance(version, int) and version > _FORMAT:
        raise _NewerError(f"version {one_line(str(version), 20)}, where this one knows {_FORMAT}")
    if version != _FORMAT:
        raise ValueError(f"version {version!r}, where this program knows {_FORMAT}")
    content = _Content.model_validate(tree)
    numbers = [entry.number for entry in content.entries]
    if len(numbers) != len({*numbers}) or max(numbers, default=0) >= content.next_number:
        raise ValueError("numbers of runs are there twice, or are not below next_number")
    return content


def _words(error: ValueError | RecursionError) -> str:
    match error:
        case json.JSONDecodeError():
            return f"not JSON to its end, at character {error.pos:,}"
        case ValidationError():
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            return one_line(f"{where}: {first['msg']}", 300)
        case RecursionError():
            return "too many tables in each other"
        case _:
            return one_line(str(error), 300)
