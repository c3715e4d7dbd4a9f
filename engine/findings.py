"""What a run reached, counted as papers and documents count it, beside what they published. Imports no torch.

The tables of the documents differ in what they call an error, so every figure here says in words what it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from engine.config import ModelConfig
from engine.epochs import EpochRow
from engine.literature import CIFAR10_CLASSES, published
from engine.summary import RunSummary

Kind = Literal["last", "best", "best test", "average"]


@dataclass(frozen=True)
class CountedError:
    """One way to count the test error of a run."""

    kind: Kind
    error: float
    """As a fraction of the test images."""
    epoch: int | None
    """None: of all of them."""
    meaning: str

    @property
    def accuracy(self) -> float:
        """The share of the test images that was right."""
        return 1 - self.error


def counted_errors(summary: RunSummary) -> tuple[CountedError, ...]:
    """Return the last, the best and the average test error, with what each means; nothing before the first epoch."""
    found = [*_single_epochs(summary)]
    average, count = summary.average_error, len(summary.rows)
    if average is not None:
        meaning = (
            f"mean of 1 - test accuracy over {'all ' if count > 1 else ''}{count} epoch{'' if count == 1 else 's'}, "
            "early ones included, as the ResNet20 document counts: it describes the whole course of training, not "
            "the network at its end"
        )
        found.append(CountedError("average", average, None, meaning))
    return tuple(found)


def _single_epochs(summary: RunSummary) -> Iterator[CountedError]:
    by_validation = summary.choosing_split == "val"
    pruned = " since the pruning" if summary.pruned else ""
    looked = f"the lowest of all epochs{pruned}, picked by looking at the test set, so a little too good"
    validated = f"of the epoch{pruned} with the best validation accuracy: the test set chose nothing"
    kinds: list[tuple[Kind, EpochRow | None, str]] = [
        ("last", summary.rows[-1] if summary.rows else None, "of the network as it was after its last epoch"),
        ("best", summary.best(), validated if by_validation else looked),
    ]
    if by_validation:
        kinds.append(("best test", summary.best("test"), looked))
    for kind, row, meaning in kinds:
        if row is not None and row.test_accuracy is not None:
            yield CountedError(kind, 1 - row.test_accuracy, row.epoch, meaning)


@dataclass(frozen=True, kw_only=True)
class Reached:
    """What one run reached on its test images, as fractions of them."""

    last: float
    """After its last epoch."""
    best: float
    """Of the epoch with the best validation accuracy; without a validation split, the highest of all epochs."""
    best_epoch: int
    validation: float | None
    """The validation accuracy of that epoch; None where there is no such split, so that the test set chose."""
    seconds: float
    """Spent on the run, without pauses."""


def reached(summary: RunSummary) -> Reached | None:
    """Return what a run reached; None before its first epoch, or where no test set was looked at."""
    best = summary.best()
    if best is None or best.test_accuracy is None or summary.rows[-1].test_accuracy is None:
        return None
    return Reached(
        last=summary.rows[-1].test_accuracy,
        best=best.test_accuracy,
        best_epoch=best.epoch,
        validation=best.val_accuracy if summary.choosing_split == "val" else None,
        seconds=summary.elapsed,
    )


@dataclass(frozen=True, kw_only=True)
class ComparisonRow:
    """A line of the comparison table of the ResNet20 document: model, layers, parameters, error, accuracy."""

    model: str
    layers: int | None
    """None where the architecture does not count them."""
    params: str
    """As its source writes it."""
    error: float
    accuracy: float
    source: str
    meaning: str = ""
    """Where its source has it, or of which epoch it is."""


def own_rows(name: str, summary: RunSummary) -> Iterator[ComparisonRow]:
    """Yield the lines of a run that is called ``name``: last, best and average, of one epoch in one."""
    if summary.config is None:
        return
    model = summary.config.model
    for (epoch, error), found in groupby(counted_errors(summary), lambda found: (found.epoch, found.error)):
        kinds = " and ".join(one.kind for one in found)
        yield ComparisonRow(
            model=model.title,
            layers=getattr(model, "depth", None),
            params=f"{summary.params:,}" if summary.params else "-",
            error=error,
            accuracy=1 - error,
            source=name,
            meaning=f"{kinds} of all epochs" if epoch is None else f"{kinds} (epoch {epoch})",
        )


_HE_PARAMS = {20: "0.27M", 32: "0.46M", 44: "0.66M", 56: "0.85M", 110: "1.7M", 1202: "19.4M"}
"""As table 6 of He et al. 2015 writes them."""
_HE_MEANINGS = {110: "table 6, best of 5 runs (6.61 ± 0.16 %)"}
_A_PARAMS = {20: 269_722, 32: 464_154, 44: 658_586, 56: 853_018, 110: 1_727_962, 1202: 19_421_274}
_B_PARAMS = {20: 272_474, 32: 466_906, 44: 661_338, 56: 855_770}
_AKAMASTER = {20: 0.0827, 32: 0.0737, 44: 0.0690, 56: 0.0661, 110: 0.0632, 1202: 0.0618}
"""CIFAR-10 test errors of akamaster/pytorch_resnet_cifar10, shortcut A, 200 epochs."""
_BEST = {
    "cifar10": {20: 0.9260, 32: 0.9353, 44: 0.9401, 56: 0.9437},
    "cifar100": {20: 0.6883, 32: 0.7016, 44: 0.7163, 56: 0.7263},
}
"""Best test accuracies of chenyaofo/pytorch-cifar-models; ``literature`` has those of the last epochs."""
_PLAIN = {20: 0.095, 32: 0.10, 44: 0.12, 56: 0.135}
"""CIFAR-10 test errors of plain networks, read off figure 6 of He et al. 2015."""
DOCUMENT = "ResNet20 document"
_RESNET20_DOCUMENT = (
    ComparisonRow(
        model="ResNet20 (Paper)", layers=20, params="0.27M", error=0.0875, accuracy=0.90, source=DOCUMENT
    ),
    ComparisonRow(
        model="ResNet20 (Khaula)", layers=20, params="272,474", error=0.2208, accuracy=0.8124, source=DOCUMENT
    ),
)  # fmt: skip
"""Its table 1, as it stands there."""
PUBLISHED_NOTE = (
    "The ResNet20 document's two rows are as they stand there. An error of 8.75 % is an accuracy of 91.25 %. Its own "
    "error is meant as the average over its 51 epochs, to be compared with an average; its table of epochs gives "
    "24.25 %. Its accuracy is that of epoch 21; its best epoch, the 47th, has 82.02 %. The other published rows are "
    "of networks after full training, on all test images."
)
"""What has to be known to read the rows published of CIFAR-10."""


def published_rows(model: ModelConfig, classes: tuple[str, ...]) -> tuple[ComparisonRow, ...]:
    """Return what is published of networks of this depth, on the data whose ``classes`` these are; mostly nothing.

    On CIFAR-10 the table of the ResNet20 document comes first. A folder of pictures with CIFAR's class names counts
    as CIFAR.
    """
    on_cifar10 = classes == CIFAR10_CLASSES
    rows = list(_RESNET20_DOCUMENT) if on_cifar10 else []
    if model.arch != "resnet":
        return tuple(rows)
    known = {kind: published(model.model_copy(update={"shortcut": kind}), classes) for kind in ("A", "B")}
    depth = model.depth
    if model.shortcut == "none" and on_cifar10 and known["A"] and depth in _PLAIN:
        rows.append(_row(f"plain-{depth}", depth, 1 - _PLAIN[depth], known["A"].source, "about, read off figure 6"))
    if known["A"]:
        rows.append(_row("A", depth, known["A"].accuracy, known["A"].source, _HE_MEANINGS.get(depth, "table 6")))
        rows.append(_row("A", depth, 1 - _AKAMASTER[depth], "akamaster", "200 epochs"))
    if known["B"]:
        best = _BEST["cifar10" if on_cifar10 else "cifar100"][depth]
        rows.append(_row("B", depth, known["B"].accuracy, known["B"].source, "last epoch"))
        rows.append(_row("B", depth, best, known["B"].source, "best epoch"))
    return tuple(rows)


def rows_of_network(model: ModelConfig, classes: tuple[str, ...]) -> tuple[ComparisonRow, ...]:
    """Return what is published of this very network on this data, the figure to hold a run against first."""
    return tuple(row for row in published_rows(model, classes) if row.model == model.title)


def _row(kind: str, depth: int, accuracy: float, source: str, meaning: str) -> ComparisonRow:
    """Return a line of a CIFAR network with shortcuts of ``kind``, or of the network of that name."""
    if kind == "A" and source != "akamaster":
        params = _HE_PARAMS[depth]
    else:
        params = f"{(_B_PARAMS if kind == 'B' else _A_PARAMS)[depth]:,}"
    model = f"ResNet-{depth}, shortcut {kind}" if kind in {"A", "B"} else kind
    return ComparisonRow(
        model=model, layers=depth, params=params, error=1 - accuracy, accuracy=accuracy, source=source,
        meaning=meaning,
    )  # fmt: skip
