"""The presets that ship with the project: one TOML file each. Imports no torch."""

import contextlib
from pathlib import Path

from engine.config_file import Tree, nearest, read_toml
from engine.errors import ConfigError
from engine.text import one_line


def folder() -> Path:
    """Return the folder of presets: inside an installed wheel, or beside the package in a checkout."""
    here = Path(__file__).parent
    installed = here / "_presets"
    return installed if installed.is_dir() else here.parent / "presets"


def names() -> list[str]:
    """Return the presets' names in alphabetical order."""
    return sorted(path.stem for path in folder().glob("*.toml"))


def locate(wanted: str) -> Path:
    """Return the file of a preset given by name, or by a path that ends in ``.toml``.

    Raises:
        ConfigError: there is none, with the nearest name.
    """
    if wanted in names():
        return folder() / f"{wanted}.toml"
    path = Path(wanted)
    with contextlib.suppress(OSError):  # a name longer than the file system takes
        if path.suffix == ".toml" and path.is_file():
            return path
    known = names()
    raise ConfigError(
        f"preset {one_line(wanted)!r}: no such preset or file{nearest(wanted, known)} "
        f"(presets: {', '.join(known)}; or the path of a .toml file)"
    )


def load(wanted: str) -> tuple[Tree, str]:
    """Return what a preset holds, ``name`` filled in, and the name to give in errors.

    Raises:
        ConfigError: there is none, or it is not TOML.
    """
    path = locate(wanted)
    tree = read_toml(path)
    if path.parent == folder():
        tree.setdefault("name", path.stem)
    return tree, f"preset {path.stem}" if path.parent == folder() else one_line(str(path))


def description(path: Path) -> str:
    """Return the comment at the top of a preset's file, without its marks."""
    lines = path.read_text(encoding="utf-8").splitlines()
    top = [
        line.lstrip("# ").rstrip()
        for line in lines[: next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))]
    ]
    return "\n".join(top)
