"""The keys of a screen, from the bindings that they are looked up in."""

import importlib
import inspect
import pkgutil
from functools import cache

from textual.binding import Binding
from textual.dom import DOMNode
from textual.keys import format_key

import resnet_tui
from docs.reference.markdown import code, table

_WRITTEN = {"enter", "escape", "pageup", "pagedown"}
"""Keys that have no sign that everybody reads."""


@cache
def owners() -> dict[str, type[DOMNode]]:
    """Return every class of the dashboard that binds keys, by its name."""
    modules = [found.name for found in pkgutil.walk_packages(resnet_tui.__path__, "resnet_tui.")]
    return {
        name: cls
        for module in modules
        if not module.endswith("__main__")
        for name, cls in inspect.getmembers(importlib.import_module(module), inspect.isclass)
        if issubclass(cls, DOMNode) and cls.__module__ == module and "BINDINGS" in vars(cls)
    }


def keys(*names: str) -> str:
    """Return the keys that the classes of these ``names`` bind, a row for what each does."""
    if gone := {*names} - owners().keys():
        raise SystemExit(f"no class binds keys that is called {', '.join(sorted(gone))}: mend the page that lists it")
    rows: dict[tuple[str, str], list[str]] = {}
    for name in names:
        for binding in Binding.make_bindings(vars(owners()[name])["BINDINGS"]):
            what = binding.tooltip or binding.description
            rows.setdefault((f"{what[:1].upper()}{what[1:]}", binding.id or ""), []).append(_shown(binding))
    return table(
        ("key", "what it does", "name"),
        [(" ".join(dict.fromkeys(map(code, shown))), what, code(name)) for (what, name), shown in rows.items()],
    )


def _shown(binding: Binding) -> str:
    """Write a key as it stands on a keyboard."""
    modifiers, key = binding.parse_key()
    shown = key if key in _WRITTEN else format_key(key)
    return "+".join([*modifiers, shown.upper() if key[:1] == "f" and key[1:].isdecimal() else shown])
