"""What the dashboard keeps between sessions, and the keys that a person gave other meanings.

Both in the platform's configuration folder: ``dashboard.toml`` is the program's own, written at the end of a session;
``keys.toml`` is the person's and never written. What cannot be read costs the settings, never the session. Read
before the first frame, so checked without a library.
"""

from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_args

import tomli_w

from engine.files import write_text
from engine.text import one_line
from engine.toml_file import read_toml_file
from resnet_tui.view import SMOOTHING, Axis, View


@dataclass(frozen=True)
class Settings:
    """One value, replaced as a whole."""

    theme: str = "textual-dark"
    axis: Axis = "step"
    log: bool = False
    smoothing: float = SMOOTHING[2]
    tab: str = "overview"
    filter: str = ""
    """Of the charts."""
    setup: dict[str, Any] = field(default_factory=dict)
    """The configuration that was last started, as a preset holds it."""

    @property
    def view(self) -> View:
        """The view to begin with."""
        return View(axis=self.axis, log=self.log, smoothing=self.smoothing)

    def with_view(self, view: View) -> "Settings":
        """Return these settings with what of ``view`` outlives a run."""
        return replace(self, axis=view.axis, log=view.log, smoothing=view.smoothing)


def read(path: Path) -> Settings:
    """Return the settings in ``path``; the usual ones where there are none, or others than this program writes."""
    tree, _ = _toml(path)
    return Settings(**tree) if all(_is_right(key, value) for key, value in tree.items()) else Settings()


def read_keys(path: Path) -> tuple[dict[str, str], str]:
    """Return binding's name to keys, such as ``"run.pause" = "space,p"``, and what is wrong with the file."""
    tree, problem = _toml(path)
    keys = tree.pop("keys", {})
    if not problem and tree:
        problem = f"{one_line(next(iter(tree)))}: allowed: one table, [keys]"
    elif not problem and not (isinstance(keys, dict) and all(isinstance(value, str) for value in keys.values())):
        problem = 'keys: allowed: names and keys, such as "run.pause" = "space"'
    return ({}, f"{one_line(str(path))}: {problem}; ignored") if problem else (keys, "")


def write(path: Path, settings: Settings) -> None:
    """Keep ``settings``, atomically.

    Raises:
        OSError: the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, tomli_w.dumps(asdict(settings)))


def _toml(path: Path) -> tuple[dict[str, Any], str]:
    """Return what is in a file, nothing where there is none, and what is wrong with it."""
    try:
        return read_toml_file(path), ""
    except FileNotFoundError:
        return {}, ""
    except (OSError, ValueError) as error:
        return {}, one_line(str(error), 200)


def _is_right(key: str, value: object) -> bool:
    usual = {each.name: getattr(Settings(), each.name) for each in fields(Settings)}
    if key == "axis":
        return value in get_args(Axis)
    if key == "smoothing":
        return isinstance(value, int | float) and 0 <= value < 1
    return key in usual and isinstance(value, type(usual[key]))
