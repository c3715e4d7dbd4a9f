"""Settings to be tried: a grid of values, or a list of cases. Imports no torch."""

import itertools
import shlex
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.config_file import parse_assignment
from engine.errors import ConfigError, UserError
from engine.queue.file import MOST_RUNS
from engine.queue.standing import Standing
from engine.regular import read_regular
from engine.reproduction import Seeds
from engine.text import one_line

_MOST_BYTES = 1 << 20
_HANDLED: dict[str, str] = {
    "train.seed": "seeds are counted from 1: --seeds N",
    "train.device": "runs of a sweep take turns on one device: --device",
    "name": "it changes nothing of the training",
}
"""Settings that are no case's to choose, and why."""


@dataclass(frozen=True)
class Setting:
    """One value of a case."""

    key: str
    value: Any
    flag: str
    """How a person gave it."""


Case = tuple[Setting, ...]


@dataclass(frozen=True)
class Result:
    """A case and what its seeds reached."""

    case: Case
    seeds: Seeds


def results(cases: Sequence[Case], standings: Sequence[Standing]) -> list[Result]:
    """Return what each case reached, the best first, those without figures last.

    Args:
        cases: what was tried.
        standings: the runs, in the order of the cases, as many seeds of each.
    """
    seeds = len(standings) // len(cases)
    found = [
        Result(case, Seeds(tuple(standings[place * seeds : (place + 1) * seeds]))) for place, case in enumerate(cases)
    ]

    def merit(result: Result) -> float:
        choosing = result.seeds.choosing
        return choosing.mean if choosing is not None else -1.0

    return sorted(found, key=merit, reverse=True)


def grid(axes: Sequence[str]) -> list[Case]:
    """Return every combination of the values of ``axes``, such as ``optim.lr=0.05,0.1``; the last varies fastest.

    Raises:
        UserError: an axis has no values, one twice, or the same key as another.
    """
    values = [_axis(axis) for axis in axes]
    _check_keys([axis[0].key for axis in values], "--grid")
    size = 1
    for axis in values:
        size *= len(axis)
    check_number(size)
    return [tuple(case) for case in itertools.product(*values)]


def cases(lines: Sequence[str], flag: str = "--case") -> list[Case]:
    """Return a case for each line, such as ``optim.lr=0.1 train.batch_size=64``.

    Raises:
        UserError: a line is empty or not made of ``section.key=value``.
    """
    check_number(len(lines))
    return [_case(line, flag) for line in lines]


def read_cases(path: Path) -> list[Case]:
    """Return the cases of a file: one a line; empty lines and what follows ``#`` at the start of one do not count.

    Raises:
        UserError: it cannot be read, or has no case.
    """
    name = f"--list {one_line(str(path))}"
    try:
        text = read_regular(path, _MOST_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: not UTF-8 text at byte {error.start:,}") from error
    except OSError as error:
        raise UserError(f"{name}: {one_line(error.strerror or str(error))}") from error
    lines = [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]
    if not lines:
        raise UserError(f"{name}: there is no case in it; write one a line, such as optim.lr=0.1 train.batch_size=64")
    return cases(lines, name)


def check_number(runs: int) -> None:
    """Refuse more runs than a queue takes.

    Raises:
        UserError: there are more.
    """
    if runs > MOST_RUNS:
        raise UserError(f"{runs:,} runs: at most {MOST_RUNS:,} in one sweep; give fewer values")


def _axis(text: str) -> list[Setting]:
    flag = f"--grid {one_line(text)}"
    key, equals, listed = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise UserError(f"{flag}: write section.key=value,value, such as --grid optim.lr=0.05,0.1")
    values = _listed(listed)
    if not values or "" in values:
        raise UserError(f"{flag}: a value is missing; write them with commas between, such as {key}=0.05,0.1")
    for place, value in enumerate(values):
        if value in values[:place]:
            raise UserError(f"{flag}: {one_line(str(value))} is there twice; give each value once")
    return [Setting(key, value, f"--grid {one_line(key)}={one_line(str(value))}") for value in values]


def _listed(text: str) -> list[Any]:
    """Read values with commas between: as TOML, or where they are none, as words."""
    try:
        return list(tomllib.loads(f"values = [{text}]")["values"])
    except (ValueError, RecursionError):
        return [parse_assignment(f"value={part}")[1] for part in text.split(",")]


def _case(line: str, flag: str) -> Case:
    given = f"{flag} {one_line(line)!r}"
    try:
        parts = shlex.split(line)
    except ValueError as error:
        raise UserError(f"{given}: {error}") from error
    if not parts:
        raise UserError(f"{given}: nothing is set; write section.key=value, such as optim.lr=0.1")
    settings = []
    for part in parts:
        try:
            key, value = parse_assignment(part)
        except ConfigError:
            raise UserError(f"{given}: {one_line(part)!r} is not section.key=value, such as optim.lr=0.1") from None
        settings.append(Setting(key, value, given))
    _check_keys([setting.key for setting in settings], given)
    return tuple(settings)


def _check_keys(keys: Sequence[str], flag: str) -> None:
    for place, key in enumerate(keys):
        if key in _HANDLED:
            raise UserError(f"{flag}: {key} cannot be varied: {_HANDLED[key]}")
        if key in keys[:place]:
            raise UserError(f"{flag}: {one_line(key)} is there twice; give each setting once")
