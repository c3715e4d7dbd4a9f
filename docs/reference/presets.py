"""Every shipped preset: source, network, size, recipe and published figure, from its file and the shape table."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from docs.reference.markdown import code, table
from engine import presets, words
from engine.config import ModelConfig, RunConfig, as_flags
from engine.config_file import Tree, build_config
from engine.data.facts import ASSUMED_CLASSES, facts
from engine.literature import published_on
from engine.shapes.trace import shape_table

_COLUMNS = ("preset", "network", "parameters:", "MACs:", "data", "epochs:", "published test accuracy")


@dataclass(frozen=True)
class _Preset:
    name: str
    tree: Tree
    """What its file says."""
    config: RunConfig
    params: int
    macs: int

    @property
    def published(self) -> str:
        found = published_on(self.config.model, self.config.data.dataset)
        return f"{words.percent(found.accuracy)} ({found.source})" if found else ""


@cache
def _all() -> tuple[_Preset, ...]:
    return tuple(_read())


def _read() -> Iterator[_Preset]:
    for name in presets.shipped_names():
        tree, file = presets.load(name)
        config = build_config(tree, {}, file)
        data = facts(config.data)
        params, macs = _size(config.model, data.shape, data.classes or ASSUMED_CLASSES)
        yield _Preset(name, tree, config, params, macs)


@cache
def _size(model: ModelConfig, shape: tuple[int, ...], classes: int) -> tuple[int, int]:
    built = shape_table(model, shape, classes)
    return built.params, built.macs


def overview() -> str:
    """Return all presets as a table."""
    rows = [
        (f"[`{one.name}`](#{one.name})", one.config.model.title, f"{one.params:,}", words.count(one.macs),
         one.config.data.dataset, str(one.config.train.epochs), one.published)
        for one in _all()
    ]  # fmt: skip
    return table(_COLUMNS, rows)


def groups() -> str:
    """Return the groups of presets that belong together."""
    found = [group for name in presets.group_names() if (group := presets.group(name)) is not None]
    return "\n".join(
        f"- `{group.name}`: {' '.join(group.description.split())} ({', '.join(map(code, group.presets))})"
        for group in found
    )


def each() -> str:
    """Return a section a preset."""
    return "\n\n".join(map(_section, _all()))


def _section(one: _Preset) -> str:
    about = " ".join(presets.description(presets.locate(one.name)).split())
    model = one.config.model
    size = f"{one.params:,} parameters, {one.macs:,} MACs a sample"
    facts = [
        ("network", f"{model.title}: {size} ({code(as_flags(model))})"),
        ("published", one.published),
        *((section, ", ".join(f"{code(key)} {_value(value)}" for key, value in given.items()))
          for section, given in one.tree.items() if isinstance(given, dict) and section != "model"),
    ]  # fmt: skip
    listed = "\n".join(f"- {label}: {text}" for label, text in facts if text)
    return f"## {one.name}\n\n{about}\n\n{listed}"


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
