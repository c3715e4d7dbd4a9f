"""Every preset: valid, explained, the network that it says, the schedule of its source."""

from pathlib import Path
from typing import Any

import pytest

from engine import presets
from engine.config import RunConfig
from engine.config_file import build_config, read_toml, to_toml
from engine.models import build
from engine.schedule import LearningRate, RateState

SOURCES = (
    "He et al. 2015",
    "He et al. 2016",
    "Zagoruyko & Komodakis 2016",
    "Srivastava et al. 2015",
    "Huang et al. 2017",
    "Szegedy et al. 2016",
    "akamaster",
    "chenyaofo",
    "ResNet20 document",
    "ResNet34 document",
    'the document "ResNet explained',
)
SHAPES: dict[str, tuple[tuple[int, ...], int, int]] = {
    "digits": ((3, 32, 32), 10, 1_437),
    "cifar10": ((3, 32, 32), 10, 50_000),
    "cifar100": ((3, 32, 32), 100, 50_000),
    "iris": ((4,), 3, 120),
}
"""Shape of a sample, classes, training samples."""

# Published parameters, and by how much a network here may differ: 0 where its layers are the published ones.
PARAMETERS: list[tuple[str, float, float]] = [
    *((f"{kind}20-cifar10", 269_722, 0) for kind in ("resnet", "plain")),
    *((f"{kind}32-cifar10", 464_154, 0) for kind in ("resnet", "plain")),
    *((f"{kind}44-cifar10", 658_586, 0) for kind in ("resnet", "plain")),
    *((f"{kind}56-cifar10", 853_018, 0) for kind in ("resnet", "plain")),
    *((f"{kind}110-cifar10", 1_727_962, 0) for kind in ("resnet", "plain", "preresnet")),
    ("resnet1202-cifar10", 19_421_274, 0),
    ("resnet20-cifar10-akamaster", 269_722, 0),
    *((f"resnet20-cifar10-{which}", 272_474, 0) for which in ("chenyaofo", "document", "stride2", "pruned")),
    ("resnet20-cifar10-fast", 269_722, 0),
    ("resnet20-cifar100", 272_474 + 5_850, 0),
    ("resnet56-cifar100", 855_770 + 5_850, 0),
    ("resnet164-cifar10", 1.70e6, 0.005e6),
    ("preresnet164-cifar10", 1.70e6, 0.005e6),
    ("wideresnet28-cifar10", 36.5e6, 0.01 * 36.5e6),  # its stem is ten times as wide as the paper's
    ("resnet34-cifar10", 21_282_122, 0),
    ("resnet34-cifar10-transfer", 21_282_122, 0),
    ("resnet34-cifar100-transfer", 21_282_122 + 90 * 513, 0),
    ("highway11-cifar10", 236_000, 0.1 * 236_000),  # the paper's layers differ
    ("densenet40-cifar10", 1.0e6, 0.05e6),
    ("densenet-bc100-cifar10", 0.8e6, 0.05e6),
    ("iris", 11_299, 0),
]

# The rate at the start of these epochs, counted from 0, as the source has it.
RATES: list[tuple[str, dict[int, float]]] = [
    ("wideresnet28-cifar10", {0: 0.1, 59: 0.1, 60: 0.02, 119: 0.02, 120: 0.004, 159: 0.004, 160: 8e-4, 199: 8e-4}),
    ("densenet40-cifar10", {0: 0.1, 149: 0.1, 150: 0.01, 224: 0.01, 225: 0.001, 299: 0.001}),
    ("densenet-bc100-cifar100", {0: 0.1, 149: 0.1, 150: 0.01, 224: 0.01, 225: 0.001, 299: 0.001}),
    ("resnet20-cifar10-akamaster", {0: 0.1, 99: 0.1, 100: 0.01, 149: 0.01, 150: 0.001, 199: 0.001}),
    ("preresnet164-cifar10", {0: 0.01, 1: 0.01, 2: 0.1, 90: 0.1, 91: 0.01, 136: 0.01, 137: 0.001, 181: 0.001}),
    ("resnet20-cifar10-stride2", {0: 0.1, 50: 0.05}),
    ("iris", {0: 0.001, 99: 0.001}),
]


def loaded(name: str, **flags: Any) -> RunConfig:
    tree, file = presets.load(name)
    return build_config(tree, {key.replace("__", "."): (key, value) for key, value in flags.items()}, file)


def rates(config: RunConfig) -> tuple[LearningRate, int]:
    """Return the schedule of a run, and its steps an epoch."""
    _, _, images = SHAPES[config.data.dataset]
    steps = -(-(images - config.data.val_size) // config.train.batch_size)
    return LearningRate(
        config.schedule, config.optim.lr, steps, RateState(total_steps=steps * config.train.epochs)
    ), steps


@pytest.mark.parametrize("name", presets.shipped_names())
def test_every_preset_is_valid_and_survives_being_written(name: str, tmp_path: Path) -> None:
    config = loaded(name)
    assert config.name == name
    path = tmp_path / "config.toml"
    path.write_text(to_toml(config))
    assert build_config(read_toml(path), {}, "again") == config


@pytest.mark.parametrize("name", presets.shipped_names())
def test_every_preset_says_on_top_what_it_follows_and_takes_two_epochs(name: str) -> None:
    about = presets.description(presets.locate(name))
    assert any(source in about.replace("\n", " ") for source in SOURCES)
    earlier = {"prune__after_epochs": 1} if loaded(name).prune.amount else {}
    assert loaded(name, train__epochs=2, **earlier).train.epochs == 2


@pytest.mark.parametrize("name", presets.shipped_names())
def test_every_preset_builds_a_network_for_its_data(name: str) -> None:
    config = loaded(name)
    shape, classes, _ = SHAPES[config.data.dataset]
    assert list(build(config.model, shape, classes).parameters())[-1].shape == (classes,)


@pytest.mark.parametrize(("name", "published", "tolerance"), PARAMETERS)
def test_a_network_has_the_parameters_that_were_published(name: str, published: float, tolerance: float) -> None:
    config = loaded(name)
    shape, classes, _ = SHAPES[config.data.dataset]
    model = build(config.model, shape, classes)
    assert abs(sum(p.numel() for p in model.parameters()) - published) <= tolerance


@pytest.mark.parametrize(("name", "expected"), RATES)
def test_the_rate_falls_where_the_source_has_it_fall(name: str, expected: dict[int, float]) -> None:
    config = loaded(name)
    rate, steps = rates(config)
    assert config.train.epochs >= max(expected) + 1
    assert {epoch: rate.at(epoch * steps) for epoch in expected} == pytest.approx(expected)


@pytest.mark.parametrize(
    "name",
    [
        "plain110-cifar10",
        "preresnet110-cifar10",
        "resnet164-cifar10",
        "preresnet164-cifar10",
        "preresnet164-cifar100",
    ],
)
def test_a_warm_up_is_400_iterations_of_64000(name: str) -> None:
    rate, steps = rates(loaded(name))
    assert [rate.at(step) for step in (399, 400)] == pytest.approx([0.01, 0.1])
    assert rate.state.total_steps == 182 * steps == 64_064


@pytest.mark.parametrize(
    ("name", "other", "differing"),
    [
        *((f"plain{n}-cifar10", f"resnet{n}-cifar10", {"model.shortcut"}) for n in (20, 32, 44, 56, 110)),
        ("preresnet164-cifar10", "resnet164-cifar10", {"model.preactivation"}),
        ("preresnet110-cifar10", "resnet110-cifar10", {"model.preactivation"}),
        ("resnet20-cifar10-stride2", "resnet20-cifar10-pruned", {"model.stem", "prune.amount", "prune.after_epochs"}),
    ],
)
def test_presets_to_compare_differ_in_nothing_else(name: str, other: str, differing: set[str]) -> None:
    one, two = loaded(name).model_dump(exclude={"name"}), loaded(other).model_dump(exclude={"name"})
    assert {f"{part}.{key}" for part in one for key in one[part] if one[part][key] != two[part][key]} == differing


@pytest.mark.parametrize("classes", [10, 100])
def test_transfer_carries_all_but_the_last_layer_and_trains_all(classes: int) -> None:
    weights = loaded(f"resnet34-cifar{classes}-transfer").weights
    assert (weights.source, weights.stem, weights.head) == ("torchvision:resnet34", "adapt", "fresh")
    assert (weights.lr_factor, weights.frozen_epochs, weights.allow_partial) == (1.0, 0, False)


def test_the_presets_are_those_that_were_promised() -> None:
    promised = {"quickstart", "iris", "wideresnet28-cifar10", "preresnet110-cifar10", "resnet164-cifar10"}
    promised |= {f"resnet{depth}-cifar10" for depth in (18, 20, 32, 34, 44, 50, 56, 110, 1202)}
    promised |= {f"resnet{depth}-cifar100" for depth in (20, 32, 34, 44, 56)}
    promised |= {f"plain{depth}-cifar10" for depth in (20, 32, 44, 56, 110)}
    promised |= {
        f"{name}-cifar{n}" for name in ("preresnet164", "densenet-bc100", "inception-resnet") for n in (10, 100)
    }
    promised |= {"densenet40-cifar10", "highway11-cifar10", "highway32-cifar10"}
    promised |= {f"resnet34-cifar{n}-transfer" for n in (10, 100)}
    variants = ("document", "stride2", "pruned", "akamaster", "chenyaofo")
    promised |= {f"resnet20-cifar10-{variant}" for variant in variants}
    assert promised <= set(presets.shipped_names())
