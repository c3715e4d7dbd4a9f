"""Every setting: type, default, what is allowed, what it means, from ``engine/config/``."""

import json
import re
from typing import Any

from docs.reference.markdown import code, table
from engine.config import ARCHITECTURES, RunConfig
from engine.config.base import Part, descriptions
from engine.config_file import build_config
from engine.errors import ConfigError
from resnet_tui.setup.fields import FIELDS

_COLUMNS = ("setting", "in set-up", "type", "default", "allowed", "meaning")
_HUGE = 2**62
_LIMITS = (
    ("minimum", "from {:,}"),
    ("exclusiveMinimum", "above {:,}"),
    ("maximum", "to {:,}"),
    ("exclusiveMaximum", "below {:,}"),
)
_KINDS = {"integer": "whole number", "number": "number", "boolean": "true or false", "string": "text"}
_NONSENSE: dict[str, Any] = {"text": "?", "list": [2.0]}
"""What a setting without limits of its own may refuse, with a message that says what it takes."""


def settings() -> str:
    """Return a section for each table of a configuration; for the network, one an architecture."""
    sections = [_section("The run", "", RunConfig, only=("name",))]
    for section, field in RunConfig.model_fields.items():
        if section == "model":
            sections += [_section(f'`[model]` with `arch = "{arch}"`', "model", part, arch=arch)
                         for arch, part in ARCHITECTURES.items()]  # fmt: skip
        elif isinstance(field.annotation, type) and issubclass(field.annotation, Part):
            sections.append(_section(f"`[{section}]`", section, field.annotation))
    return "\n\n".join(sections)


def _section(title: str, section: str, part: type[Part], *, arch: str = "", only: tuple[str, ...] = ()) -> str:
    said, schema = descriptions(part), part.model_json_schema()
    rows = []
    for name in only or [name for name in part.model_fields if name != "arch"]:
        key = f"{section}.{name}" if section else name
        label = FIELDS[key].label if key in FIELDS else ""
        found = schema["properties"][name]
        shape = found | next((one for one in found.get("anyOf", ()) if one.get("type") != "null"), {})
        allowed = _allowed(shape) or _refusal(section, name, arch, shape)
        rows.append((code(key), label, _kind(shape), code(_default(found)), allowed, said.get(name, "")))
    about = " ".join((part.__doc__ or "").split())
    return f"## {title}\n\n{about}\n\n{table(_COLUMNS, rows)}"


def _kind(schema: dict[str, Any]) -> str:
    if "enum" in schema or "const" in schema:
        return "choice"
    if schema["type"] == "array":
        return "list"
    return "path" if schema.get("format") == "path" else _KINDS[schema["type"]]


def _default(schema: dict[str, Any]) -> str:
    value = schema.get("default")
    return "none" if value is None else json.dumps(value, ensure_ascii=False)


def _allowed(schema: dict[str, Any]) -> str:
    """Return choices or limits in words; nothing where it has none."""
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    words = " ".join(text.format(schema[limit]) for limit, text in _LIMITS if schema.get(limit, _HUGE) < _HUGE)
    if schema.get("type") != "array":
        return words
    items = schema.get("prefixItems") or [schema["items"]]
    least, most = schema.get("minItems"), schema.get("maxItems")
    each = _allowed(items[0])
    if not each:
        return ""
    if least is None:
        return f"each {each}"
    return f"{least if least == most else f'{least} to {most}'} numbers, each {each}"


def _refusal(section: str, name: str, arch: str, schema: dict[str, Any]) -> str:
    """Return what the program says is allowed, when it is given what it cannot take; nothing where it takes that."""
    nonsense = _NONSENSE.get(_kind(schema))
    if nonsense is None:
        return ""
    given = {name: nonsense}
    tree = {section: given | ({"arch": arch} if arch else {})} if section else given
    try:
        build_config(tree, {})
    except ConfigError as error:
        found = re.search(r"allowed: (.*)", str(error))
        return found[1] if found else ""
    return ""
