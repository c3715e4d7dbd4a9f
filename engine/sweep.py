"""Settings to be tried: a grid of values, or a list of cases. Imports no torch."""

import itertools
import shlex
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engine.config import ARCHITECTURES, RunConfig
from engine.config_file import parse_assignment
from engine.errors import ConfigError, UserError
from engine.estimate import Estimate
from engine.queue.file import MOST_RUNS
from engine.queue.standing import Standing
from engine.regular import read_regular
from engine.reproduction import Seeds
from engine.text import one_line

_MOST_BYTES = 1 << 20
_HANDLED: dict[str, str] = {
    "train.seed": "seeds are counted from 1: --seeds N",
    "train.device": "runs of a sweep take turns on one device: --device",
    "data.val_size": "cases are compared on one split: --set data.val_size=N holds for all",
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

    @property
    def text(self) -> str:
        """The value, fit for a terminal."""
        return str(self.value).lower() if isinstance(self.value, bool) else one_line(str(self.value))


Case = tuple[Setting, ...]
Chosen = Literal["validation", "test"]


def words(case: Case) -> str:
    """Write a case, such as ``optim.lr=0.1 train.batch_size=64``."""
    return " ".join(f"{one_line(setting.key)}={setting.text}" for setting in case)


@dataclass(frozen=True)
class Result:
    """A case and what its seeds reached."""

    case: Case
    seeds: Seeds
    choosing: Estimate | None
    """The mean accuracy of the best epoch by which the cases are put in order; None: no seed is done."""


def chosen_by(found: Sequence[Result]) -> Chosen | None:
    """Return the split that the order is by: validation where every run that is done has one; None: none is done."""
    return _chosen_by([result.seeds for result in found])


def _chosen_by(found: Sequence[Seeds]) -> Chosen | None:
    done = [figures for seeds in found for figures in seeds.figures if figures is not None]
    if not done:
        return None
    return "validation" if all(figures.validation is not None for figures in done) else "test"


def results(cases: Sequence[Case], standings: Sequence[Standing]) -> list[Result]:
    """Return what each case reached, the best first, those without figures last.

    Args:
        cases: what was tried.
        standings: the runs, in the order of the cases, as many seeds of each.
    """
    seeds = len(standings) // len(cases)
    tried = [Seeds(tuple(standings[place * seeds : (place + 1) * seeds])) for place in range(len(cases))]
    by_validation = _chosen_by(tried) == "validation"
    found = [
        Result(case, of_case, of_case.validation if by_validation else of_case.best)
        for case, of_case in zip(cases, tried, strict=True)
    ]
    return sorted(found, key=lambda one: one.choosing.mean if one.choosing is not None else -1.0, reverse=True)


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
        if "." not in key and (meant := _in_sections(key)):
            raise UserError(f"{flag}: unknown key {key!r}; did you mean {' or '.join(meant)}?")
        if key in keys[:place]:
            raise UserError(f"{flag}: {one_line(key)} is there twice; give each setting once")


def _in_sections(key: str) -> list[str]:
    """Return the settings of this name, such as ``optim.lr`` of ``lr``; none where it is a section itself."""
    if key in RunConfig.model_fields:
        return []
    sections = {name: [field.annotation] for name, field in RunConfig.model_fields.items()}
    sections["model"] = list(ARCHITECTURES.values())
    return [
        f"{name}.{key}"
        for name, kinds in sections.items()
        if any(key in getattr(kind, "model_fields", {}) for kind in kinds)
    ]
