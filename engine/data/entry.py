"""What is known of a dataset without loading it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One dataset."""

    name: str
    state: str
    """embedded, made, complete, incomplete, archive only, absent, or not usable."""
    shape: tuple[int, ...]
    """Of one sample: (C, H, W), or (F,)."""
    classes: int | None
    """None, as the sizes: not known without a folder."""
    train: int | None
    """Training images, or rows of features."""
    test: int | None
    where: str
    todo: str = ""
    """What to do so that it can be used; empty: nothing."""
