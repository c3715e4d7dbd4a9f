"""Every key has a name by which a person can give it another, and no tab takes a key of the run screen."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import pytest
from textual.binding import Binding
from textual.dom import DOMNode

from resnet_tui.screens.run import RunScreen

PACKAGE = Path(__file__).parents[2] / "resnet_tui"


def owners() -> list[type[DOMNode]]:
    """Return every class of the dashboard that binds keys."""
    found: dict[str, type[DOMNode]] = {}
    for path in PACKAGE.rglob("*.py"):
        if path.stem.startswith("__"):
            continue
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for _, cls in inspect.getmembers(importlib.import_module(name), inspect.isclass):
            if issubclass(cls, DOMNode) and cls.__module__.startswith("resnet_tui") and "BINDINGS" in vars(cls):
                found[f"{cls.__module__}.{cls.__name__}"] = cls
    return [cls for _, cls in sorted(found.items())]


OWNERS = owners()


def bindings(cls: type[DOMNode]) -> list[Binding]:
    """Return what ``cls`` itself binds."""
    made = [binding if isinstance(binding, Binding) else Binding(*binding) for binding in vars(cls)["BINDINGS"]]
    return [one for binding in made for one in Binding.make_bindings([binding])]


def test_all_owners_were_found() -> None:
    assert len(OWNERS) > 10
    assert RunScreen in OWNERS


@pytest.mark.parametrize("cls", OWNERS, ids=lambda cls: cls.__name__)
def test_every_binding_has_a_name_and_says_what_it_does(cls: type[DOMNode]) -> None:
    for binding in bindings(cls):
        assert binding.id, binding
        assert "." in binding.id
        assert binding.description


def test_a_name_means_one_action() -> None:
    actions: dict[str, set[str]] = {}
    for cls in OWNERS:
        for binding in bindings(cls):
            actions.setdefault(binding.id or "", set()).add(f"{cls.__name__}.{binding.action}")
    assert {name: taken for name, taken in actions.items() if len(taken) > 1} == {}


@pytest.mark.parametrize("cls", [c for c in OWNERS if ".tabs." in c.__module__], ids=lambda cls: cls.__name__)
def test_no_tab_takes_a_key_of_the_run_screen(cls: type[DOMNode]) -> None:
    taken = {binding.key for base in RunScreen.__mro__ if "BINDINGS" in vars(base) and base in OWNERS
             for binding in bindings(base)}  # fmt: skip
    own = {binding.key for binding in bindings(cls)}
    assert own & taken <= {"escape"}  # closes what is open in the tab before it means anything to the screen
