"""Write the generated parts of all pages anew, or only say which are out of date.

Usage: python -m docs.reference [--check] [FOLDER]
"""

import argparse
import sys
from pathlib import Path

from docs.reference.pages import renewed, without_keys


def main() -> int:
    """Return 1 where something is out of date and was not to be written, or has no page."""
    parser = argparse.ArgumentParser(prog="python -m docs.reference", description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="Write nothing; exit with 1 if a page is out of date.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parents[1], help="The pages' folder.")
    arguments = parser.parse_args()
    if not arguments.folder.is_dir():
        parser.error(f"{arguments.folder}: no such folder; leave it out for the project's own pages")
    pages = {path: path.read_text(encoding="utf-8") for path in sorted(arguments.folder.rglob("*.md"))}
    status = 0
    for path, page in pages.items():
        if (new := renewed(page)) == page:
            continue
        name = path.relative_to(arguments.folder)
        if arguments.check:
            status = 1
            print(f"{name}: out of date: {_first_difference(page, new)}; write it anew with: make docs")
        else:
            path.write_text(new, encoding="utf-8")
            print(f"{name}: written")
    if missing := without_keys(pages.values()):
        status = 1
        print(f"no page lists the keys of: {', '.join(sorted(missing))}")
    return status


def _first_difference(page: str, new: str) -> str:
    was, now = page.splitlines(), new.splitlines()
    at = next(
        (i for i, (old, fresh) in enumerate(zip(was, now, strict=False)) if old != fresh), min(len(was), len(now))
    )
    fresh = now[at] if at < len(now) else "nothing"
    return f"line {at + 1} would be {fresh[:100]!r}"


if __name__ == "__main__":
    sys.exit(main())
