"""Which entry of the form each complaint of the configuration's own rules is about, and how it reads beside it."""

import re
from collections.abc import Collection

_KEY = re.compile(r"\b([a-z]+\.[a-z_]+)\b")
_OF_TABLE = re.compile(r"^\[(\w+)\] (\w+)")
_OF_ENTRY = re.compile(r"^[\w.]+ = .*?: (?=\S)")
_FLAG_ADVICE = re.compile(r"[;:,] [^;:]*--[a-z].*$")
"""What to write on a command line, which is of no use in a form."""


def by_key(message: str, mark: str, changed: Collection[str], keys: Collection[str]) -> dict[str, str]:
    """Return the reason by the key of its entry, of a ``ConfigError``'s text.

    Where a rule is about several entries, the one that was changed last is to blame.

    Args:
        message: one line a problem, each beginning with ``mark`` and a colon.
        mark: what was given to ``build_config`` as the place that everything comes from.
        changed: keys in the order in which they were changed.
        keys: all there are.
    """
    found: dict[str, str] = {}
    for line in message.splitlines():
        text = line.removeprefix(f"{mark}: ")
        found.setdefault(blamed(text, changed, keys), in_a_form(text))
    return found


def blamed(text: str, changed: Collection[str], keys: Collection[str]) -> str:
    """Return the key of the entry that ``text`` is about; empty: it names none."""
    if about := _OF_TABLE.match(text):
        return f"{about[1]}.{about[2]}"
    if text.startswith("name = "):
        return "name"
    named = [key for key in _KEY.findall(text) if key in keys]
    return next((key for key in reversed(list(changed)) if key in named), named[0] if named else "")


def in_a_form(text: str) -> str:
    """Return ``text`` without what the form shows already and without advice for a command line."""
    text = _FLAG_ADVICE.sub("", re.sub(r"^\[\w+\] ", "", text))
    text = _OF_ENTRY.sub("", text)
    return "another value is missing" if text == "Field required" else text
