"""Networks against the published tables."""

import pytest
import torch

from engine.config import OptimConfig, ResNetConfig, Shortcut
from engine.models import build, build_initialised, parts
from engine.optim import build_optimiser
from engine.shapes.trace import shape_table

CPU = torch.device("cpu")

# He et al. 2015, section 4.2, and the reference figures: parameters and 10^6 multiply-accumulates at 3x32x32.
COUNTS: list[tuple[int, Shortcut, int, float]] = [
    (20, "A", 269_722, 40.55),
    (32, "A", 464_154, 68.86),
    (44, "A", 658_586, 97.17),
    (56, "A", 853_018, 125.49),
    (110, "A", 1_727_962, 252.89),
    (1202, "A", 19_421_274, 2829.24),
    (20, "B", 272_474, 40.81),
    (32, "B", 466_906, 69.12),
    (44, "B", 661_338, 97.44),
    (56, "B", 855_770, 125.75),
    (110, "B", 1_730_714, 253.15),
    (1202, "B", 19_424_026, 2829.50),
]


@pytest.mark.parametrize("classes", [10, 100])
@pytest.mark.parametrize(("depth", "shortcut", "params", "mmacs"), COUNTS)
def test_counts_equal_the_published_table(
    depth: int, shortcut: Shortcut, params: int, mmacs: float, classes: int
) -> None:
    table = shape_table(ResNetConfig(depth=depth, shortcut=shortcut), (3, 32, 32), classes)
    assert table.params == sum(row.params for row in table.rows) == params + (5_850 if classes == 100 else 0)
    assert round(table.macs / 1e6, 2) == pytest.approx(mmacs, abs=0.011 if classes == 100 else 1e-9)


@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_a_hundred_classes_add_5850_parameters(shortcut: Shortcut) -> None:
    def count(classes: int) -> int:
        return sum(p.numel() for p in build(ResNetConfig(shortcut=shortcut), (3, 32, 32), classes).parameters())

    assert count(100) - count(10) == 5_850


def test_a_plain_network_has_the_counts_of_option_a() -> None:
    plain = build(ResNetConfig(depth=56, shortcut="none"), (3, 32, 32), 10)
    assert sum(p.numel() for p in plain.parameters()) == 853_018


def test_option_c_projects_in_every_block() -> None:
    names = [name for name, _ in build(ResNetConfig(shortcut="C"), (3, 32, 32), 10).named_parameters()]
    assert sum(name.endswith("shortcut.conv.weight") for name in names) == 9


def test_the_zero_padded_shortcut_is_the_identity_where_it_can_be() -> None:
    model = build_initialised(ResNetConfig(depth=8), (3, 32, 32), 10, seed=1, device=CPU)
    x_BCHW = torch.randn(1, 16, 32, 32, generator=torch.Generator().manual_seed(0))
    shortcut = model.get_submodule("stage2.block1.shortcut")
    out_BCHW = shortcut(x_BCHW)
    assert torch.equal(out_BCHW[:, 8:24], x_BCHW[:, :, ::2, ::2])
    assert out_BCHW[:, :8].abs().sum() == 0
    assert out_BCHW[:, 24:].abs().sum() == 0


def test_parts_run_from_input_to_output() -> None:
    assert parts(build(ResNetConfig(depth=14), (3, 32, 32), 10)) == (
        "stem",
        "stage1.block1",
        "stage1.block2",
        "stage2.block1",
        "stage2.block2",
        "stage3.block1",
        "stage3.block2",
        "head",
    )


def test_initial_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = build_initialised(ResNetConfig(depth=8), (3, 32, 32), 10, seed=3, device=CPU).state_dict()
    assert torch.equal(torch.get_rng_state(), before), "the global generator was touched"
    torch.manual_seed(6)
    again = build_initialised(ResNetConfig(depth=8), (3, 32, 32), 10, seed=3, device=CPU).state_dict()
    other = build_initialised(ResNetConfig(depth=8), (3, 32, 32), 10, seed=4, device=CPU).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["stem.conv.weight"], other["stem.conv.weight"])


def test_convolutions_are_kaiming_normal_over_the_fan_out() -> None:
    model = build_initialised(ResNetConfig(depth=20), (3, 32, 32), 10, seed=1, device=CPU)
    weight = model.get_submodule("stage3.block2.conv1").weight
    assert isinstance(weight, torch.Tensor)
    assert weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)


@pytest.mark.parametrize("decay", [0.0, 5e-4])
def test_parameters_keep_their_order_whatever_the_decay(decay: float) -> None:
    """A checkpoint knows the optimiser's tensors by the order of the parameters."""
    model = build_initialised(ResNetConfig(depth=8), (3, 32, 32), 10, seed=1, device=CPU)
    optimiser = build_optimiser(model, OptimConfig(weight_decay=decay, decay_norm_and_bias=False))
    weights, others = (group["params"] for group in optimiser.param_groups)
    assert [p.ndim > 1 for p in weights] == [True] * len(weights)
    assert [p.ndim > 1 for p in others] == [False] * len(others)
    assert [group["weight_decay"] for group in optimiser.param_groups] == [decay, 0.0]
