"""What makes each architecture itself, and what all of them promise to the rest of the program."""

import re
from collections import Counter
from contextlib import ExitStack
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from engine.config import DenseNetConfig, HighwayConfig, ModelConfig, ResidualMlpConfig, ResNetConfig
from engine.config_file import build_config
from engine.errors import ConfigError, UserError
from engine.models import build, build_initialised, part_of, parts
from engine.models.highway import HighwayBlock

CPU = torch.device("cpu")
IMAGE = (3, 32, 32)

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "resnet": {"depth": 14},
    "option B": {"depth": 14, "shortcut": "B"},
    "option C": {"depth": 14, "shortcut": "C"},
    "plain": {"depth": 14, "shortcut": "none"},
    "stride-2 stem": {"depth": 14, "stem": "stride2"},
    "bottlenecks": {"depth": 20, "block": "bottleneck"},
    "bottlenecks, option A": {"depth": 20, "block": "bottleneck", "shortcut": "A"},
    "pre-activation": {"depth": 14, "preactivation": True},
    "pre-activation, option B": {"depth": 14, "preactivation": True, "shortcut": "B"},
    "pre-activation, option C": {"depth": 14, "preactivation": True, "shortcut": "C"},
    "pre-activation, plain": {"depth": 14, "preactivation": True, "shortcut": "none"},
    "pre-activation, bottlenecks": {"depth": 20, "preactivation": True, "block": "bottleneck"},
    "four stages": {"depth": 18, "stem": "imagenet"},
    "four stages, pre-activation": {"depth": 18, "preactivation": True},
    "four stages, bottlenecks": {"depth": 50},
    "wide": {"depth": 14, "width": 2, "preactivation": True, "shortcut": "B"},
    "highway": {"arch": "highway", "depth": 11},
    "densenet": {"arch": "densenet", "depth": 10},
    "densenet-bc": {"arch": "densenet", "depth": 16, "variant": "bc"},
    "inception-resnet": {"arch": "inception-resnet"},
    "residual-mlp": {"arch": "residual-mlp"},
}


def configured(options: dict[str, Any]) -> ModelConfig:
    return build_config({"model": options}, {}, "test").model


def built(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    """Return an architecture on the meta device, and the shape of its samples."""
    config = configured(ARCHITECTURES[name])
    shape = (4,) if isinstance(config, ResidualMlpConfig) else IMAGE
    return build(config, shape, 10), shape


def initialised(options: dict[str, Any]) -> nn.Module:
    return build_initialised(configured(options), IMAGE, 10, seed=1, device=CPU).eval()


def some_input(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def count(config: ModelConfig, classes: int = 10, shape: tuple[int, ...] = IMAGE) -> int:
    return sum(parameter.numel() for parameter in build(config, shape, classes).parameters())


# Parameters -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("depth", "published"),
    [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032), (101, 44_549_160), (152, 60_192_808)],
)
def test_four_stages_have_torchvisions_parameters(depth: int, published: int) -> None:
    assert count(ResNetConfig(depth=depth, stem="imagenet"), 1000, (3, 224, 224)) == published


def test_resnet34_for_cifar_differs_from_imagenets_in_stem_and_head() -> None:
    stem = 3 * 64 * (7 * 7 - 3 * 3)
    head = 513 * (1000 - 10)
    assert count(ResNetConfig(depth=34)) == 21_797_672 - stem - head == 21_282_122


def test_densenets_have_the_parameters_of_the_papers_table() -> None:
    assert count(DenseNetConfig(arch="densenet", depth=40, growth=12)) == 1_019_722  # "1.0M"
    assert count(DenseNetConfig(arch="densenet", depth=100, growth=12, variant="bc")) == 769_162  # "0.8M"


@pytest.mark.parametrize("preactivation", [False, True])
def test_resnet164_has_1_70_million_parameters(preactivation: bool) -> None:
    config = ResNetConfig(depth=164, block="bottleneck", preactivation=preactivation)
    assert round(count(config) / 1e6, 2) == 1.70


def test_highway_11_is_about_as_large_as_the_papers() -> None:
    assert count(HighwayConfig(arch="highway", depth=11)) == pytest.approx(236_000, rel=0.1)


def test_the_residual_mlp_is_the_documents() -> None:
    def linear(features_in: int, features_out: int) -> int:
        return features_in * features_out + features_out

    def norm(features: int) -> int:
        return 2 * features

    stem = linear(4, 32) + norm(32)
    same = 2 * (linear(32, 32) + norm(32))
    wider = linear(32, 64) + norm(64) + linear(64, 64) + norm(64) + linear(32, 64)  # the last one fits the shortcut
    head = linear(64, 3)
    assert count(ResidualMlpConfig(arch="residual-mlp"), 3, (4,)) == stem + same + wider + head


# Against torchvision --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [18, 34, 50])
def test_four_stages_have_the_tensors_of_torchvision(depth: int) -> None:
    ours = build(ResNetConfig(depth=depth, stem="imagenet"), (3, 224, 224), 1000)
    with torch.device("meta"):
        theirs = torchvision.models.get_model(f"resnet{depth}")
    assert Counter(p.shape for p in ours.parameters()) == Counter(p.shape for p in theirs.parameters())


@pytest.mark.parametrize("depth", [18, 50])
def test_with_torchvisions_weights_the_logits_are_torchvisions(depth: int) -> None:
    """Both list their tensors in the order of the layers, so that they can be paired without their names."""
    with torch.random.fork_rng(devices=[]):
        theirs = torchvision.models.get_model(f"resnet{depth}").eval()
    ours = build(ResNetConfig(depth=depth, stem="imagenet"), (3, 64, 64), 1000).to_empty(device="cpu").eval()
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    x_BCHW = some_input(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(ours(x_BCHW), theirs(x_BCHW), rtol=1e-4, atol=1e-5)


# What the shape table and the gradient norms rely on -------------------------------------------------------------


class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps the operations that run while no leaf module does, and counts how often each leaf runs."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.outside: list[str] = []
        self.inside = 0
        self.runs: Counter[str] = Counter()
        self.parts: list[str] = []
        self._leaf: str | None = None
        self._hooks = ExitStack()
        for name, module in model.named_modules():
            if not any(True for _ in module.children()):
                for hook in (
                    module.register_forward_pre_hook(lambda _module, _inputs, name=name: self._enter(name)),
                    module.register_forward_hook(lambda _module, _inputs, _output: self._leave()),
                ):
                    self._hooks.callback(hook.remove)

    def _enter(self, name: str) -> None:
        self._leaf = name
        self.runs[name] += 1
        self.parts.append(part_of(name))

    def _leave(self) -> None:
        self._leaf = None

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if self._leaf is None:
            self.outside.append(str(func))
        else:
            self.inside += 1
        return func(*args, **(kwargs or {}))

    def forward(self, model: nn.Module, shape: tuple[int, ...]) -> None:
        """Run ``model``, which is on the meta device, on one sample."""
        x = torch.empty(1, *shape, device="meta")
        with self._hooks, torch.no_grad(), self:
            model.eval()(x)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_operation_runs_in_a_leaf_module_and_every_leaf_once(name: str) -> None:
    """The shape table has a row for each leaf: so it misses no operation and counts none twice."""
    model, shape = built(name)
    watch = Watch(model)
    watch.forward(model, shape)
    assert watch.outside == []
    assert watch.inside >= sum(isinstance(module, nn.Conv2d | nn.Linear) for module in model.modules())
    leaves = [name for name, module in model.named_modules() if not any(True for _ in module.children())]
    assert watch.runs == Counter(leaves)


def test_an_operation_outside_of_a_leaf_would_be_noticed() -> None:
    class Hidden(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 4, device="meta")

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(self.linear(x))

    model = Hidden()
    watch = Watch(model)
    watch.forward(model, (4,))
    assert watch.outside == ["aten.relu.default"]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_part_is_named_alike_and_comes_in_order(name: str) -> None:
    model, shape = built(name)
    named = parts(model)
    assert named[0] == "stem"
    assert named[-1] == "head"
    pattern = re.compile(r"stage([1-4])\.(?:block([1-9]\d*)|transition|reduction)")
    matches = [pattern.fullmatch(part) for part in named[1:-1]]
    assert all(matches), named
    stages = [int(match[1]) for match in matches if match]
    assert stages == sorted(stages)
    assert set(stages) == set(range(1, max(stages) + 1))
    for stage in set(stages):
        blocks = [int(match[2]) for match in matches if match and int(match[1]) == stage and match[2]]
        assert blocks == list(range(1, len(blocks) + 1))
    # All that runs belongs to a part, and the parts run in the order in which they are listed.
    watch = Watch(model)
    watch.forward(model, shape)
    assert tuple(dict.fromkeys(watch.parts)) == named


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_tensor_gets_an_initial_value_and_every_parameter_a_gradient(name: str) -> None:
    model, shape = built(name)
    model = build_initialised(configured(ARCHITECTURES[name]), shape, 10, seed=1, device=CPU)
    assert all(bool(tensor.isfinite().all()) for tensor in model.state_dict().values())
    shape = shape if len(shape) == 1 else (3, 16, 16)  # a quarter of the work
    F.cross_entropy(model(some_input(4, *shape)), torch.arange(4)).backward()  # type: ignore[no-untyped-call]
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


# What each architecture is --------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"depth": 14}, {"depth": 20, "block": "bottleneck"}])
def test_pre_activation_leaves_the_path_along_the_shortcuts_clean(options: dict[str, Any]) -> None:
    model = initialised(options | {"preactivation": True})
    for module in model.get_submodule("stage2").modules():
        if isinstance(module, nn.Conv2d):
            nn.init.zeros_(module.weight)
    inside = model.get_submodule("stage2.block2")
    channels = inside.get_submodule("norm1").num_features
    assert isinstance(channels, int)
    x_BCHW = some_input(2, channels, 8, 8)
    assert torch.equal(inside(x_BCHW), x_BCHW)


def test_the_first_unit_of_a_pre_activation_network_splits_after_norm_and_relu() -> None:
    block = initialised({"depth": 14, "preactivation": True}).get_submodule("stage1.block1")
    for module in block.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.zeros_(module.weight)
    x_BCHW = some_input(2, 16, 8, 8)
    assert torch.equal(block(x_BCHW), F.relu(block.get_submodule("norm1")(x_BCHW)))


def test_a_gate_passes_on_the_input_where_it_is_closed_and_h_where_it_is_open() -> None:
    x_BCHW = some_input(2, 16, 8, 8)
    for bias in (-20.0, 20.0):
        block = initialised({"arch": "highway", "depth": 8, "gate_bias": bias}).get_submodule("stage1.block1")
        assert isinstance(block, HighwayBlock)
        transformed_BCHW = block.relu(block.norm(block.conv(x_BCHW)))
        expected_BCHW = x_BCHW if bias < 0 else transformed_BCHW
        assert torch.allclose(block(x_BCHW), expected_BCHW, atol=1e-4)
        assert not torch.allclose(transformed_BCHW, x_BCHW, atol=1e-2)


@pytest.mark.parametrize("options", [{"depth": 10}, {"depth": 16, "variant": "bc"}])
def test_a_dense_block_hands_its_input_on_beside_k_new_channels(options: dict[str, Any]) -> None:
    model = initialised({"arch": "densenet", "growth": 5} | options)
    channels = 10 if "variant" in options else 16
    x_BCHW = some_input(2, channels, 8, 8)
    out_BCHW = model.get_submodule("stage1.block1")(x_BCHW)
    assert out_BCHW.shape == (2, channels + 5, 8, 8)
    assert torch.equal(out_BCHW[:, :channels], x_BCHW)
    grown = channels + 2 * 5  # two layers a stage
    out_BCHW = model.get_submodule("stage1.transition")(some_input(2, grown, 8, 8))
    assert out_BCHW.shape == (2, grown // 2 if "variant" in options else grown, 4, 4)


def test_an_inception_block_adds_its_scaled_projection() -> None:
    model = initialised({"arch": "inception-resnet", "blocks": [1, 1, 1], "scale": 0.3})
    for name, channels in (("stage1", 64), ("stage2", 192), ("stage3", 384)):
        block = model.get_submodule(f"{name}.block1")
        project = block.get_submodule("project")
        assert isinstance(project, nn.Conv2d)
        assert project.bias is not None
        x_BCHW = some_input(2, channels, 8, 8)
        nn.init.zeros_(project.weight)
        assert torch.equal(block(x_BCHW), F.relu(x_BCHW))
        nn.init.constant_(project.bias, 2.0)
        assert torch.allclose(block(x_BCHW), F.relu(x_BCHW + 0.3 * 2.0), atol=1e-6)


def test_the_stride_2_stem_needs_a_quarter_of_the_pixels_and_no_other_weights() -> None:
    usual, small = (
        build(ResNetConfig(depth=20, shortcut="B", stem=stem), IMAGE, 10) for stem in ("cifar", "stride2")
    )
    assert [p.shape for p in usual.parameters()] == [p.shape for p in small.parameters()]
    x_BCHW = torch.empty(1, *IMAGE, device="meta")
    assert usual.get_submodule("stem")(x_BCHW).shape == (1, 16, 32, 32)
    assert small.get_submodule("stem")(x_BCHW).shape == (1, 16, 16, 16)


# What is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"depth": 21}, r"6n\+2 .*nearest allowed: 20 and 26"),
        ({"depth": 21, "block": "bottleneck"}, r"9n\+2 .*nearest allowed: 20 and 29"),
        (
            {"depth": 34, "stages": 4, "block": "bottleneck"},
            "four stages with bottleneck blocks has depth 50, 101, 152",
        ),
        ({"depth": 20, "stages": 4}, "four stages with basic blocks has depth 18, 34"),
        ({"depth": 34, "stages": 3}, "stages = 4 for the ResNet-34"),
        ({"arch": "highway", "depth": 12}, r"3n\+2 .*nearest allowed: 11 and 14"),
        ({"arch": "highway", "depth": 11, "gate_bias": 21}, "model.gate_bias = 21"),
        ({"arch": "densenet", "depth": 41}, r"3n\+4 .*nearest allowed: 40 and 43"),
        ({"arch": "densenet", "depth": 43, "variant": "bc"}, r"6n\+4 .*nearest allowed: 40 and 46"),
        ({"arch": "densenet", "shortcut": "A"}, r"unknown key 'model.shortcut' of densenet"),
        ({"arch": "residual-mlp", "depth": 8}, r"unknown key 'model.depth' of residual-mlp"),
        ({"arch": "residual-mlp", "widths": [32]}, "model.widths"),
        ({"arch": "inception-resnet", "depth": 8}, r"unknown key 'model.depth' of inception-resnet"),
        ({"arch": "inception-resnet", "blocks": [1, 0, 1]}, r"model.blocks.1 = 0: allowed: greater than"),
        ({"arch": "inception-resnet", "scale": 0}, "model.scale = 0"),
        ({"depth": 20, "growth": 12}, r"unknown key 'model.growth' of resnet"),
        ({"arch": "desnet"}, "model.arch = 'desnet': allowed: .*did you mean 'densenet'"),
    ],
)
def test_options_that_do_not_fit_the_architecture_are_refused(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        configured(options)


@pytest.mark.parametrize("name", ["resnet", "highway", "densenet", "inception-resnet"])
def test_rows_of_features_need_the_residual_mlp(name: str) -> None:
    with pytest.raises(UserError, match="choose --arch residual-mlp"):
        build(configured(ARCHITECTURES[name]), (4,), 3)
    with pytest.raises(UserError, match="takes rows of features"):
        build(ResidualMlpConfig(arch="residual-mlp"), IMAGE, 10)
