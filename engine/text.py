"""The one gate for text from outside: names, paths and messages that go to a terminal or a log."""

import contextlib
import io
import unicodedata
from typing import IO

DROPPED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Bidirectional controls can make a name read as another one; category Cf holds them and other invisibles."""


def clean(text: str, limit: int = 4000) -> str:
    """Return ``text`` without control, bidirectional and invisible characters, cut at ``limit``.

    Line feeds stay; every other dropped character becomes U+FFFD so that it is seen that something was there.
    """
    kept = text[:limit]
    if not kept.isprintable():  # mostly it is, which is told far faster
        kept = "".join(
            c if c == "\n" or unicodedata.category(c) not in DROPPED_CATEGORIES else "\ufffd" for c in kept
        )
    return kept + "…" if len(text) > limit else kept


def one_line(text: str, limit: int = 1000) -> str:
    """Return ``text`` cleaned and on one line."""
    return clean(" ".join(text.split()), limit)


def refuse_nothing(stream: IO[str] | None) -> None:
    """Let ``stream`` write a question mark for what its encoding lacks, such as … in ASCII; None: it is closed."""
    if isinstance(stream, io.TextIOWrapper):
        with contextlib.suppress(OSError):  # it writes first what it holds; who writes next hears of that
            stream.reconfigure(errors="replace")
