"""What an evaluation says of its classes: names that fit, order, and who is taken for whom."""

import heapq
import math
from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

from engine.events import Evaluated
from engine.text import one_line

MOST_PAIRS = 200


class Pair(NamedTuple):
    """Images of one class that were taken for another."""

    images: int
    share: float
    """Of the images of the true class."""
    true: int
    predicted: int


def class_names(classes: Sequence[str], count: int) -> list[str]:
    """Return the names of ``count`` classes, fit for a terminal; a number where there is no name."""
    names = [one_line(name, 80) for name in classes[:count]]
    return names + [str(index + 1) for index in range(len(names), count)]


def fitted(name: str, width: int) -> str:
    """Return ``name`` in exactly ``width`` cells; cut with an ellipsis."""
    if cell_len(name) <= width:
        return name + " " * (width - cell_len(name))
    return set_cell_size(name, width - 1) + "…" if width > 1 else set_cell_size(name, width)


def abbreviated(names: Sequence[str], width: int) -> list[str]:
    """Return the starts of ``names``, or their numbers from 1 where the starts are not all different."""
    short = [set_cell_size(name, width).rstrip() for name in names]
    if len(set(short)) == len(short) and all(short):
        return short
    return [str(index + 1)[-width:] for index in range(len(names))]


def class_order(scores: Evaluated, *, worst_first: bool) -> list[int]:
    """Return the labels in their order, or the lowest accuracy first; classes without images come last."""
    labels = range(len(scores.per_class))
    if not worst_first:
        return list(labels)
    return sorted(labels, key=lambda label: (math.isnan(scores.per_class[label]), scores.per_class[label]))


def confused_pairs(scores: Evaluated) -> list[Pair]:
    """Return the most confused pairs, most images first."""
    pairs = (
        Pair(count, count / total, true, predicted)
        for true, row in enumerate(scores.confusion)
        if (total := sum(row))
        for predicted, count in enumerate(row)
        if count and true != predicted
    )
    return heapq.nlargest(MOST_PAIRS, pairs, key=lambda pair: (pair.images, pair.share, -pair.true, -pair.predicted))
