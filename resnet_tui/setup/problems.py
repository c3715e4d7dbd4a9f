"""Which entry of the form each complaint of the configuration's own rules is about, and how it reads beside it."""

import re
from collections.abc import Collection, Iterable, Sequence

from engine.config import DataConfig
from engine.config_file import Problem
from engine.helper_messages import DataFacts

_KEY = re.compile(r"\b([a-z]+\.[a-z_]+)\b")
_OF_ENTRY = re.compile(r"^[\w.]+ = .*?: (?=\S)")
_FLAG_ADVICE = re.compile(r"[;:,] [^;:]*--[a-z].*$")
"""What to write on a command line, which is of no use in a form."""


def by_key(problems: Iterable[Problem], changed: Collection[str]) -> dict[str, str]:
    """Return the first reason of each entry by its key.

    Args:
        problems: what is wrong; where a rule is about several entries, the one that was changed last is to blame.
        changed: keys in the order in which they were changed.
    """
    found: dict[str, str] = {}
    for problem in problems:
        found.setdefault(_newest(problem.keys, changed), in_a_form(problem.text))
    return found


def of_data(config: DataConfig, data: DataFacts, *, on_its_way: bool) -> dict[str, str]:
    """Return what to do about a dataset that is absent, by the key of its entry; ``on_its_way``: it is downloaded."""
    if not data.can_download:
        return {}
    if on_its_way:
        return {"data.dataset": "not complete yet: start when it is downloaded"}
    if config.dir is not None:
        return {"data.dataset": "not in this folder yet: d downloads it there, or give another folder"}
    return {"data.dataset": "not on this machine yet: d downloads it, or give the folder of a copy"}


def blamed(text: str, changed: Collection[str], keys: Collection[str]) -> str:
    """Return the key of the entry that ``text``, which came from another process, names; empty: it names none."""
    return _newest([key for key in _KEY.findall(text) if key in keys], changed)


def _newest(keys: Sequence[str], changed: Collection[str]) -> str:
    return next((key for key in reversed(list(changed)) if key in keys), keys[0] if keys else "")


def in_a_form(text: str) -> str:
    """Return ``text`` without what the form shows already and without advice for a command line."""
    text = _FLAG_ADVICE.sub("", re.sub(r"^\[\w+\] ", "", text))
    text = _OF_ENTRY.sub("", text)
    return "another value is missing" if text == "Field required" else text
