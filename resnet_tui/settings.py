"""What the dashboard keeps between sessions: theme, view, last choices, and keys that a person gave other meanings.

``dashboard.toml`` in the platform's configuration folder. A file that cannot be read costs the settings, never the
session; one with a mistake is left as it is and said. Read before the first frame, so checked without a library.
"""

import tomllib
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_args

import tomli_w

from engine.files import write_text
from engine.text import one_line
from resnet_tui.view import SMOOTHING, Axis, View

_MAX_BYTES = 1 << 20


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
    keys: dict[str, str] = field(default_factory=dict)
    """Binding's name to keys, such as ``"run.pause" = "space,p"``; `?` lists the names."""

    @property
    def view(self) -> View:
        """The view to begin with."""
        return View(axis=self.axis, log=self.log, smoothing=self.smoothing)

    def with_view(self, view: View) -> "Settings":
        """Return these settings with what of ``view`` outlives a run."""
        return replace(self, axis=view.axis, log=view.log, smoothing=view.smoothing)


def read(path: Path) -> tuple[Settings, str]:
    """Return the settings in ``path``, the usual ones where there are none, and what is wrong with it."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            return Settings(), f"{one_line(str(path))}: too large; ignored"
        tree = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return Settings(), ""
    except (OSError, ValueError, RecursionError) as error:
        return Settings(), f"{one_line(str(path))}: {one_line(str(error), 200)}; ignored"
    if problem := next(filter(None, (_problem(key, value) for key, value in tree.items())), ""):
        return Settings(), f"{one_line(str(path))}: {problem}; ignored"
    return Settings(**tree), ""


def write(path: Path, settings: Settings) -> None:
    """Keep ``settings``, atomically.

    Raises:
        OSError: the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, tomli_w.dumps(asdict(settings)))


def _problem(key: str, value: object) -> str:
    """Return what is wrong with one setting and what is allowed; nothing where it is right."""
    usual = {each.name: getattr(Settings(), each.name) for each in fields(Settings)}
    if key not in usual:
        allowed = f"a key among {', '.join(usual)}"
    elif key == "axis":
        allowed = "" if value in get_args(Axis) else ", ".join(get_args(Axis))
    elif key == "smoothing":
        allowed = "" if isinstance(value, int | float) and 0 <= value < 1 else "a number from 0 to below 1"
    elif key == "keys":
        right = isinstance(value, dict) and all(isinstance(keys, str) for keys in value.values())
        allowed = "" if right else 'names and keys, such as "run.pause" = "space"'
    else:
        allowed = "" if isinstance(value, type(usual[key])) else type(usual[key]).__name__
    return f"{one_line(key)} = {one_line(repr(value), 80)}: allowed: {allowed}" if allowed else ""
