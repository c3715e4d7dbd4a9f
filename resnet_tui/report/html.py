"""A report as one page that needs nothing else: no network, no script, no other file.

Its policy lets a browser use nothing but the style that is written in it, so that nothing from a run, whatever its
names hold, could be more than text.
"""

from base64 import b64encode
from collections.abc import Iterable, Iterator
from hashlib import sha256
from html import escape
from importlib.metadata import version
from itertools import count
from pathlib import Path

from engine.text import clean
from resnet_tui.charts.plot import Plot
from resnet_tui.report.blocks import Block, Charts, Facts, Grid, Heading, Words
from resnet_tui.report.svg import svg

_STYLE = Path(__file__).with_name("page.css")


def as_html(blocks: Iterable[Block]) -> str:
    """Write ``blocks`` as a page; the first heading is its title."""
    page = list(blocks)
    headings = [block for block in page if isinstance(block, Heading)]
    style = _STYLE.read_text(encoding="utf-8")
    hashed = b64encode(sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{hashed}'; base-uri 'none'; form-action 'none'"
    body = "\n".join(_body(page, [heading for heading in headings if heading.level > 1]))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="referrer" content="no-referrer">\n<title>{_safe(headings[0].text)}</title>\n'
        f"<style>{style}</style>\n</head>\n<body>\n{body}\n"
        f"<footer>Written by resnet-tui {_safe(version('resnet-tui'))}.</footer>\n</body>\n</html>\n"
    )


def _body(page: Iterable[Block], sections: list[Heading]) -> Iterator[str]:
    pictures, places = count(1), count(1)
    yield "<main>"
    for block in page:
        match block:
            case Heading(level=1):
                yield f"<h1>{_safe(block.text)}</h1>"
                if len(sections) > 1:
                    yield "<nav aria-label=\"Sections\"><ul>" + "".join(
                        f'<li><a href="#s{place}">{_safe(section.text)}</a></li>'
                        for place, section in enumerate(sections, 1)
                    ) + "</ul></nav>"  # fmt: skip
            case Heading():
                yield f'<h2 id="s{next(places)}">{_safe(block.text)}</h2>'
            case Words():
                yield f"<p>{_safe(block.text)}</p>"
            case Facts():
                pairs = (f"<dt>{_safe(label)}</dt><dd>{_safe(text)}</dd>" for label, text in block.pairs)
                yield f"<dl>{''.join(pairs)}</dl>"
            case Grid():
                yield _table(block)
            case Charts():
                figures = (_figure(plot, f"p{next(pictures)}") for plot in block.plots)
                yield f'<div class="charts">{"".join(figures)}</div>'
    yield "</main>"


def _figure(plot: Plot, name: str) -> str:
    title = f"{plot.title}, log scale" if plot.log_y else plot.title
    return f"<figure><figcaption>{_safe(title)}</figcaption>{svg(plot, name)}</figure>"


def _table(grid: Grid) -> str:
    numbers = [' class="n"' if column.right else "" for column in grid.columns]
    head = "".join(
        f'<th scope="col"{number}>{_safe(column.title)}</th>' if column.title else "<td></td>"
        for column, number in zip(grid.columns, numbers, strict=True)
    )
    rows = []
    for place, row in enumerate(grid.rows):
        first, *others = (_safe(cell) for cell in row)
        cells = "".join(f"<td{number}>{cell}</td>" for cell, number in zip(others, numbers[1:], strict=True))
        mark = ' class="m"' if place in grid.marked else ""
        rows.append(f'<tr{mark}><th scope="row"{numbers[0]}>{first}</th>{cells}</tr>')
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{_safe(grid.caption)}"><table>'
        f"<caption>{_safe(grid.caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _safe(text: str) -> str:
    """Return ``text`` from a run so that a page shows it and nothing else."""
    return escape(clean(text))
