"""Pages of which parts are generated: between two comments, the first of which says what and from what."""

import re
from collections.abc import Callable, Iterable

from docs.reference import events, presets, settings
from docs.reference.keys import keys, owners

_PART = re.compile(r"(<!-- generated: (?P<what>[^>]+?) -->\n).*?(\n?<!-- end -->)", re.DOTALL)
_MAKERS: dict[str, Callable[..., str]] = {
    "events": events.kinds,
    "order": events.order,
    "keys": keys,
    "presets": presets.overview,
    "groups": presets.groups,
    "each-preset": presets.each,
    "settings": settings.settings,
}


def renewed(page: str) -> str:
    """Return ``page`` with its generated parts as they are now."""
    return _PART.sub(lambda part: f"{part[1]}{_made(part['what'])}\n<!-- end -->", page)


def _made(what: str) -> str:
    maker, *arguments = what.split()
    if maker not in _MAKERS:
        raise SystemExit(f"generated: {what}: no such part; allowed: {', '.join(_MAKERS)}")
    return _MAKERS[maker](*arguments)


def without_keys(pages: Iterable[str]) -> set[str]:
    """Return the classes that bind keys which none of ``pages`` lists."""
    listed = {name for page in pages for part in _PART.finditer(page) for name in part["what"].split()[1:]}
    return owners().keys() - listed
