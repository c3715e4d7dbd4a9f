"""From TOML files and flags to a ``RunConfig``, and every error of it at once, in words.

Precedence: flags over the preset over the defaults. Imports no torch.
"""

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import tomli_w
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from engine.config import ARCHITECTURES, RunConfig
from engine.config.base import RuleError
from engine.errors import ConfigError
from engine.text import one_line
from engine.toml_file import read_toml_file

Tree = dict[str, Any]
_QUOTES = "'\""
_PLAIN_WORDS = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "text",
    "model_type": "a table of settings",
    "string_pattern_mismatch": "up to 64 letters, digits, dots, dashes and underscores, the first a letter or digit",
}
"""What pydantic would say in its own words, by its error's type."""


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with a configuration."""

    keys: tuple[str, ...]
    """The settings to blame, such as ``optim.lr``: several where a rule is about several."""
    where: str
    """Where the wrong value comes from: flags as they were written, or the name of a file."""
    text: str
    """Key, value, and what is allowed."""

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


def read_toml(path: Path) -> Tree:
    """Read a configuration file.

    Raises:
        ConfigError: it cannot be read, is larger than 64 KiB, or is not TOML (with the line).
    """
    name = one_line(str(path))
    try:
        return read_toml_file(path)
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: not UTF-8 text at byte {error.start}; save it as UTF-8") from error
    except ValueError as error:  # also an integer of thousands of digits
        raise ConfigError(f"{name}: not valid TOML: {one_line(str(error), 200)}") from error


def to_toml(config: RunConfig) -> str:
    """Write ``config`` in full: running the text again gives the same run."""
    return tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))


def parse_assignment(text: str) -> tuple[str, Any]:
    """Split ``section.key=value``; the value is read as TOML, or as a string where it is none.

    Raises:
        ConfigError: there is no ``=`` or no key.
    """
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise ConfigError(f"--set {text!r}: write section.key=value, such as --set optim.lr=0.05")
    try:
        parsed = tomllib.loads(f"value = {value}")
    except (ValueError, RecursionError):
        return key, value.strip()
    return key, parsed["value"] if set(parsed) == {"value"} else value.strip()


def build_config(preset: Tree, flags: Mapping[str, tuple[str, Any]], file: str = "defaults") -> RunConfig:
    """Merge and validate.

    Args:
        preset: what the preset file holds.
        flags: dotted key to (the flag as the person wrote it, value); these win.
        file: the name to give in errors for what comes from the preset.

    Raises:
        ConfigError: with one line a problem: where it comes from, key, value, what is allowed.
    """
    config, problems = check(preset, flags, file)
    if config is None:
        raise ConfigError("\n".join(map(str, problems)))
    return config


def check(
    preset: Tree, flags: Mapping[str, tuple[str, Any]], file: str = "defaults"
) -> tuple[RunConfig | None, list[Problem]]:
    """Merge and validate as ``build_config``; return the configuration, or None and everything that is wrong."""
    tree: Tree = {k: dict(v) if isinstance(v, dict) else v for k, v in preset.items()}
    _forget_options_of_another_arch(tree, flags)
    problems: list[Problem] = []
    for key, (flag, value) in flags.items():
        *sections, last = key.split(".")
        table = tree
        for section in sections:
            inner = table.setdefault(section, {})
            if not isinstance(inner, dict):
                text = f"{key} = {_written(value)}: {section} is a value, not a table"
                problems.append(Problem((key,), one_line(flag), one_line(text)))
                break
            table = inner
        else:
            table[last] = value
    config = None
    try:
        config = RunConfig.model_validate(tree)
    except ValidationError as error:
        sources = {key: flag for key, (flag, _) in flags.items()}
        problems += [_problem(details, sources, file) for details in error.errors()]
    return (None if problems else config), problems


def nearest(word: str, allowed: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the most alike of ``allowed``, or nothing where none is."""

    def likeness(name: str) -> tuple[float, int]:
        pair = (word.lower(), name.lower())
        return difflib.SequenceMatcher(None, *pair).ratio(), len(os.path.commonprefix(pair))  # noqa: RUF071 (of characters)

    best = max(allowed, key=likeness, default=None)
    return f"; did you mean {best!r}?" if best is not None and likeness(best)[0] >= 0.5 else ""


def _forget_options_of_another_arch(tree: Tree, flags: Mapping[str, tuple[str, Any]]) -> None:
    """Let a flag that picks another architecture than the preset's begin with that architecture's own defaults."""
    model = tree.get("model", {})
    if "model.arch" in flags and isinstance(model, dict):
        _, arch = flags["model.arch"]
        if isinstance(arch, str) and arch in ARCHITECTURES and arch != model.get("arch", "resnet"):
            tree["model"] = {}


def _problem(details: ErrorDetails, sources: Mapping[str, str], file: str) -> Problem:
    """Word one validation error: source, key, value, what is allowed."""
    parts = [str(part) for part in details["loc"]]
    if details["type"] == "union_tag_invalid":
        return _unknown_arch(details["input"], sources, file)
    arch = parts.pop(1) if parts[:1] == ["model"] and len(parts) > 1 else ""  # which class of the union it was
    rule = details.get("ctx", {}).get("error")
    keys = rule.keys if isinstance(rule, RuleError) else (".".join(parts[:2]),)
    return Problem(keys, _where(parts, sources, file), _text(details, parts, arch))


def _where(parts: list[str], sources: Mapping[str, str], file: str) -> str:
    key = ".".join(parts)
    source = next((sources[k] for k in (key, ".".join(parts[:2])) if k in sources), None)
    if source is None and len(parts) <= 1:
        # A rule over a whole table: name the flags that touched it.
        touched = [flag for k, flag in sources.items() if not parts or k.startswith(parts[0] + ".")]
        source = ", ".join(dict.fromkeys(touched)) or None
    return one_line(source or file)


def _text(details: ErrorDetails, parts: list[str], arch: str) -> str:
    key, value = ".".join(parts), details["input"]
    message = details["msg"].removeprefix("Value error, ").replace("Input should be", "allowed:")
    if details["type"] in _PLAIN_WORDS:
        message = f"allowed: {_PLAIN_WORDS[details['type']]}"
    if details["type"] == "extra_forbidden":
        allowed = _keys_of(parts[:-1], arch)
        hint = (f" of {arch}" if arch else "") + nearest(parts[-1], allowed)
        return f"{one_line(f'unknown key {key!r}{hint}')} (allowed: {', '.join(allowed)})"
    if details["type"] == "value_error" and len(parts) <= 1:
        return one_line(f"[{key}] {message}" if key else message)
    if details["type"] == "literal_error":
        choices = _choices_of(parts, arch)
        message = f"allowed: {', '.join(choices)}{nearest(_written(value)[:100].strip(_QUOTES), choices)}"
    return one_line(f"{key} = {_written(value)}: {message}")


def _written(value: object) -> str:
    """Write a value of any kind, unless it is too deep or too long for that."""
    try:
        return repr(value)
    except (RecursionError, ValueError):  # tables in tables; a number of thousands of digits
        return "(too large to be shown)"


def _unknown_arch(model: Any, sources: Mapping[str, str], file: str) -> Problem:
    arch = str(model.get("arch"))
    message = f"model.arch = {arch!r}: allowed: {', '.join(ARCHITECTURES)}{nearest(arch, ARCHITECTURES)}"
    return Problem(("model.arch",), one_line(sources.get("model.arch", file)), one_line(message))


def _field(parts: list[str], arch: str) -> Any:
    annotation: Any = RunConfig
    for part in parts:
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            break
        annotation = ARCHITECTURES[arch] if part == "model" and arch else annotation.model_fields[part].annotation
    return annotation


def _keys_of(parts: list[str], arch: str) -> list[str]:
    model = _field(parts, arch)
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _choices_of(parts: list[str], arch: str) -> list[str]:
    return [str(choice) for choice in get_args(_field(parts, arch))]
