"""Every kind of event with its fields, from ``engine/events.py``."""

import json
import re
import types
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from docs.reference.markdown import code, table
from engine import events
from engine.config import RunConfig
from engine.config.base import descriptions

_COLUMNS = ("field", "type", "unit", "where it is missing", "meaning")
_WORDS = {int: "whole number", float: "number", str: "text", bool: "true or false", type(None): "null"}
_UNITS = (
    (r"^time$", "s since 1970"),
    (r"images_per_second$", "images/s"),
    (r"seconds$", "s"),
    (r"bytes|compressed|memory_total", "bytes"),
    (r"percent$", "%"),
    (r"watts$", "W"),
    (r"celsius$", "°C"),
    (r"loss$", "nats"),
    (r"accuracy$|^top5$|^per_class$|^amount$", "fraction"),
    (r"images$|^confusion$", "images"),
    (r"^steps?$|^resumed_at$|^steps_per_epoch$", "steps"),
    (r"epochs?$", "epochs"),
    (r"^params$", "parameters"),
    (r"^weights$|^zeros$", "weights"),
    (r"^macs$", "MACs"),
    (r"^flops$", "FLOPs"),
    (r"^(kernel|stride|padding|receptive_field)$", "pixels"),
)
"""Of numbers, by the name of their field."""


def order() -> str:
    """Return the legal order of a run's events, and what is said of it."""
    _, _, after = (events.__doc__ or "").partition("Legal order of one run::\n\n")
    drawn, _, said = after.partition("\n\n")
    lines = [line.removeprefix("    ") for line in drawn.splitlines()]
    return "\n".join(["```text", *lines, "```", "", _words(said).removesuffix(" Imports no torch.")])


def kinds() -> str:
    """Return a section for what all events have, one for each kind, and one for each value inside them."""
    kept = [*get_args(events.Event)]
    inside = [found for kind in kept for found in _inside(kind)]
    sections = [_section("Every event", events.Header), *(_section(code(_kind(kind)), kind) for kind in kept)]
    sections += [_section(f"Inside: {code(one.__name__)}", one) for one in dict.fromkeys(inside)]
    return "\n\n".join(sections)


def _kind(event: type) -> str:
    (kind,) = get_args(get_type_hints(event)["kind"])
    return str(kind)


def _section(title: str, cls: type) -> str:
    everywhere = set() if cls is events.Header else {field.name for field in fields(events.Header)} | {"kind"}
    hints, said = get_type_hints(cls), _said(cls)
    rows = [
        (code(field.name), _type(hints[field.name]), _unit(field.name, hints[field.name]), _absent(field),
         said.get(field.name, ""))
        for field in fields(cls) if field.name not in everywhere
    ]  # fmt: skip
    if cls is events.Header:
        rows.append((code("kind"), "text", "", "", "Which event it is: one of those below."))
    return f"### {title}\n\n{_words(cls.__doc__)}\n\n{table(_COLUMNS, rows)}"


def _said(cls: type) -> dict[str, str]:
    """Return what stands under each field in the source."""
    said = descriptions(cls)  # it reads the source of any class
    return {name: _words(text) for name, text in said.items()}


def _words(text: str | None) -> str:
    """Return a text of the source in one line, as JSON and Markdown have it."""
    return re.sub(r"\bNone\b", "null", " ".join((text or "").split()).replace("``", "`"))


def _inside(cls: type) -> list[type]:
    found = (part for hint in get_type_hints(cls).values() for part in _parts(hint))
    return [part for part in found if isinstance(part, type) and is_dataclass(part)]


def _parts(hint: Any) -> list[Any]:
    return [hint, *(found for part in get_args(hint) for found in _parts(part))]


def _type(hint: Any) -> str:
    """Write what JSON has there."""
    arguments = get_args(hint)
    if get_origin(hint) in {Union, types.UnionType}:
        return " or ".join(map(_type, arguments))
    if get_origin(hint) is Literal:
        return ", ".join(code(f'"{value}"') for value in arguments)
    if get_origin(hint) is tuple:
        shown = [_type(part) if part is not ... else "…" for part in arguments]
        return f"[{', '.join(shown)}]"
    if hint is RunConfig:
        return "object: [the settings](settings.md)"
    return _WORDS.get(hint) or code(hint.__name__)


def _unit(name: str, hint: Any) -> str:
    numbers = {int, float} & set(_parts(hint))
    return next((unit for pattern, unit in _UNITS if numbers and re.search(pattern, name)), "")


def _absent(field: "Field[Any]") -> str:
    """Return what holds where an older log has no such field; nothing where it must be there."""
    if field.default is MISSING:
        return ""
    return json.dumps(field.default)
