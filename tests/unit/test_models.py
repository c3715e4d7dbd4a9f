"""Networks against the published tables."""

import pytest
import torch

from engine.config import ResNetConfig, Shortcut
from engine.models import build, build_initialised, parts
from engine.shapes import shape_rows

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


@pytest.mark.parametrize(("depth", "shortcut", "params", "mmacs"), COUNTS)
def test_counts_equal_the_published_table(depth: int, shortcut: Shortcut, params: int, mmacs: float) -> None:
    model = build(ResNetConfig(depth=depth, shortcut=shortcut), (3, 32, 32), 10)
    rows = shape_rows(model, (3, 32, 32))
    assert sum(p.numel() for p in model.parameters()) == params
    assert sum(row.params for row in rows) == params
    assert round(sum(row.macs for row in rows) / 1e6, 2) == mmacs


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


@pytest.mark.parametrize("shortcut", ["A", "B", "C", "none"])
def test_shapes_are_those_of_a_real_forward_pass(shortcut: Shortcut) -> None:
    config = ResNetConfig(depth=14, shortcut=shortcut)
    rows = {row.name: row for row in shape_rows(build(config, (3, 32, 32), 7), (3, 32, 32))}
    model = build_initialised(config, (3, 32, 32), 7, seed=1, device=CPU)
    seen: dict[str, tuple[int, ...]] = {}
    for name, module in model.named_modules():
        if name in rows:
            module.register_forward_hook(
                lambda _m, _i, output, name=name: seen.__setitem__(name, tuple(output.shape[1:]))
            )
    model(torch.zeros(2, 3, 32, 32))
    assert seen == {name: row.output for name, row in rows.items()}
    assert seen["stage1.block1.conv2"] == (16, 32, 32)
    assert seen["stage2.block1.conv1"] == (32, 16, 16)
    assert seen["stage3.block2.conv2"] == (64, 8, 8)
    assert seen["head.linear"] == (7,)


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
