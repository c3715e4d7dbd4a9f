"""The table with a line an epoch: which columns fit, and how a row is written."""

from collections.abc import Callable
from dataclasses import dataclass

from engine import words
from engine.epochs import EpochRow


@dataclass(frozen=True)
class Column:
    """One column, right-aligned."""

    title: str
    width: int
    cell: Callable[[EpochRow], str]


_EPOCH = Column("epoch", 5, lambda row: str(row.epoch))
_TRAIN_LOSS = Column("train loss", 10, lambda row: words.loss(row.train_loss))
_VAL_LOSS = Column("val loss", 8, lambda row: words.loss(row.val_loss))
_TEST_LOSS = Column("test loss", 9, lambda row: words.loss(row.test_loss))
_TRAIN_ACCURACY = Column("train acc", 9, lambda row: words.percent(row.train_accuracy))
_VAL_ACCURACY = Column("val acc", 8, lambda row: words.percent(row.val_accuracy))
_TEST_ACCURACY = Column("test acc", 8, lambda row: words.percent(row.test_accuracy))
_RATE = Column("lr", 7, lambda row: words.learning_rate(row.lr))
_SPEED = Column("images/s", 8, lambda row: words.speed(row.images_per_second))
_TIME = Column("time", 7, lambda row: words.duration(row.seconds))

_ALL = (
    _EPOCH,
    _TRAIN_LOSS,
    _VAL_LOSS,
    _TEST_LOSS,
    _TRAIN_ACCURACY,
    _VAL_ACCURACY,
    _TEST_ACCURACY,
    _RATE,
    _SPEED,
    _TIME,
)
_DROPPED_FIRST = (_SPEED, _RATE, _TIME, _TRAIN_ACCURACY, _VAL_LOSS, _TEST_LOSS, _TRAIN_LOSS, _VAL_ACCURACY)
_MARKS = (" best", " *")
"""What stands at the end of a row that is the best so far; the short one where space is short."""


@dataclass(frozen=True)
class Table:
    """A layout; equal layouts print alike."""

    columns: tuple[Column, ...]
    gap: int
    """Spaces between columns."""
    mark: str
    """For the end of a row that is the best so far."""

    def header(self) -> str:
        """Return the line of titles."""
        return self._line([column.title for column in self.columns])

    def row(self, row: EpochRow) -> str:
        """Return one epoch's line."""
        return self._line([column.cell(row) for column in self.columns])

    def _line(self, cells: list[str]) -> str:
        aligned = [cell.rjust(column.width) for cell, column in zip(cells, self.columns, strict=True)]
        return (" " * self.gap).join(aligned)


def fit(width: int, *, with_val: bool) -> Table:
    """Return the layout for ``width`` characters, with room for the mark at the end of a line."""
    long, short = _MARKS
    columns = [c for c in _ALL if with_val or c not in (_VAL_LOSS, _VAL_ACCURACY)]
    for column in _DROPPED_FIRST:
        if _needed(columns, 1, short) <= width:
            break
        if column in columns:
            columns.remove(column)
    gap = 2 if _needed(columns, 2, short) <= width else 1
    return Table(tuple(columns), gap, long if _needed(columns, gap, long) <= width else short)


def _needed(columns: list[Column], gap: int, mark: str) -> int:
    return sum(column.width for column in columns) + gap * (len(columns) - 1) + len(mark)
