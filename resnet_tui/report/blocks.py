"""What a report is made of, whatever it is written as. Strings are plain text, to be escaped by who writes them."""

from dataclasses import dataclass

from resnet_tui.charts.plot import Plot


@dataclass(frozen=True)
class Heading:
    """Begins a section."""

    text: str
    level: int = 2
    """1: the report; 2: a run, or what several have in common; 3: a part of one."""


@dataclass(frozen=True)
class Words:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Facts:
    """Labels, each with its text."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Column:
    """Of a table."""

    title: str
    right: bool = False
    """Whether it holds numbers, aligned at their end."""


@dataclass(frozen=True)
class Grid:
    """A table; the first column says what each row is."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: frozenset[int] = frozenset()
    """Rows that stand out, such as the best epoch and what is not published but ours."""
    by_run: bool = False
    """Whether every column but the first is a run: where there is no room for all, some stand below the others."""


@dataclass(frozen=True)
class Charts:
    """Pictures, where they can be drawn."""

    plots: tuple[Plot, ...]


Block = Heading | Words | Facts | Grid | Charts
