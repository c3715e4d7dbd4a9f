"""The shape table against the document's walkthrough, published counts, a real pass, torch's counter, torchinfo."""

import math
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode
from torchinfo import summary

from engine.config import ModelConfig, ResNetConfig
from engine.models import build, build_initialised
from engine.shapes.explain import explain
from engine.shapes.formula import size_formula
from engine.shapes.groups import grouped
from engine.shapes.table import training_memory
from engine.shapes.trace import shape_table

CPU = torch.device("cpu")
EVERY: dict[str, dict[str, Any]] = {
    "basic": {"depth": 14},
    "projections": {"depth": 14, "shortcut": "C"},
    "plain": {"depth": 14, "shortcut": "none"},
    "bottleneck": {"depth": 20, "block": "bottleneck"},
    "preactivation": {"depth": 14, "preactivation": True, "shortcut": "B"},
    "preactivation bottleneck": {"depth": 20, "block": "bottleneck", "preactivation": True},
    "stride-2 stem": {"depth": 8, "stem": "stride2"},
    "wide": {"depth": 8, "width": 1.5},
    "four stages": {"depth": 18, "stem": "imagenet"},
    "four stages, bottleneck": {"depth": 50, "width": 0.25},
    "highway": {"arch": "highway", "depth": 11},
    "densenet": {"arch": "densenet", "depth": 13},
    "densenet-bc": {"arch": "densenet", "depth": 16, "variant": "bc"},
    "inception-resnet": {"arch": "inception-resnet", "blocks": [1, 2, 1]},
    "residual-mlp": {"arch": "residual-mlp"},
}


def config_of(name: str) -> tuple[ModelConfig, tuple[int, ...]]:
    config: ModelConfig = TypeAdapter(ModelConfig).validate_python(EVERY[name])
    return config, (4,) if name == "residual-mlp" else (3, 32, 32)


def test_the_documents_eight_steps_output_for_output_and_formula_for_formula() -> None:
    table = shape_table(ResNetConfig(depth=34, stem="imagenet"), (3, 224, 224), 1000)
    assert [(row.name, row.output, row.formula) for row in grouped(table.rows, "stages")] == [
        ("stem.conv+norm+relu", (64, 112, 112), "(224 − 7 + 2×3)/2 + 1 = 112.5 → ⌊112.5⌋ = 112"),
        ("stem.pool", (64, 56, 56), "(112 − 3 + 2×1)/2 + 1 = 56.5 → ⌊56.5⌋ = 56"),
        ("stage1", (64, 56, 56), "(56 − 3 + 2×1)/1 + 1 = 56"),
        ("stage2", (128, 28, 28), "(56 − 3 + 2×1)/2 + 1 = 28.5 → ⌊28.5⌋ = 28"),
        ("stage3", (256, 14, 14), "(28 − 3 + 2×1)/2 + 1 = 14.5 → ⌊14.5⌋ = 14"),
        ("stage4", (512, 7, 7), "(14 − 3 + 2×1)/2 + 1 = 7.5 → ⌊7.5⌋ = 7"),
        ("head.pool", (512, 1, 1), "(7 − 7 + 2×0)/1 + 1 = 1"),
        ("head.flatten+linear", (1000,), "512 → 1000"),
    ]
    assert table.params == 21_797_672
    assert [row.op for row in grouped(table.rows, "stages")][2:6] == ["3 blocks", "4 blocks", "6 blocks", "3 blocks"]


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((56, 3, 1, 1), "(56 − 3 + 2×1)/1 + 1 = 56"),
        ((224, 7, 2, 3), "(224 − 7 + 2×3)/2 + 1 = 112.5 → ⌊112.5⌋ = 112"),
        ((10_000, 2, 3, 0), "(10000 − 2 + 2×0)/3 + 1 = 3333.67 → ⌊3333.67⌋ = 3333"),
        ((1, 2, 2, 0), "(1 − 2 + 2×0)/2 + 1 = 0.5 → ⌊0.5⌋ = 0"),
    ],
)
def test_the_floor_is_shown_where_it_bites(numbers: tuple[int, int, int, int], expected: str) -> None:
    assert size_formula(*numbers) == expected


@pytest.mark.parametrize("name", EVERY)
def test_params_shapes_and_flops_are_those_of_a_real_pass(name: str) -> None:
    config, shape = config_of(name)
    table = shape_table(config, shape, 7)
    model = build_initialised(config, shape, 7, seed=1, device=CPU).eval()
    assert table.params == sum(row.params for row in table.rows) == sum(p.numel() for p in model.parameters())
    assert table.buffers == sum(b.numel() for b in model.buffers() if b.is_floating_point())
    seen: list[tuple[str, tuple[int, ...]]] = []
    for module_name, module in model.named_modules():
        if not list(module.children()):
            module.register_forward_hook(
                lambda _m, _i, output, name=module_name: seen.append((name, tuple(output.shape[1:])))
            )
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        logits_BK = model(torch.zeros(1, *shape))
    assert seen == [(row.name, row.output) for row in table.rows]
    assert logits_BK.shape == (1, 7)
    assert table.flops == counter.get_total_flops() == 2 * table.macs


@pytest.mark.parametrize("name", EVERY)
def test_rows_agree_with_torchinfo(name: str) -> None:
    config, shape = config_of(name)
    table = shape_table(config, shape, 7)
    model = build_initialised(config, shape, 7, seed=1, device=CPU)
    info = summary(model, (1, *shape), verbose=0, depth=20, cache_forward_pass=False)
    leaves = [layer for layer in info.summary_list if layer.is_leaf_layer]
    theirs = [(layer.class_name, tuple(layer.output_size[1:]), layer.num_params) for layer in leaves]
    # torchinfo lists a module where it is defined, this table where it runs.
    assert Counter(theirs) == Counter((row.op, row.output, row.params) for row in table.rows)
    assert info.total_params == table.params
    assert info.total_mult_adds >= table.macs, "torchinfo counts norms and biases as well"


@pytest.mark.parametrize("name", EVERY)
def test_activation_bytes_are_what_autograd_keeps_of_a_real_training_pass(name: str) -> None:
    config, shape = config_of(name)
    batch = 8
    table = shape_table(config, shape, 7, batch)
    model = build_initialised(config, shape, 7, seed=1, device=CPU).train()
    weights = {p.untyped_storage().data_ptr() for p in (*model.parameters(), *model.buffers())}
    x = torch.zeros(batch, *shape)
    kept: dict[int, int] = {}
    alive = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        alive.append(tensor)
        if storage.data_ptr() not in weights | {x.untyped_storage().data_ptr()}:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        model(x)
    assert sum(kept.values()) == table.activation_bytes > 0


def test_activations_grow_with_the_batch() -> None:
    small, large = (shape_table(ResNetConfig(depth=8), (3, 32, 32), 10, batch) for batch in (1, 100))
    assert large.activation_bytes == pytest.approx(100 * small.activation_bytes, rel=0.02)
    assert [row.output for row in small.rows] == [row.output for row in large.rows]


def test_what_overwrites_its_input_or_needs_no_gradient_takes_no_memory() -> None:
    rows = {row.name: row for row in shape_table(ResNetConfig(depth=8), (3, 32, 32), 10).rows}
    assert rows["stage1.block1.relu1"].activation_bytes == 0
    assert rows["stage1.block1.shortcut"].activation_bytes == 0
    assert rows["stage1.block1.conv1"].activation_bytes == 4 * 16 * 32 * 32
    assert rows["stage1.block1.add"].activation_bytes == 4 * 16 * 32 * 32


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("stem.conv", 7),
        ("stem.pool", 11),
        ("stage1.block1.conv1", 19),
        ("stage2.block1.conv1", 67),
        ("stage4.block3.conv2", 899),
    ],
)
def test_receptive_fields_of_resnet_34(name: str, field: int) -> None:
    rows = {row.name: row for row in shape_table(ResNetConfig(depth=34, stem="imagenet"), (3, 224, 224), 10).rows}
    assert rows[name].receptive_field == (field, field)


def test_a_receptive_field_is_what_the_gradient_reaches() -> None:
    config = ResNetConfig(depth=14, stem="imagenet")
    table = {row.name: row for row in shape_table(config, (3, 160, 160), 10).rows}
    model = build_initialised(config, (3, 160, 160), 10, seed=1, device=CPU).eval()
    x = torch.rand(1, 3, 160, 160, generator=torch.Generator().manual_seed(0)).requires_grad_()
    outputs: dict[str, torch.Tensor] = {}
    for name in ("stem.pool", "stage1.block2.conv2", "stage2.block1.conv1"):
        model.get_submodule(name).register_forward_hook(lambda _m, _i, out, name=name: outputs.__setitem__(name, out))
    # Max-pooling passes the gradient to one pixel of each window; an average passes it to all, with the same field.
    pool = torch.nn.AvgPool2d(3, 2, 1)
    model.get_submodule("stem").add_module("pool", pool)
    pool.register_forward_hook(lambda _m, _i, out: outputs.__setitem__("stem.pool", out))
    for module in model.modules():
        if isinstance(module, torch.nn.ReLU):
            module.forward = lambda input: input  # type: ignore[method-assign] # noqa: A006 (a ReLU hides pixels)
    model(x)
    for name, output in outputs.items():
        (gradient,) = torch.autograd.grad(
            output[0, :, output.shape[2] // 2, output.shape[3] // 2].sum(), x, retain_graph=True
        )
        touched = gradient[0].abs().sum(dim=0).nonzero()
        extent = touched.max(dim=0).values - touched.min(dim=0).values + 1
        assert tuple(extent.tolist()) == table[name].receptive_field, name


def test_resnet_1202_takes_no_weights() -> None:
    table = shape_table(ResNetConfig(depth=1202), (3, 32, 32), 10)
    assert (table.params, round(table.macs / 1e6, 2)) == (19_421_274, 2829.24)
    assert len(grouped(table.rows, "blocks")) == 600 + 3


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("detail", ["stages", "blocks"])
def test_groups_keep_the_sums_and_the_ends(name: str, detail: Any) -> None:
    config, shape = config_of(name)
    table = shape_table(config, shape, 7, 4)
    rows = grouped(table.rows, detail)
    for key in ("params", "macs", "flops", "activation_bytes"):
        assert sum(getattr(row, key) for row in rows) == sum(getattr(row, key) for row in table.rows)
    assert (rows[0].input, rows[-1].output) == (shape, (7,))
    assert all(first.output == second.input for first, second in pairwise(rows))
    assert len({row.name for row in rows}) == len(rows)


def test_the_table_ends_where_the_input_does_not_fit() -> None:
    config: ModelConfig = TypeAdapter(ModelConfig).validate_python({"arch": "densenet", "depth": 10})
    table = shape_table(config, (3, 2, 2), 10)
    assert table.failure is not None
    assert (table.failure.name, table.failure.input) == ("stage2.transition.pool", (64, 1, 1))
    reason = "its 2×2 window is larger than its input of 1×1: (1 − 2 + 2×0)/2 + 1 = 0.5 → ⌊0.5⌋ = 0"
    assert table.failure.reason == reason
    assert table.rows[-1].name == "stage2.transition.conv"


@pytest.mark.parametrize(("optimiser", "momentum", "states"), [("sgd", 0.9, 1), ("sgd", 0.0, 0), ("adam", 0.9, 2)])
def test_memory_to_train(optimiser: str, momentum: float, states: int) -> None:
    table = shape_table(ResNetConfig(depth=8), (3, 32, 32), 10, 16)
    memory = training_memory(table, optimiser, momentum)
    assert memory.gradients == 4 * table.params
    assert memory.optimiser == 4 * states * table.params
    assert memory.batch == 4 * 16 * 3 * 32 * 32
    assert memory.total == (
        memory.weights + memory.gradients + memory.optimiser + table.activation_bytes + memory.batch
    )


def test_a_row_in_full() -> None:
    rows = {row.name: row for row in shape_table(ResNetConfig(depth=34, stem="imagenet"), (3, 224, 224), 10).rows}
    conv = dict(explain([rows["stage1.block1.conv1"]], 1))
    assert conv["parameters"] == "3×3×64 × 64 = 36,864 (no bias)"
    assert conv["MACs"] == "3×3×64 for each of 64×56×56 values = 115,605,504"
    assert dict(explain([rows["head.linear"]], 1))["parameters"] == "(512 + 1) × 10 = 5,130 (1: the bias)"
    assert math.prod((3, 3, 64, 64, 56, 56)) == rows["stage1.block1.conv1"].macs


def test_nothing_is_allocated() -> None:
    model = build(ResNetConfig(depth=20), (3, 32, 32), 10)
    assert all(p.device.type == "meta" for p in model.parameters())
