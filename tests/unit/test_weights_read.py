"""Files of weights: what is read, and that nothing in a file is run or allocates more than the file has."""

import io
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from engine.errors import UserError, WorldError
from engine.pickles import LEGACY_START
from engine.weights.read import read_tensors

TENSORS = {"a.weight": torch.arange(6.0).view(2, 3), "a.count": torch.tensor(7)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "weights.bin"  # the name tells nothing


def save(content: object, file: Path, kind: str) -> None:
    if kind == "safetensors":
        assert isinstance(content, dict)
        save_file(content, file)
    else:
        torch.save(content, file, _use_new_zipfile_serialization=kind == "zip")


def refused(file: Path, error: type[UserError], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read_tensors(file)
    assert caught.type is error
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_each_format_is_known_by_its_content(file: Path, kind: str) -> None:
    save(TENSORS, file, kind)
    content = read_tensors(file)
    torch.testing.assert_close(content.tensors, TENSORS, rtol=0, atol=0)
    assert len(content.sha256) == 64


def test_metadata_of_safetensors(file: Path) -> None:
    save_file(TENSORS, file, metadata={"who": "me"})
    assert read_tensors(file).metadata == {"who": "me"}


@pytest.mark.parametrize("kind", ["zip", "legacy"])
@pytest.mark.parametrize(
    "wrapped",
    [
        {"state_dict": TENSORS, "best_prec1": 91.5, "epoch": 3},
        {"model": {"state_dict": TENSORS}, "optimizer": {"state": {}}},
        {"net": TENSORS, "acc": 95.1},
        {"model_state_dict": {name: nn.Parameter(t, requires_grad=False) for name, t in TENSORS.items()}},
        TENSORS | {"epoch": 4, "note": "x"},
    ],
)
def test_wrappers_are_taken_off(file: Path, kind: str, wrapped: dict[str, Any]) -> None:
    save(wrapped, file, kind)
    tensors = read_tensors(file).tensors
    torch.testing.assert_close(tensors, TENSORS, rtol=0, atol=0)
    assert {type(tensor) for tensor in tensors.values()} == {Tensor}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_floating_point_becomes_float32(file: Path, kind: str, dtype: torch.dtype) -> None:
    save({"w": torch.tensor([1.5, -2.0], dtype=dtype), "n": torch.tensor(3, dtype=torch.int32)}, file, kind)
    tensors = read_tensors(file).tensors
    assert tensors["w"].dtype == torch.float32
    assert tensors["w"].tolist() == [1.5, -2.0]
    assert tensors["n"].dtype == torch.int32


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_values_that_are_not_finite_are_named(file: Path, kind: str, value: float) -> None:
    save({"good": torch.ones(2), "b\x1bad": torch.tensor([1.0, value], dtype=torch.float64)}, file, kind)
    refused(file, UserError, "'b\ufffdad' holds values that are not finite")


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_complex_tensors_are_named(file: Path, kind: str) -> None:
    save({"odd": torch.zeros(2, dtype=torch.complex64)}, file, kind)
    refused(file, UserError, "'odd' is a tensor of another kind")


@pytest.mark.parametrize("kind", ["zip", "legacy"])
@pytest.mark.filterwarnings("ignore")
def test_quantised_and_sparse_tensors_are_named(file: Path, kind: str) -> None:
    save({"plain": torch.ones(2), "q": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)}, file, kind)
    refused(file, UserError, "'q' is a quantised tensor")
    save({"plain": torch.ones(2), "s": torch.eye(3).to_sparse()}, file, kind)
    refused(file, UserError, "'s' is a sparse tensor")


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, fired: Path) -> None:
        self.fired = fired

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.fired), "w")


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle 2", "pickle 4"])
def test_code_is_named_and_not_run(file: Path, tmp_path: Path, kind: str) -> None:
    fired = tmp_path / "fired"
    content = TENSORS | {"trap": Trap(fired)}
    if kind.startswith("pickle"):
        raw = pickle.dumps({"trap": Trap(fired)}, protocol=int(kind[-1]))
        file.write_bytes(raw)
        pickle.loads(raw)["trap"].close()
    else:
        save(content, file, kind)
        torch.load(file, weights_only=False)["trap"].close()
    fired.unlink()  # so the trap works
    refused(file, UserError, r"holds code: it wants to call \w+\.open, which is not run; save the tensors alone")
    assert not fired.exists()


def test_a_whole_module_is_code(file: Path) -> None:
    torch.save(nn.Linear(2, 2), file)
    refused(file, UserError, r"wants to call torch\.nn\.modules\.linear\.Linear, which is not run")


def test_torchscript_is_not_run(file: Path) -> None:
    raw = rewritten({"w": torch.ones(2)}, extra={"constants.pkl": b""})
    file.write_bytes(raw)
    refused(file, UserError, "TorchScript program, which is not run")


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_every_cut_is_noticed(file: Path, kind: str) -> None:
    save(TENSORS, file, kind)
    whole = file.read_bytes()
    for length in (*range(20, len(whole), 37), len(whole) - 1):
        file.write_bytes(whole[:length])
        refused(file, WorldError, "damaged or incomplete")


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_no_changed_byte_causes_anything_but_an_error_of_ours(file: Path, kind: str) -> None:
    save({"w": torch.arange(4.0)}, file, kind)
    whole = file.read_bytes()
    for index in range(len(whole)):
        file.write_bytes(whole[:index] + bytes([whole[index] ^ 0x15]) + whole[index + 1 :])
        try:
            tensors = read_tensors(file).tensors
        except UserError:
            continue
        assert sum(tensor.numel() for tensor in tensors.values()) <= len(whole)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"", WorldError, "empty"),
        (b"conv1: not weights\n" * 9, UserError, "neither a .safetensors file nor one of torch"),
        (b"\x80\x02K\x01.", UserError, "neither a .safetensors file nor one of torch"),
        (b"\x80\x04K\x01.", UserError, "pickled with protocol 4"),
        (b"PK\x03\x04garbage", WorldError, "damaged or incomplete"),
        (b"\xff" * 8 + b"{", WorldError, "damaged or incomplete"),
        (LEGACY_START, WorldError, "damaged or incomplete"),
    ],
)
def test_what_is_no_file_of_weights(file: Path, content: bytes, error: type[UserError], message: str) -> None:
    file.write_bytes(content)
    refused(file, error, message)


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, [torch.ones(1)], torch.ones(3), {3: torch.ones(1)}])
def test_no_tensors_by_name(file: Path, content: object) -> None:
    torch.save(content, file)
    refused(file, UserError, "holds no tensors by name")


def test_what_is_no_file(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(tmp_path, UserError, "a folder or device, not a file")
    refused(file, UserError, "there is no such file")
    file.write_bytes(b"x")

    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("engine.weights.read.read_regular", denied)
    refused(file, WorldError, "cannot be read: .*Permission denied")


def rewritten(
    content: object,
    replace: tuple[bytes, bytes] = (b"", b""),
    extra: dict[str, bytes] | None = None,
    compress: int = 0,
) -> bytes:
    """Return torch's zip file of ``content``, its pickle changed and entries added."""
    saved, changed = io.BytesIO(), io.BytesIO()
    torch.save(content, saved)
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(changed, "w", compress) as new:
        top = old.namelist()[0].partition("/")[0]
        for name in old.namelist():
            raw = old.read(name)
            if name.endswith("data.pkl"):
                assert replace[0] in raw
                raw = raw.replace(*replace)
            new.writestr(name, raw)
        for name, raw in (extra or {}).items():
            new.writestr(f"{top}/{name}", raw)
    return changed.getvalue()


def test_zip_files_that_torch_does_not_write(file: Path) -> None:
    zeros = {"w": torch.zeros(1 << 20)}
    file.write_bytes(rewritten(zeros, compress=zipfile.ZIP_DEFLATED))
    assert file.stat().st_size < 1 << 16
    refused(file, UserError, "compressed or repeated entries")
    file.write_bytes(rewritten(zeros, extra={"DATA.PKL": b""}))
    refused(file, UserError, "compressed or repeated entries")
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("holiday.jpg", b"x")
    refused(file, UserError, "a zip file, but not one of torch's")


def test_a_zip_entry_that_claims_more_than_the_file(file: Path) -> None:
    raw = rewritten({"w": torch.ones(2)}, extra={"big": b"12345678"})
    size = (8).to_bytes(4, "little") * 2  # stored, then original, in the list of entries
    listed = raw.rindex(b"PK\x01\x02")
    assert raw[listed + 20 : listed + 28] == size
    file.write_bytes(raw[: listed + 20] + (1 << 30).to_bytes(4, "little") * 2 + raw[listed + 28 :])
    refused(file, WorldError, "its entries claim more bytes than it has")


@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_a_view_that_claims_more_than_the_file_is_not_copied(file: Path, kind: str) -> None:
    save({"w": torch.zeros(1).expand(1 << 40)}, file, kind)
    refused(file, WorldError, "its tensors claim 4,398,046,511,104 bytes|asks for 1,099,511,627,776 elements")


def test_a_storage_larger_than_the_file_is_not_allocated(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save({"w": torch.ones(4)}, file, "legacy")
    raw = file.read_bytes()
    assert raw.count(b"K\x04N") == 1  # the number of elements, then no view
    file.write_bytes(raw.replace(b"K\x04N", b"J\xff\xff\xff\x7fN"))
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("torch must not see it"))
    refused(file, WorldError, "it asks for 2,147,483,647 elements")


def test_a_storage_larger_than_its_entry_is_damage(file: Path) -> None:
    file.write_bytes(rewritten({"w": torch.ones(4)}, (b"K\x04\x85", b"K\xff\x85")))
    refused(file, WorldError, "damaged or incomplete")


def test_a_pickle_of_endless_instructions(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.pickles.MOST_INSTRUCTIONS", 10)
    save(TENSORS, file, "zip")
    refused(file, UserError, "more than 10 instructions")


def test_a_name_from_outside_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=re.escape("a\ufffd[31mb.pt: there is no such file")):
        read_tensors(tmp_path / "a\x1b[31mb.pt")
