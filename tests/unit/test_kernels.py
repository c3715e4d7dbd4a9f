"""Norm, addition and ReLU as one operation: against torch's own, alone and in whole networks."""

import copy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support import of, tiny, train
from torch import Tensor, nn

from engine.config import ARCHITECTURES
from engine.config_file import build_config
from engine.events import RunStarted, Step
from engine.kernels import build, norm_relu
from engine.kernels.build import BuildError
from engine.models import build_initialised

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not any(map(shutil.which, build.COMPILERS)), reason="no compiler to make kernels with"
)
CPU = torch.device("cpu")
LAST = torch.channels_last
SHAPES = [
    (128, 16, 8, 8), (3, 12, 5, 4), (4, 36, 8, 8), (2, 1, 4, 8), (2, 7, 4, 8), (16, 256, 1, 1), (5, 342, 4, 4),
    (2, 48, 31, 8), (2, 2048, 2, 2),
]  # fmt: skip
"""Rows of fewer channels than a vector, of a vector and a half, of no power of two, of a single pixel, of many."""


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    monkeypatch.setenv("RESNET_TUI_CACHE", str(tmp_path_factory.getbasetemp() / "kernels"))
    yield
    norm_relu.library.cache_clear()


def made(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels)
    nn.init.uniform_(norm.weight, -1, 1)
    nn.init.normal_(norm.bias)
    assert norm_relu.fuse(norm) == ""
    return norm


def plain(norm: nn.Module, x: Tensor, add: Tensor | None) -> Tensor:
    y: Tensor = norm(x)
    return torch.relu(y if add is None else y + add)


def random(shape: tuple[int, ...], dtype: torch.dtype, mean: float = 0.0) -> Tensor:
    return (3 * torch.randn(shape) + mean).to(dtype).contiguous(memory_format=LAST)


def results(function: Any, norm: nn.BatchNorm2d, x: Tensor, add: Tensor | None, dy: Tensor) -> dict[str, Tensor]:
    leaves = {"x": x.detach().clone().requires_grad_()}
    if add is not None:
        leaves["add"] = add.detach().clone().requires_grad_()
    y = function(norm, leaves["x"], leaves.get("add"))
    y.backward(dy)
    grads = {f"d{name}": leaf.grad for name, leaf in (leaves | dict(norm.named_parameters())).items()}
    return {"y": y.detach(), **grads, **dict(norm.named_buffers())}


@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_gradients_and_statistics_are_those_of_double_precision(
    shape: tuple[int, ...], dtype: torch.dtype, added: bool
) -> None:
    torch.manual_seed(0)
    norm = made(shape[1])
    before = {name: value.dtype for name, value in norm.state_dict().items()}
    reference = copy.deepcopy(norm).double()
    x, dy = random(shape, dtype, mean=20.0), random(shape, dtype)
    add = random(shape, dtype) if added else None
    assert norm_relu.applies(norm, x)

    found = results(norm_relu.norm_relu, norm, x, add, dy)

    with torch.no_grad():  # whether a value passed is settled by the output that was rounded
        exact = plain(copy.deepcopy(reference), x.double(), None if add is None else add.double())
    passed = found["y"] > 0
    assert (((exact > 0) != passed) & (exact > 1e-3)).sum() == 0
    expected = results(
        lambda norm, x, add: (norm(x) if add is None else norm(x) + add) * passed,
        reference, x.double(), None if add is None else add.double(), dy.double(),
    )  # fmt: skip
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        rounding = 2**-8 if dtype == torch.bfloat16 and name in {"y", "dx", "dadd"} else 1e-5
        scale = max(float(value.abs().max()), 1e-3)
        assert (found[name].double() - value).abs().max() <= rounding * scale, name
        assert found[name].dtype == (dtype if name in {"y", "dx", "dadd"} else before[name.removeprefix("d")])


def test_a_mean_far_from_zero_costs_no_digits() -> None:
    norm, reference = made(16), nn.BatchNorm2d(16).double()
    x = random((8, 16, 16, 16), torch.float32) + 10_000
    norm_relu.norm_relu(norm, x)
    reference(x.double())
    assert norm.running_var is not None
    torch.testing.assert_close(norm.running_var.double(), reference.running_var, rtol=1e-5, atol=0)


def test_no_number_stays_no_number() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        x = random((2, 16, 4, 4), dtype)
        x[0, 3, 1, 1] = torch.nan
        y = norm_relu.norm_relu(made(16), x)
        assert y[:, 3].isnan().all()
        assert not y[:, :3].isnan().any()


def test_the_same_bits_whatever_the_number_of_threads() -> None:
    torch.manual_seed(0)
    norm, x, dy = made(16), random((32, 16, 32, 32), torch.bfloat16), random((32, 16, 32, 32), torch.bfloat16)
    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 2, 3, 2):
            torch.set_num_threads(count)
            found.append(results(norm_relu.norm_relu, copy.deepcopy(norm), x, x, dy))
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(torch.equal(other[name], value) for name, value in found[0].items())


def test_what_it_is_not_made_for_is_left_to_torch() -> None:
    norm, x = made(16), random((2, 16, 4, 4), torch.float32)
    assert norm_relu.applies(norm, x)
    assert not norm_relu.applies(nn.BatchNorm2d(16), x)
    assert not norm_relu.applies(norm, x.contiguous())
    assert not norm_relu.applies(norm, x.double())
    assert not norm_relu.applies(norm, x.to("meta"))
    assert not norm_relu.applies(norm, random((1, 16, 1, 1), torch.float32))  # torch says why that is an error
    assert not norm_relu.applies(norm.eval(), x)
    for odd in (nn.BatchNorm2d(16, affine=False), nn.BatchNorm2d(16, track_running_stats=False)):
        norm_relu.fuse(odd)
        assert not norm_relu.applies(odd, x)


NETWORKS: list[dict[str, Any]] = [
    {"depth": 8}, {"depth": 8, "shortcut": "B"}, {"depth": 8, "shortcut": "none"},
    {"depth": 11, "block": "bottleneck"}, {"depth": 8, "preactivation": True},
    {"depth": 18, "width": 0.25}, {"arch": "densenet", "depth": 10}, {"arch": "highway", "depth": 8},
    {"arch": "inception-resnet", "width": 0.25},
]  # fmt: skip


@pytest.mark.parametrize("model", NETWORKS, ids=str)
def test_every_network_gives_the_same_to_rounding(model: dict[str, Any]) -> None:
    config = build_config({"model": model}, {}).model
    networks = [build_initialised(config, (3, 16, 16), 10, 1, CPU).train() for _ in range(2)]
    assert norm_relu.fuse(networks[1]) == ""
    x = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(1)).contiguous(memory_format=LAST)
    kept: list[dict[str, Tensor]] = []
    for network in networks:
        network(x).square().mean().backward()
        gradients = {f"gradient of {name}": value.grad for name, value in network.named_parameters()}
        kept.append({**network.state_dict(), **gradients})  # type: ignore[dict-item]
    assert kept[0].keys() == kept[1].keys()
    for name, value in kept[0].items():
        # As a whole: a value at the edge of a ReLU may fall to either side of it.
        assert (kept[1][name] - value).float().norm() <= 1e-2 * value.float().norm() + 1e-6, name


@pytest.mark.parametrize("model", NETWORKS, ids=str)
def test_as_much_is_kept_for_the_backward_pass(model: dict[str, Any]) -> None:
    """So the shape table's account of memory holds for both."""
    network = build_initialised(build_config({"model": model}, {}).model, (3, 16, 16), 10, 1, CPU).train()
    x = torch.randn(8, 3, 16, 16).contiguous(memory_format=LAST)

    def kept() -> int:
        sizes: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            output = network(x)
        del output
        return sum(sizes.values())

    without = kept()
    assert norm_relu.fuse(network) == ""
    assert kept() <= without


def test_every_architecture_of_pictures_is_among_these() -> None:
    assert {network.get("arch", "resnet") for network in NETWORKS} == ARCHITECTURES.keys() - {"residual-mlp"}


def test_a_run_says_that_it_uses_them_and_begins_like_one_that_does_not() -> None:
    fused, unfused = (train(tiny(train__fused=on, train__precision="float32")) for on in (True, False))
    assert "fused norms" in of(fused, RunStarted)[0].device
    assert "fused" not in of(unfused, RunStarted)[0].device
    assert of(fused, Step)[0].loss == pytest.approx(of(unfused, Step)[0].loss, rel=1e-4)


def test_without_a_compiler_a_run_trains_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    norm_relu.library.cache_clear()
    with caplog.at_level("INFO", "engine"):
        events = train(tiny())
    assert "not fused: no C compiler found" in caplog.text
    assert "fused" not in of(events, RunStarted)[0].device
    assert events[-1].outcome == "completed"  # type: ignore[union-attr]


def test_a_compiler_that_fails_is_an_error_of_the_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RESNET_TUI_CACHE", str(tmp_path))
    broken = tmp_path / "broken.c"
    broken.write_text("no C")
    with pytest.raises(BuildError, match="error"):
        build.load(broken)
    monkeypatch.setenv("CC", "false")
    with pytest.raises(BuildError):
        build.load(Path(norm_relu.__file__).with_suffix(".c"))


def test_a_library_is_made_once_and_only_loaded_where_no_one_else_can_write(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RESNET_TUI_CACHE", str(tmp_path))
    source = tmp_path / "one.c"
    source.write_text("int one(void) { return 1; }")
    assert build.load(source).one() == 1
    (library,) = (tmp_path / "kernels").iterdir()
    assert (tmp_path / "kernels").stat().st_mode & 0o777 == 0o700
    made_at = library.stat().st_mtime_ns
    build.load(source)
    assert library.stat().st_mtime_ns == made_at

    library.chmod(0o666)
    with pytest.raises(BuildError, match="others can write"):
        build.load(source)
    library.chmod(0o600)
    (tmp_path / "kernels").chmod(0o777)
    with pytest.raises(BuildError, match="others can write"):
        build.load(source)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
def test_there_is_one_openmp_in_the_process() -> None:
    code = (
        "import torch; from pathlib import Path; from engine.kernels import norm_relu as kernels\n"
        "norm = torch.nn.BatchNorm2d(16); kernels.fuse(norm)\n"
        "kernels.norm_relu(norm, torch.randn(32, 16, 32, 32).contiguous(memory_format=torch.channels_last))\n"
        "lines = Path('/proc/self/maps').read_text().splitlines()\n"
        "print(*{line.split()[-1] for line in lines if 'libgomp' in line or 'libiomp' in line}, sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert len(done.stdout.split()) == 1
