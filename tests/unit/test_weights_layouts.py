"""Every layout gives the logits that the code it is from gives; what is no layout is said."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn
from weights_support import Iris, Net, assert_same_logits, load, network, randomised

from engine.checkpoint import Best, TrainState, save_checkpoint
from engine.config import (
    DataConfig,
    DenseNetConfig,
    HighwayConfig,
    InceptionResNetConfig,
    ModelConfig,
    ResidualMlpConfig,
    ResNetConfig,
    RunConfig,
)
from engine.errors import UserError, WorldError
from engine.models import build_initialised
from engine.run_dir import RunDir, create
from engine.schedule import RateState
from engine.weights import Weights


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "weights.pt"


def facts(weights: Weights) -> tuple[str, str | None]:
    assert weights.left_out == ()
    return weights.layout, weights.normalise


@pytest.mark.parametrize("old", [True, False])
def test_akamaster(file: Path, old: bool) -> None:
    theirs = randomised(Net((3, 3, 3), "linear", "shortcut", "A"))
    state = {f"module.{name}": tensor for name, tensor in theirs.state_dict().items()}
    if old:  # before PyTorch 0.4.1
        state = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    torch.save({"state_dict": state, "best_prec1": 91.7}, file, _use_new_zipfile_serialization=False)
    weights = load(file)
    assert facts(weights) == ("akamaster/pytorch_resnet_cifar10", "imagenet")
    assert weights.model == ResNetConfig(depth=20, shortcut="A")
    assert weights.tensors["stem.norm.num_batches_tracked"] == (0 if old else 5)
    assert (weights.source, len(weights.sha256)) == (str(file), 64)
    assert_same_logits(weights, theirs)


@pytest.mark.parametrize(
    ("net", "layout", "normalise", "model"),
    [
        (
            {"blocks": (2, 2, 2), "head": "linear", "around": "shortcut"},
            "akamaster/pytorch_resnet_cifar10 with option B",
            "imagenet",
            {"depth": 14, "shortcut": "B"},
        ),
        (
            {"blocks": (3, 3, 3), "head": "fc", "around": "downsample", "classes": 100},
            "chenyaofo/pytorch-cifar-models",
            "cifar100",
            {"depth": 20, "shortcut": "B"},
        ),
        (
            {"blocks": (3, 3, 3), "head": "fc_out", "around": "shortcut", "width": 32},
            "the ResNet20 document",
            None,
            {"depth": 20, "shortcut": "B", "width": 2},
        ),
        (
            {"blocks": (2, 2, 2, 2), "head": "linear", "around": "shortcut", "width": 64},
            "kuangliu/pytorch-cifar",
            "cifar10",
            {"depth": 18},
        ),
        (
            {"blocks": (3, 4, 6, 3), "head": "linear", "around": "shortcut", "kind": "bottleneck", "width": 16},
            "kuangliu/pytorch-cifar",
            "cifar10",
            {"depth": 50, "width": 0.25},
        ),
        (
            {"blocks": (2, 2, 2, 2), "head": "fc", "around": "downsample", "option": "C", "width": 8, "classes": 7},
            "torchvision",
            None,
            {"depth": 18, "shortcut": "C", "width": 0.125},
        ),
    ],
)
def test_the_common_layout(
    file: Path, net: dict[str, Any], layout: str, normalise: str | None, model: dict[str, Any]
) -> None:
    theirs = randomised(Net(**net))
    torch.save({f"module._orig_mod.{name}": tensor for name, tensor in theirs.state_dict().items()}, file)
    weights = load(file)
    assert facts(weights) == (layout, normalise)
    assert weights.model == ResNetConfig(**model)
    assert weights.classes == net.get("classes", 10)
    assert_same_logits(weights, theirs)


@pytest.mark.parametrize("depth", [18, 34, 50])
def test_torchvision(file: Path, depth: int) -> None:
    theirs = randomised(getattr(torchvision.models, f"resnet{depth}")(weights=None))
    torch.save(theirs.state_dict(), file)
    weights = load(file)
    assert facts(weights) == ("torchvision", "imagenet")
    assert weights.model == ResNetConfig(depth=depth, stem="imagenet")
    assert (weights.channels, weights.classes) == (3, 1000)
    assert_same_logits(weights, theirs, 3, 64, 64)


def test_the_iris_document(file: Path) -> None:
    theirs = randomised(Iris())
    torch.save(theirs.state_dict(), file)
    weights = load(file)
    assert facts(weights) == ("the Iris document", None)
    assert weights.model == ResidualMlpConfig(arch="residual-mlp", widths=(32, 32, 64))
    assert (weights.channels, weights.classes) == (4, 3)
    assert_same_logits(weights, theirs, 4)


OURS: list[ModelConfig] = [
    ResNetConfig(depth=8),
    ResNetConfig(depth=8, shortcut="C", width=2, stem="imagenet"),
    ResNetConfig(depth=11, block="bottleneck"),
    ResNetConfig(depth=8, preactivation=True, shortcut="B"),
    ResNetConfig(depth=18, width=0.125),
    ResidualMlpConfig(arch="residual-mlp", widths=(8, 8, 16)),
]
OTHERS: list[ModelConfig] = [
    HighwayConfig(arch="highway", depth=5),
    DenseNetConfig(arch="densenet", depth=7),
    InceptionResNetConfig(arch="inception-resnet", blocks=(1, 1, 1), width=0.25),
    ResNetConfig(depth=8, shortcut="none"),
]


def ours(config: ModelConfig) -> nn.Module:
    shape = (5,) if config.arch == "residual-mlp" else (1, 32, 32)
    return randomised(build_initialised(config, shape, 4, 1, torch.device("cpu")))


def contiguous(model: nn.Module, prefix: str = "") -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor.contiguous() for name, tensor in model.state_dict().items()}


def shape_of(config: ModelConfig) -> tuple[int, ...]:
    return (5,) if config.arch == "residual-mlp" else (1, 32, 32)


@pytest.mark.parametrize("config", OURS, ids=lambda config: config.title)
@pytest.mark.parametrize("prefix", ["", "model.", "average.module."])
def test_our_names_tell_the_network(file: Path, config: ModelConfig, prefix: str) -> None:
    theirs = ours(config)
    others = {"optim.0.exp_avg": torch.ones(3)} if prefix else {}
    if prefix == "average.module.":
        others |= {name: torch.zeros_like(tensor) for name, tensor in contiguous(theirs, "model.").items()}
    save_file(contiguous(theirs, prefix) | others, file)
    weights = load(file)
    assert weights.model == config
    assert facts(weights) == ("resnet-tui, averaged weights" if prefix == "average.module." else "resnet-tui", None)
    assert_same_logits(weights, theirs, *shape_of(config))


@pytest.mark.parametrize("config", OURS + OTHERS, ids=lambda config: config.title)
def test_a_described_file(file: Path, config: ModelConfig) -> None:
    theirs = ours(config)
    said = {"model": config.model_dump(), "classes": ["a", "b", "c\x1b", "d"], "normalise": "cifar10"}
    save_file(contiguous(theirs), file, metadata={"resnet-tui": json.dumps(said)})
    weights = load(file)
    assert (weights.model, weights.class_names) == (config, ("a", "b", "c\ufffd", "d"))
    assert facts(weights) == ("resnet-tui", "cifar10")
    assert_same_logits(weights, theirs, *shape_of(config))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("{", "describes no network of this version"),
        ('{"model": {"depth": 21}}', "describes no network of this version: .*depth = 21"),
        ('{"model": {"depth": 8}, "future": 1}', "describes no network of this version: future"),
        ('{"model": {"depth": 8}, "classes": ["a"]}', "names 1 classes, and its head has 4"),
        (
            '{"model": {"depth": 9998}}',
            r"says that it holds a network of 4,998 blocks, and has \d+ tensors",
        ),
    ],
)
def test_a_wrong_description(file: Path, said: str, message: str) -> None:
    save_file(contiguous(ours(ResNetConfig(depth=8))), file, metadata={"resnet-tui": said})
    with pytest.raises(UserError, match=message):
        load(file)


@pytest.mark.parametrize("config", OTHERS[:3], ids=lambda config: config.title)
def test_a_network_that_its_tensors_do_not_tell(file: Path, config: ModelConfig) -> None:
    save_file(contiguous(ours(config)), file)
    with pytest.raises(UserError, match="cannot be told from its tensors; give the run"):
        load(file)


def changed(file: Path, **changes: Tensor | None) -> Weights:
    """Load akamaster's ResNet-8 with tensors replaced, added, or (None) taken away; ``__`` stands for a dot."""
    state: dict[str, Tensor] = dict(randomised(Net((1, 1, 1), "linear", "shortcut", "A")).state_dict())
    for key, tensor in changes.items():
        state.pop(key.replace("__", "."), None)
        if tensor is not None:
            state[key.replace("__", ".")] = tensor
    torch.save(state, file)
    return load(file)


def test_what_does_not_fit_is_said_and_left_to_the_caller(file: Path) -> None:
    weights = changed(
        file,
        fc__extra=torch.ones(1),
        fc__weight=torch.ones(10, 64),
        bn1__bias=None,
        layer2__0__conv2__weight=torch.ones(32, 32, 5, 5),
        layer1__0__bn1__weight=torch.ones(16, dtype=torch.int64),
    )
    assert weights.missing == ("stem.norm.bias", "stage1.block1.norm1.weight", "stage2.block1.conv2.weight")
    assert sorted(weights.left_out) == [
        "fc.extra: not a part of the network",
        "fc.weight: the same part of the network as linear.weight",
        "layer1.0.bn1.weight: whole numbers, where the network has fractions",
        "layer2.0.conv2.weight: 32×32×5×5, where the network has 32×32×3×3",
    ]
    assert not set(weights.missing) & weights.tensors.keys()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conv1__weight": torch.ones(3)}, r"its stem\.conv has weights of shape 3; .* has 4 dimensions"),
        ({"conv1__weight": torch.tensor(1.0)}, r"its stem\.conv has no weights"),
        ({"conv1__weight": torch.ones(16, 0, 3, 3)}, "of shape 16×0×3×3; .* none of them 0"),
        ({"conv1__weight": torch.ones(513, 1, 1, 1)}, "stages of 1-1-1 basic blocks after 513 channels are no"),
        ({"linear__weight": None}, r"its head\.linear has no weights; a network here has 2 dimensions"),
        ({"linear__weight": torch.tensor(1.0)}, r"its head\.linear has no weights"),
        ({"layer4__0__conv1__weight": torch.ones(1)}, "stages of 1-1-1-1 basic blocks .* are no network that exists"),
        (
            {"layer2__1__conv1__weight": torch.ones(1)},
            "stages of 1-2-1 basic blocks after 16 channels .*allowed: three",
        ),
        ({"bn1__weight": None}, r"tensors named conv1\.weight, bn1\.bias, .* are in no layout that is known; known:"),
    ],
)
def test_networks_that_do_not_exist_here(file: Path, changes: dict[str, Tensor | None], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        changed(file, **changes)
    assert caught.value.exit_status == 2
    assert str(caught.value).startswith(f"{file}: ")


def state_of(config: RunConfig) -> TrainState:
    return TrainState(
        config=config,
        classes=("a", "b", "c", "d"),
        epoch=1,
        step_in_epoch=1,
        step=1,
        epochs=1,
        steps_per_epoch=1,
        rate=RateState(total_steps=1),
        best=Best(accuracy=0.5, epoch=1),
        epochs_since_best=0,
        scaler={},
    )


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """A run with averaged weights in its best checkpoint and none in its last."""
    config = RunConfig(model=ResNetConfig(depth=8, shortcut="none"), data=DataConfig(normalise="pixel-mean"))
    run = create(tmp_path / "runs", config)
    run.release()
    model = ours(config.model)
    zeros = {name: torch.zeros_like(tensor) for name, tensor in contiguous(model, "model.").items()}
    average = contiguous(model, "average.module.") | {"average.n_averaged": torch.tensor(3)}
    save_checkpoint(run.best, zeros | average, state_of(config))
    save_checkpoint(run.last, zeros, state_of(config))
    return run


@pytest.mark.parametrize("source", ["last", "name", "folder", "best file"])
def test_a_run(run: RunDir, source: str) -> None:
    given = {"last": "last", "name": run.path.name, "folder": str(run.path), "best file": str(run.best)}[source]
    weights = load(given, run.path.parent)
    assert facts(weights) == ("resnet-tui, averaged weights checkpoint", "pixel-mean")
    assert weights.model == ResNetConfig(depth=8, shortcut="none")
    assert (weights.class_names, weights.source) == (("a", "b", "c", "d"), given)
    assert_same_logits(weights, ours(weights.model), 1, 32, 32)


def test_the_other_checkpoint_of_a_run(run: RunDir) -> None:
    run.best.unlink()
    assert network(load("last", run.path.parent)).get_parameter("stem.conv.weight").count_nonzero() == 0
    run.last.unlink()
    with pytest.raises(UserError, match="has no checkpoint yet"):
        load("last", run.path.parent)


def test_a_damaged_checkpoint(run: RunDir) -> None:
    raw = bytearray(run.best.read_bytes())
    raw[-1] ^= 1
    run.best.write_bytes(raw)
    with pytest.raises(WorldError, match="damaged: its content does not match its hash"):
        load("last", run.path.parent)


@pytest.mark.parametrize("source", ["", "nothing.pt", "x" * 5000, "a\0b", "other:resnet18"])
def test_no_such_source(tmp_path: Path, source: str) -> None:
    with pytest.raises(UserError, match=r"there are no weights at .* give a run .*, a file .*, or a published name"):
        load(source, tmp_path)


def test_no_run_yet(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no run in"):
        load("last", tmp_path)
    with pytest.raises(UserError, match="a folder or device, not a file of weights"):
        load(tmp_path, tmp_path / "runs")


def test_what_stands_beside_the_network_is_named_unless_it_is_a_checkpoints(file: Path) -> None:
    network = contiguous(ours(ResNetConfig(depth=8)), "model.")
    beside = {"optim.0.momentum_buffer": torch.ones(3), "decoder.weight": torch.ones(3)}
    save_file(network | beside, file)
    assert load(file).left_out == ("decoder.weight: not a part of the network",)


def test_a_few_bytes_lay_no_claim_to_a_large_network(file: Path) -> None:
    tiny = {"stem.linear.weight": torch.ones(1, 4), "head.linear.weight": torch.ones(3, 1)}
    said = '{"model": {"arch": "residual-mlp", "widths": [60000, 60000]}}'
    save_file(tiny, file, metadata={"resnet-tui": said})
    with pytest.raises(UserError, match=r"to a network of [\d,]{13} numbers, and holds 7; give the file of a whole"):
        load(file)
