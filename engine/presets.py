"""Presets, one TOML file each: those that ship with the project, and a person's own. Imports no torch.

A shipped preset's name means the shipped one everywhere, whatever lies in a person's own folder. Files in
``groups/`` of the shipped ones say which presets belong together.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from engine.config import RunConfig
from engine.config_file import Tree, build_config, nearest, read_toml, to_toml
from engine.errors import ConfigError, WorldError
from engine.files import write_text
from engine.folders import VARIABLE, config_folder
from engine.regular import read_regular
from engine.text import clean, one_line
from engine.toml_file import MOST_BYTES


def folder() -> Path:
    """Return the folder of shipped presets: inside an installed wheel, or beside the package in a checkout."""
    here = Path(__file__).parent
    installed = here / "_presets"
    return installed if installed.is_dir() else here.parent / "presets"


def user_folder() -> Path:
    """Return the folder of a person's own presets; it may not exist yet."""
    return config_folder() / "presets"


def shipped_names() -> list[str]:
    """Return the shipped presets' names in alphabetical order."""
    return sorted(path.stem for path in folder().glob("*.toml"))


def user_names() -> list[str]:
    """Return the names of a person's own presets in alphabetical order."""
    shipped = {name.casefold() for name in shipped_names()}
    found = []
    with contextlib.suppress(OSError):  # a folder that cannot be read holds nothing to use
        found = [path.stem for path in user_folder().glob("*.toml") if path.is_file()]
    return sorted(name for name in found if name.casefold() not in shipped and _is_name(name))


@dataclass(frozen=True)
class Group:
    """Presets that belong together, to be trained one after another and compared."""

    name: str
    description: str
    presets: tuple[str, ...]
    """Their names, in the order in which they are trained."""


def group_names() -> list[str]:
    """Return the names of the groups in alphabetical order."""
    return sorted(path.stem for path in (folder() / "groups").glob("*.toml"))


def group(wanted: str) -> Group | None:
    """Return the group of this name; None where there is none.

    Raises:
        ConfigError: its file is damaged, or names a preset that is not there.
    """
    if wanted not in group_names():
        return None
    path = folder() / "groups" / f"{wanted}.toml"
    members = read_toml(path).get("presets")
    if not isinstance(members, list) or not members or not {*map(str, members)} <= {*shipped_names()}:
        raise ConfigError(f"group {wanted}: presets has to be a list of names of presets")
    return Group(wanted, description(path), tuple(map(str, members)))


def names() -> list[str]:
    """Return the names of all presets in alphabetical order."""
    return sorted([*shipped_names(), *user_names()])


def locate(wanted: str) -> Path:
    """Return the file of a preset given by name, or by a path that ends in ``.toml``.

    Raises:
        ConfigError: there is none, with the nearest name.
    """
    for known, where in ((shipped_names, folder), (user_names, user_folder)):
        if wanted in known():
            return where() / f"{wanted}.toml"
    path = Path(wanted)
    with contextlib.suppress(OSError):  # a name longer than the file system takes
        if path.suffix == ".toml" and path.is_file():
            return path
        if wanted and path.exists():
            what = "a folder" if path.is_dir() else "no file whose name ends in .toml"
            raise ConfigError(
                f"preset {one_line(wanted)!r}: this is {what}; give a .toml file, or a preset's name"
                f"{nearest(wanted, names())}"
            )
    raise ConfigError(
        f"preset {one_line(wanted)!r}: no such preset or file{nearest(wanted, names())} "
        "(resnet-tui presets lists all; or give the path of a .toml file)"
    )


def load(wanted: str) -> tuple[Tree, str]:
    """Return what a preset holds, ``name`` filled in, and the name to give in errors.

    Raises:
        ConfigError: there is none, or it is not TOML.
    """
    path = locate(wanted)
    tree = read_toml(path)
    if path.parent not in (folder(), user_folder()):
        return tree, one_line(str(path))
    tree.setdefault("name", path.stem)
    return tree, f"preset {path.stem}"


def save(name: str, config: RunConfig, comment: str = "", *, replace: bool = False) -> Path:
    """Keep ``config`` as a person's own preset and return its file.

    Args:
        name: what it shall be called, also in its runs' folders.
        config: every setting of it is written.
        comment: what ``description`` shall say of it.
        replace: whether an own preset of that name may be written over.

    Raises:
        ConfigError: the name is invalid, a shipped preset's, or taken and not to be replaced.
        WorldError: the folder cannot be written.
    """
    named = build_config(config.model_dump(), {"name": ("preset", name)})
    if name.casefold() in {shipped.casefold() for shipped in shipped_names()}:
        raise ConfigError(f"preset {name!r} ships with the project and stays as it is; choose another name")
    path = user_folder() / f"{name}.toml"
    lines = [f"# {line}".rstrip() + "\n" for line in clean(comment).splitlines()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not replace:
            raise ConfigError(f"preset {name!r} is there already; choose another name, or replace it")
        write_text(path, "".join(lines) + ("\n" if lines else "") + to_toml(named))
    except OSError as error:
        raise WorldError(
            f"{one_line(str(path))}: cannot be written: {one_line(error.strerror or str(error))}; make room or make "
            f"the folder writable, or choose another with the environment variable {VARIABLE}"
        ) from error
    return path


def description(path: Path) -> str:
    """Return the comment at the top of a preset's file, without its marks."""
    lines = read_regular(path, MOST_BYTES).decode("utf-8", errors="replace").splitlines()
    top = [
        line.lstrip("# ").rstrip()
        for line in lines[: next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))]
    ]
    return "\n".join(top)


def _is_name(name: str) -> bool:
    """Whether a run may be called ``name``: it goes to terminals and into folders' names."""
    try:
        build_config({"name": name}, {})
    except ConfigError:
        return False
    return True
