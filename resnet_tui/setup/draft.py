"""The configuration that is being edited: a preset, and what a person changed in it.

The only rules are those of ``engine.config_file.build_config``, which flags of a command go through as well.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, get_origin

from pydantic_core import PydanticUndefined

from engine import presets
from engine.config import ARCHITECTURES, RunConfig
from engine.config_file import Tree, build_config, check
from engine.new_run import as_new, name_of
from resnet_tui.setup.depths import nearest_depth
from resnet_tui.setup.fields import FIELDS, info
from resnet_tui.setup.problems import by_key

LAST_USED = "last used"
_KEPT = ("train.device", "data.dir")
"""What belongs to the machine rather than to a preset."""


class Draft:
    """Holds the settings as typed; says which are wrong and what the others are."""

    def __init__(self, origin: str, tree: Tree, changes: Mapping[str, Any] | None = None) -> None:
        """Begin with a preset.

        Args:
            origin: its name.
            tree: what it holds.
            changes: dotted keys to what a person wants instead.

        Raises:
            ConfigError: the preset itself is not valid.
        """
        self.origin = origin
        self._tree = tree
        self._base = build_config(tree, {}, origin)
        self._changes = dict(changes or {})
        self.config: RunConfig | None = None
        """None: something is wrong."""
        self.problems: dict[str, str] = {}
        """Why, by the key of the entry to blame."""
        self.shown = self._base
        """What is valid of it: settings that are wrong are the preset's."""
        for key in list(self._changes):
            self._forget_if_same(key)
        self._check()

    @classmethod
    def from_preset(cls, name: str, changes: Mapping[str, Any] | None = None) -> Self:
        """Begin with the preset ``name``.

        Raises:
            ConfigError: there is none, or it is not valid.
        """
        return cls(name, presets.load(name)[0], changes)

    @classmethod
    def from_config(cls, config: RunConfig) -> Self:
        """Begin with a whole configuration, such as that of the last run."""
        tree = config.model_dump(exclude_none=True)
        network = {key: tree["model"][key] for key in ("arch", "depth") if key in tree["model"]}
        usual = type(config.model).model_validate(network).model_dump()
        # What follows from the depth shall follow it, also when that is changed.
        tree["model"] = network | {key: value for key, value in tree["model"].items() if value != usual[key]}
        return cls(LAST_USED, tree)

    @property
    def changed(self) -> tuple[str, ...]:
        """Keys that say something else than the preset, in the order in which they were changed."""
        return tuple(self._changes)

    @property
    def name(self) -> str:
        """What the run is going to be called."""
        return name_of(self.shown, self._changes)

    def value(self, key: str) -> Any:
        """Return a setting, as typed where it was; None for an option that the architecture has not."""
        if key in self._changes:
            return self._changes[key]
        return self.name if key == "name" else _get(self.shown, key)

    def text(self, key: str) -> str:
        """Return a setting as it stands in the form."""
        return as_text(self.value(key))

    def typed(self, key: str, text: str) -> None:
        """Take what was typed."""
        found = info(key, str(self.value("model.arch")))
        if found is not None and get_origin(found.annotation) is tuple:
            self.set(key, tuple(part.strip() for part in text.split(",")))
        elif key == "data.dir":
            self.set(key, text.strip() or None)
        else:
            self.set(key, text.strip())

    def set(self, key: str, value: Any) -> None:
        """Change a setting; those that cannot stay as they are follow it."""
        self._change(key, value)
        self._follow_pair(key)
        if key.startswith("model.") and key != "model.depth":
            self._follow_depth()
        self._follow_hidden()
        self._forget_if_same(key)
        self._check()

    def replaced(self, origin: str, tree: Tree) -> "Draft":
        """Return a draft that begins with another preset; only device and folder stay.

        Raises:
            ConfigError: the preset is not valid.
        """
        kept = {key: self.value(key) for key in _KEPT if key in self._changes or self.value(key) != _default(key, "")}
        return Draft(origin, tree, kept)

    def reset(self) -> "Draft":
        """Return the preset as it is."""
        return Draft(self.origin, self._tree)

    def with_depth(self, depth: int) -> RunConfig | None:
        """Return the run at another depth; None where there is no such network."""
        return self._built({**self._changes, "model.depth": depth})[0]

    def result(self, runs: Path) -> RunConfig:
        """Return the run as a command with the same preset and flags would train it; only where it is valid."""
        assert self.config is not None
        return as_new(self.config, self._changes, runs)

    # ------------------------------------------------------------------------------------------------------------

    def _change(self, key: str, value: Any) -> None:
        if key == "model.arch" and value != self.value(key):
            self._changes = {k: v for k, v in self._changes.items() if not k.startswith("model.")}
        self._changes.pop(key, None)  # the newest is last
        self._changes[key] = value

    def _follow_pair(self, key: str) -> None:
        """Let dataset and architecture agree: one network is for rows of features, and one dataset has them."""
        features, rows = self.value("model.arch") == "residual-mlp", self.value("data.dataset") == "iris"
        if features == rows:
            return
        if key == "data.dataset":
            self._change("model.arch", "residual-mlp" if rows else "resnet")
            self._forget_if_same("model.arch")
        elif key == "model.arch":
            self._change("data.dataset", "iris" if features else "digits")
            self._forget_if_same("data.dataset")

    def _follow_depth(self) -> None:
        """Take the nearest depth that the rest of the network allows."""
        if "model.depth" in self._built(self._changes)[1]:
            # As it was last valid: what is typed right now may not be a number.
            depth = nearest_depth(lambda depth: self.with_depth(depth) is not None, _get(self.shown, "model.depth"))
            if depth is not None:
                self._change("model.depth", depth)

    def _follow_hidden(self) -> None:
        """Take back settings that have no meaning any more and are in the way."""
        for key in self._built(self._changes)[1]:
            field = FIELDS.get(key)
            if field is not None and not field.shown(self.value):
                self._change(key, _default(key, str(self.value("model.arch"))))

    def _forget_if_same(self, key: str) -> None:
        """Drop a change that says what the preset says without it."""
        without = {k: v for k, v in self._changes.items() if k != key}
        wanted, found = self._built(self._changes)[0], self._built(without)[0]
        if wanted is not None and found is not None and _get(wanted, key) == _get(found, key):
            if key == "name" and name_of(found, without) != wanted.name:
                return
            self._changes = without

    def _check(self) -> None:
        self.config, self.problems = self._built(self._changes)
        config, found, good = self.config, self.problems, dict(self._changes)
        while config is None and (bad := [key for key in found if key in good]):
            for key in bad:
                del good[key]
            config, found = self._built(good)
        self.shown = config or self.shown

    def _built(self, changes: Mapping[str, Any]) -> tuple[RunConfig | None, dict[str, str]]:
        config, found = check(self._tree, {key: ("", value) for key, value in changes.items()})
        return config, by_key(found, changes)


def as_text(value: Any) -> str:
    """Write a setting as it stands in the form."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ", ".join(map(as_text, value))
    if isinstance(value, float):
        return f"{value:.10g}"
    return "" if value is None else str(value)


def _get(config: RunConfig, key: str) -> Any:
    found: Any = config
    for part in key.split("."):
        found = getattr(found, part, None)
    return found


def _default(key: str, arch: str) -> Any:
    found = info(key, arch if arch in ARCHITECTURES else "resnet")
    return None if found is None or found.default is PydanticUndefined else found.default
