"""Published accuracies of the networks, to draw beside a run's own. Imports no torch."""

from dataclasses import dataclass

from engine.config import ModelConfig
from engine.data.published import SPECS

CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)

_HE, _CHENYAOFO = "He et al. 2015", "chenyaofo"


@dataclass(frozen=True)
class Published:
    """Test accuracy as a fraction, and whose."""

    accuracy: float
    source: str


_CIFAR10: dict[tuple[int, str], Published] = {
    (20, "A"): Published(0.9125, _HE),
    (32, "A"): Published(0.9249, _HE),
    (44, "A"): Published(0.9283, _HE),
    (56, "A"): Published(0.9303, _HE),
    (110, "A"): Published(0.9357, _HE),
    (1202, "A"): Published(0.9207, _HE),
    (20, "B"): Published(0.9256, _CHENYAOFO),
    (32, "B"): Published(0.9341, _CHENYAOFO),
    (44, "B"): Published(0.9385, _CHENYAOFO),
    (56, "B"): Published(0.9421, _CHENYAOFO),
}
"""By depth and shortcut: test errors of He et al. 2015, table 6; last epochs of chenyaofo/pytorch-cifar-models."""
_CIFAR100: dict[tuple[int, str], Published] = {
    (20, "B"): Published(0.6848, _CHENYAOFO),
    (32, "B"): Published(0.7000, _CHENYAOFO),
    (44, "B"): Published(0.7163, _CHENYAOFO),
    (56, "B"): Published(0.7237, _CHENYAOFO),
}


_TABLES = {"cifar10": _CIFAR10, "cifar100": _CIFAR100}


def published(model: ModelConfig, classes: tuple[str, ...]) -> Published | None:
    """Return the published accuracy of ``model`` on the dataset whose ``classes`` these are; None: not known here.

    A folder of pictures with CIFAR's class names counts as CIFAR.
    """
    if classes == CIFAR10_CLASSES:
        return published_on(model, "cifar10")
    if len(classes) == SPECS["cifar100"].classes and "aquarium_fish" in classes:
        return published_on(model, "cifar100")
    return None


def published_on(model: ModelConfig, dataset: str) -> Published | None:
    """Return the published accuracy of ``model`` on the dataset of this name; None: not known here."""
    if model.arch != "resnet" or model.stages != 3 or model.block != "basic" or model.preactivation:
        return None
    if model.stem != "cifar" or model.width != 1:
        return None
    return _TABLES.get(dataset, {}).get((model.depth, model.shortcut))
