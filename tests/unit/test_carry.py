"""Weights put into a network: what fits, what was asked for, and one clear refusal of everything else."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from weights_support import randomised

from engine.config import DenseNetConfig, ModelConfig, ResidualMlpConfig, ResNetConfig, WeightsConfig, as_flags
from engine.errors import UserError
from engine.models import build_initialised
from engine.weights import Weights
from engine.weights.carry import averaged_kernel, carry, check_something_is_left

SMALL = ResNetConfig(depth=8, width=0.25)
SEVEN = ResNetConfig(depth=8, width=0.25, stem="imagenet")
HEAD = ["head.linear.weight", "head.linear.bias"]
STEM = [f"stem.norm.{leaf}" for leaf in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")]


def built(config: ModelConfig = SMALL, classes: int = 4, seed: int = 1) -> nn.Module:
    shape = (4,) if config.arch == "residual-mlp" else (3, 32, 32)
    return build_initialised(config, shape, classes, seed, torch.device("cpu")).eval()


def weights_of(theirs: nn.Module, config: ModelConfig = SMALL, classes: int = 4) -> Weights:
    tensors = {name: tensor.clone() for name, tensor in theirs.state_dict().items()}
    return Weights(tensors, config, 3, classes, "resnet-tui", None, source="theirs.pt")


def source(config: ModelConfig = SMALL, classes: int = 4) -> Weights:
    return weights_of(randomised(built(config, classes)), config, classes)


def settings(**given: Any) -> WeightsConfig:
    return WeightsConfig(source="theirs.pt", **given)


def refusal(model: nn.Module, weights: Weights, **given: Any) -> str:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(UserError) as caught:
        carry(model, weights, settings(**given))
    message = str(caught.value)
    assert caught.value.exit_status == 2
    assert "\n" not in message
    assert message.startswith(f"theirs.pt holds {weights.model.title} with {weights.classes} classes (resnet-tui); ")
    assert message.endswith("or load what fits with --allow-partial")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items()), "half loaded"
    return message


def assert_filled(model: nn.Module, weights: Weights, names: list[str]) -> None:
    state = model.state_dict()
    assert names
    assert all(torch.equal(state[name], weights.tensors[name]) for name in names)


def test_everything_fits() -> None:
    theirs = randomised(built(seed=2))
    model = built()
    carried = carry(model, weights_of(theirs), settings())
    assert carried.loaded == list(model.state_dict())
    assert carried.parameters == [name for name, _ in model.named_parameters()]
    assert (carried.adapted, carried.fresh, carried.missing, carried.left_out) == ([], [], [], [])
    x = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(model(x), theirs(x))


def test_the_network_keeps_none_of_the_sources_memory() -> None:
    model, weights = built(), source()
    carry(model, weights, settings())
    weights.tensors["stem.conv.weight"].zero_()
    assert model.get_parameter("stem.conv.weight").count_nonzero() > 0


def test_another_number_of_classes() -> None:
    weights, model = source(classes=4), built(classes=7)
    message = refusal(model, weights)
    assert "head.linear.weight (4×16 there, 7×16 here), head.linear.bias (4 there, 7 here);" in message
    assert "--set weights.head=fresh for a new last layer" in message
    assert "stem" not in message
    carried = carry(model, weights, settings(head="fresh"))
    assert carried.fresh == HEAD
    random = built(classes=7).state_dict()
    assert all(torch.equal(model.state_dict()[name], random[name]) for name in HEAD)
    assert carried.loaded == [name for name in random if name not in HEAD]
    assert not set(HEAD) & set(carried.parameters)
    assert_filled(model, weights, carried.loaded)


def test_a_fresh_head_of_the_same_size_stays_random_too() -> None:
    model = built()
    assert carry(model, source(), settings(head="fresh")).fresh == HEAD
    assert torch.equal(model.state_dict()[HEAD[0]], built().state_dict()[HEAD[0]])


def test_a_larger_stem_is_refused_or_adapted() -> None:
    weights, model = source(SEVEN), built()
    message = refusal(model, weights)
    assert "stem.conv.weight (4×3×7×7 there, 4×3×3×3 here)" in message
    assert "--set weights.stem=adapt, or fresh, for another stem" in message
    assert "weights.head" not in message
    carried = carry(model, weights, settings(stem="adapt"))
    assert carried.adapted == ["stem.conv.weight (7×7 averaged to 3×3)"]
    assert carried.loaded == [name for name in model.state_dict() if name != "stem.conv.weight"]
    assert "stem.conv.weight" in carried.parameters
    theirs = weights.tensors["stem.conv.weight"]
    ours = model.get_parameter("stem.conv.weight").detach()
    assert torch.equal(ours, averaged_kernel(theirs, 3))
    assert_filled(model, weights, carried.loaded)


def test_an_adapted_stem_sees_an_even_surface_as_before() -> None:
    theirs = randomised(built(SEVEN))
    model = built()
    carry(model, weights_of(theirs, SEVEN), settings(stem="adapt"))
    surface = torch.tensor([0.3, -1.0, 2.0]).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    with torch.no_grad():
        before = theirs.get_submodule("stem.conv")(surface)[..., 3:-3, 3:-3].mean((2, 3))
        inside = model.get_submodule("stem.conv")(surface)[..., 1:-1, 1:-1]
    assert before.abs().min() > 1e-3
    torch.testing.assert_close(inside, before[..., None, None].expand_as(inside), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("before", "after"), [(7, 3), (5, 3), (6, 3), (7, 1), (3, 3)])
def test_averaged_kernels_keep_their_sum(before: int, after: int) -> None:
    kernel = torch.randn(4, 3, before, before, generator=torch.Generator().manual_seed(before))
    averaged = averaged_kernel(kernel, after)
    assert averaged.shape == (4, 3, after, after)
    torch.testing.assert_close(averaged.sum((2, 3)), kernel.sum((2, 3)))


def test_averaged_kernels_by_hand() -> None:
    def down(kernel: Tensor) -> Tensor:
        return averaged_kernel(kernel.view(1, 1, *kernel.shape), 3)[0, 0]

    torch.testing.assert_close(down(torch.ones(7, 7)), torch.full((3, 3), 49 / 9))
    blocks = torch.arange(36.0).view(6, 6)
    torch.testing.assert_close(down(blocks), blocks.view(3, 2, 3, 2).sum((1, 3)))
    point = torch.zeros(7, 7)
    point[2, 0] = 1  # a third of row 2 lies in the first row of three, the rest in the second
    torch.testing.assert_close(down(point), torch.tensor([[1 / 3, 0, 0], [2 / 3, 0, 0], [0, 0, 0]]))
    same = torch.randn(3, 3)
    torch.testing.assert_close(down(same), same)


def test_a_fresh_stem() -> None:
    weights, model = source(SEVEN), built()
    carried = carry(model, weights, settings(stem="fresh"))
    assert carried.fresh == ["stem.conv.weight", *STEM]
    random = built().state_dict()
    assert all(torch.equal(model.state_dict()[name], random[name]) for name in carried.fresh)
    assert_filled(model, weights, carried.loaded)


@pytest.mark.parametrize("stem", ["carry", "adapt"])
def test_kernels_do_not_grow(stem: str) -> None:
    message = refusal(built(SEVEN), source(SMALL), stem=stem)
    assert "stem.conv.weight (4×3×3×3 there, 4×3×7×7 here)" in message
    assert "--set weights.stem=fresh for another stem" in message
    assert "adapt" not in message


def test_missing_tensors() -> None:
    lacking = ["stem.norm.bias", "stage1.block1.conv1.weight"]
    whole, model = source(), built()
    tensors = {name: tensor for name, tensor in whole.tensors.items() if name not in lacking}
    weights = replace(whole, tensors=tensors, missing=tuple(lacking))
    message = refusal(model, weights)
    assert "; missing or of another shape: stem.norm.bias (absent), stage1.block1.conv1.weight (absent); " in message
    assert "choose a file of the whole network and nothing else, or" in message
    carried = carry(model, weights, settings(allow_partial=True))
    assert carried.missing == [f"{name} (absent)" for name in lacking]
    random = built().state_dict()
    assert all(torch.equal(model.state_dict()[name], random[name]) for name in lacking)
    assert carried.loaded == [name for name in random if name not in lacking]
    assert_filled(model, weights, carried.loaded)


def test_tensors_left_over() -> None:
    weights = replace(source(), left_out=("fc.extra: not a part of the network",))
    weights.tensors["stage1.block2.conv1.weight"] = torch.ones(4, 4, 3, 3)
    expected = ["fc.extra: not a part of the network", "stage1.block2.conv1.weight (no such tensor here)"]
    model = built()
    assert f"; without a place in this network: {', '.join(expected)}; choose" in refusal(model, weights)
    carried = carry(model, weights, settings(allow_partial=True))
    assert carried.left_out == expected
    assert carried.loaded == list(model.state_dict())


@pytest.mark.parametrize(
    ("theirs", "mine", "named"),
    [
        (DenseNetConfig(arch="densenet", depth=7), SMALL, "stem.conv.weight (16×3×3×3 there, 4×3×3×3 here)"),
        (ResidualMlpConfig(arch="residual-mlp", widths=(8, 8)), SMALL, "stem.linear.weight (no such tensor here)"),
        (ResNetConfig(depth=14, width=0.25), SMALL, "stage1.block2.conv1.weight (no such tensor here)"),
        (SMALL, ResNetConfig(depth=14, width=0.25), "stage1.block2.conv1.weight (absent)"),
        (ResNetConfig(depth=8, width=0.25, shortcut="B"), SMALL, "stage2.block1.shortcut.conv.weight (no such"),
        (SMALL, ResNetConfig(depth=8, width=0.25, shortcut="C"), "stage1.block1.shortcut.conv.weight (absent)"),
        (
            ResNetConfig(depth=8, width=0.25, preactivation=True),
            SMALL,
            "stage1.block1.residual.conv1.weight (no such",
        ),
        (ResNetConfig(depth=8, width=0.5), SMALL, "stem.conv.weight (8×3×3×3 there, 4×3×3×3 here)"),
    ],
)
def test_another_network_is_refused_at_once(theirs: ModelConfig, mine: ModelConfig, named: str) -> None:
    message = refusal(built(mine), source(theirs))
    assert named in message
    assert f"; choose the same network ({as_flags(theirs)}), or load what fits" in message
    assert "weights.head" not in message, "a new head alone would not help"
    assert "weights.stem" not in message
    assert len(message) < 2000


def test_a_part_of_another_network_is_taken_where_that_was_asked_for() -> None:
    weights, model = source(ResNetConfig(depth=14, width=0.25)), built()
    carried = carry(model, weights, settings(allow_partial=True))
    assert carried.loaded == list(model.state_dict())
    assert len(carried.left_out) == len(weights.tensors) - len(carried.loaded)
    assert all(".block2." in name for name in carried.left_out)


def test_freezing_everything_is_refused() -> None:
    frozen = settings(frozen_epochs=2)
    model = built()
    whole = carry(model, source(), frozen)
    with pytest.raises(UserError, match=r"weights\.frozen_epochs = 2: .* --set weights\.head=fresh, or set it to 0"):
        check_something_is_left(model, whole, frozen)
    check_something_is_left(model, whole, settings())
    headless = settings(frozen_epochs=2, head="fresh")
    check_something_is_left(model, carry(model, source(), headless), headless)
