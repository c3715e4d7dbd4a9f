"""No code runs from any file that is read: a canary file, which every hostile file tries to make, never appears."""

from __future__ import annotations

import ast
import hashlib
import io
import os
import pickle
import pickletools
import re
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from data_support import image_folder, loaded, small_cifar
from safetensors.torch import save as save_safetensors
from support import Cli

from engine import mistakes
from engine.checkpoint import load_checkpoint
from engine.compiled import Compiled
from engine.control import ControlFile
from engine.data.checksum import Digest
from engine.data.published import SPECS, Spec
from engine.errors import UserError, WorldError
from engine.pickles import read_batch
from engine.run_dir import RunDir
from engine.weights.read import read_tensors
from resnet_tui import settings

ROOT = Path(__file__).parents[2]
UNPICKLES = "engine/pickles.py"
MODULES = {"pickle", "_pickle", "pickletools", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml", "runpy"}
CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.load", "np.load", "numpy.load",
         "torch.jit.load", "torch.hub.load", "torch.package", "pd.read_pickle", "CIFAR10", "CIFAR100"}  # fmt: skip
KEYWORDS = {"shell": (False,), "allow_pickle": (False,), "weights_only": (True,)}
"""Arguments that may have these values alone."""


def offences(source: str) -> Iterator[str]:
    """Yield what in a module's source unpickles, or runs text as code."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""] + [
                alias.name for alias in node.names if node.module == "torchvision.datasets"
            ]
        elif isinstance(node, ast.Call):
            names = [ast.unparse(node.func)]
            for word in node.keywords:
                if word.arg in KEYWORDS and getattr(word.value, "value", None) not in KEYWORDS[word.arg]:
                    names.append(f"{word.arg}=")
        else:
            continue
        yield from (name for name in names if name in MODULES | CALLS or name.endswith("="))


def test_nothing_is_unpickled_outside_one_module(figure: Callable[[str], None]) -> None:
    assert set(offences("import pickle\nnp.load(f)\neval(x)\nload(f, allow_pickle=True)\nrun(c, shell=True)")) == {
        "pickle", "np.load", "eval", "allow_pickle=", "shell="}  # fmt: skip
    files = [path for package in ("engine", "resnet_tui") for path in sorted((ROOT / package).rglob("*.py"))]
    found = {str(path.relative_to(ROOT)): set(offences(path.read_text())) for path in files}
    assert {name: offence for name, offence in found.items() if offence} == {
        UNPICKLES: {"pickle", "pickletools", "torch.load"}
    }
    assert len(files) > 150
    figure(f"1 of {len(files)} modules unpickles")


def short(text: str) -> bytes:
    """Return the instruction that pushes ``text`` in a pickle of protocol 4."""
    return b"\x8c" + struct.pack("B", len(text.encode())) + text.encode()


def tricks(canary: Path) -> dict[str, bytes]:
    """Return pickles that make ``canary`` when they are read without restraint."""
    code = f"open({os.path.relpath(canary)!r}, 'w').close()"
    text, build = f"V{code}\n".encode(), b"cbuiltins\nexec\n"
    stacked = short("builtins") + short("exec") + b"\x93"
    return {
        "global": build + b"(" + text + b"tR.",
        "instance": b"(" + text + b"ibuiltins\nexec\n.",
        "object": b"(" + build + text + b"o.",
        "stacked": b"\x80\x04" + stacked + short(code) + b"\x85R.",
        "a harmless name last": short("builtins") + b"q\x00" + short("exec") + b"q\x01" + short("collections")
        + short("OrderedDict") + b"0000h\x00h\x01\x93" + short(code) + b"\x85R.",
        "dotted": b"\x80\x04" + short("pathlib") + short("Path.touch") + b"\x93" + short("pathlib") + short("Path")
        + b"\x93" + short(str(canary)) + b"\x85R\x85R.",
        "after a table": b"\x80\x02}q\x00X\x01\x00\x00\x00wK\x01s" + build + b"(" + text + b"tR0.",
        "as a key": b"\x80\x02}" + build + b"(" + text + b"tRK\x01s.",
        "set as a state": b"\x80\x02ccollections\nOrderedDict\n)R}X\x01\x00\x00\x00a" + build + b"(" + text
        + b"tRsb.",
        "a shell": f"cos\nsystem\n(V: > '{canary}'\ntR.".encode(),
        "an attribute": b"cbuiltins\ngetattr\n(cos\n__dict__\nVget\ntR(Vsystem\ntR(V: > '"
        + str(canary).encode() + b"'\ntR.",
        "through torch": b"ctorch.storage\n_load_from_bytes\n(" + b"c_codecs\nencode\n(V"
        + pickle_of_pickle(build + b"(" + text + b"tR.") + b"\nVlatin1\ntRtR.",
    }  # fmt: skip


def pickle_of_pickle(inner: bytes) -> bytes:
    """Return a torch file, in its oldest format's place a bare pickle, as text for another pickle."""
    return inner.decode("latin1").replace("\\", "\\u005c").replace("\n", "\\u000a").encode("raw-unicode-escape")


def zipped(payload: bytes, entry: str = "archive/data.pkl", *, first: bytes = b"") -> bytes:
    """Return a file in torch's format with that pickle."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore")  # two entries of one name are meant
        if first:
            archive.writestr("archive/data.pkl", first)
        archive.writestr(entry, payload)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    return buffer.getvalue()


def legacy(payload: bytes, place: int) -> bytes:
    """Return a file in torch's format before 1.6 whose pickle at ``place`` is that."""
    buffer = io.BytesIO()
    torch.save({"w": torch.ones(4)}, buffer, _use_new_zipfile_serialization=False)
    raw, starts, stream = buffer.getvalue(), [0], io.BytesIO(buffer.getvalue())
    for _ in range(5):
        for _ in pickletools.genops(stream):
            pass
        starts.append(stream.tell())
    parts = [raw[a:b] for a, b in zip(starts, [*starts[1:], len(raw)], strict=True)]
    parts[place] = payload
    return b"".join(parts)


def tarred(payload: bytes) -> bytes:
    """Return a file in torch's very first format, a tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            info = tarfile.TarInfo(name)
            info.size = len(payload)
            tar.addfile(info, io.BytesIO(payload))
    return buffer.getvalue()


CONTAINERS: dict[str, Callable[[bytes], bytes]] = {
    "bare": lambda payload: payload,
    "zip": zipped,
    "zip, in capitals": lambda payload: zipped(payload, "archive/DATA.PKL"),
    "zip, second": lambda payload: zipped(payload, first=pickle.dumps({}, protocol=2)),
    "zip, second in capitals": lambda payload: zipped(
        payload, "archive/Data.pkl", first=pickle.dumps({}, protocol=2)
    ),
    "zip, another folder": lambda payload: zipped(payload, "other/data.pkl", first=pickle.dumps({}, protocol=2)),
    "zip, constants": lambda payload: zipped(payload, "archive/constants.pkl", first=pickle.dumps({}, protocol=2)),
    "legacy 1": lambda payload: legacy(payload, 0),
    "legacy 3": lambda payload: legacy(payload, 2),
    "legacy 4": lambda payload: legacy(payload, 3),
    "legacy 5": lambda payload: legacy(payload, 4),
    "tar": tarred,
    "safetensors": lambda payload: save_safetensors({"w": torch.ones(1)}, metadata={"p": payload.hex()}) + payload,
}


@pytest.fixture
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that must not appear, which every trick does make."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RESNET_TUI_CACHE", str(tmp_path / "cache"))
    canary = tmp_path / "canary"
    for name, payload in tricks(canary).items():
        if name != "through torch":  # torch refuses it by itself
            pickle.loads(payload)
            assert canary.exists(), f"{name} does not even work unhindered"
            canary.unlink()
    torch.load(io.BytesIO(zipped(tricks(canary)["global"])), weights_only=False)
    canary.unlink()
    return canary


def test_files_of_weights_and_batches_run_nothing(
    canary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli, figure: Callable[[str], None]
) -> None:
    file = tmp_path / "weights.pt"
    tried = 0
    for payload in tricks(canary).values():
        for name, wrap in CONTAINERS.items():
            file.write_bytes(wrap(payload))
            for read in (read_tensors, load_checkpoint):
                with pytest.raises(UserError):
                    read(file)
                tried += 1
            assert not canary.exists(), name
        with pytest.raises(WorldError, match="made to harm"):
            read_batch(payload, "batch")
        assert not canary.exists()
        for name in ("data_batch_1", "test_batch", "batches.meta"):
            spec, archive = batches_with(tmp_path / "batches", name, payload)
            monkeypatch.setitem(SPECS, "cifar10", spec)  # as if a checksum had been forged
            with pytest.raises(WorldError, match="made to harm"):
                loaded(dataset="cifar10", dir=archive.parent)
            tried += 1
        assert not canary.exists()
    for command in (("eval", str(file), "--dataset", "digits"), ("train", "--headless", "--weights", str(file))):
        said = cli(*command)
        assert said.returncode in {1, 2}
        assert "Traceback" not in said.stderr
        assert "weights.pt" in said.stderr
    assert not canary.exists()
    figure(f"0 of {tried} hostile pickles ran, {len(tricks(canary))} tricks")


def batches_with(folder: Path, name: str, payload: bytes) -> tuple[Spec, Path]:
    """Return a small CIFAR of which one file is ``payload``, with the checksum of that."""
    spec, archive = small_cifar(folder)
    loaded_from = folder / spec.batches
    loaded_from.mkdir(exist_ok=True)
    with tarfile.open(archive) as tar:
        for member in tar:
            content = tar.extractfile(member)
            assert content is not None
            (folder / member.name).write_bytes(content.read())
    (loaded_from / name).write_bytes(payload)
    digest = hashlib.md5(payload).hexdigest()
    return replace(spec, files={**spec.files, name: digest}), archive


def test_arrays_of_batches_hold_what_they_claim(tmp_path: Path) -> None:
    """Also where the checksum is right, and as Python 2 wrote them, which is how they are published."""
    pixels = bytes(range(12))
    head = b"\x80\x02}q\x01U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04"
    head += b"K\x00\x85U\x01b\x87R(K\x01K\x03K\x04\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
    head += b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
    tail = b"K\x00tb\x89U\x0c" + pixels + b"tbs."
    np.testing.assert_array_equal(
        read_batch(head + tail, "batch")["data"], np.arange(12, dtype=np.uint8).reshape(3, 4)
    )
    for changed in ((b"U\x02u1", b"U\x02O8"), (b"U\x02u1", b"U\x02f8"), (b"K\x03K\x04\x86", b"K\x03K\x7f\x86"),
                    (b"K\x03K\x04\x86", b"K\x03J\xff\xff\xff\x7f\x86")):  # fmt: skip
        with pytest.raises(WorldError):
            read_batch((head + tail).replace(*changed), "batch")


def hostile_tar(trick: str, outside: Path, batches: str) -> bytes:
    """Return an archive that tries to write ``outside``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:

        def add(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", content: bytes = b"") -> None:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size, info.mode = kind, link, len(content), 0o4777
            tar.addfile(info, io.BytesIO(content))

        match trick:
            case "traversal":
                add(f"{batches}/../../../{outside.name}", content=b"x")
            case "absolute":
                add(str(outside), content=b"x")
            case "link to a folder":
                add(f"{batches}/data_batch_1", tarfile.SYMTYPE, str(outside.parent))
                add(f"{batches}/data_batch_1/{outside.name}", content=b"x")
            case "link to a file":
                add(f"{batches}/data_batch_1", tarfile.SYMTYPE, str(outside))
                add(f"{batches}/data_batch_1", content=b"x")
            case "hard link":
                add(f"{batches}/data_batch_1", tarfile.LNKTYPE, str(outside))
                add(f"{batches}/data_batch_1", content=b"x")
            case "the folder is a link":
                add(batches, tarfile.SYMTYPE, str(outside.parent))
                add(f"{batches}/{outside.name}", content=b"x")
            case kind:
                add(f"{batches}/data_batch_1", {"device": tarfile.CHRTYPE, "pipe": tarfile.FIFOTYPE}[kind])
    return buffer.getvalue()


TARS = ("traversal", "absolute", "link to a folder", "link to a file", "hard link", "the folder is a link", "device",
        "pipe")  # fmt: skip


def test_an_archive_writes_nothing_but_the_files_that_are_read(
    canary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: Callable[[str], None]
) -> None:
    spec, archive = small_cifar(tmp_path / "data" / "given")
    for trick in TARS:
        archive.write_bytes(hostile_tar(trick, canary, spec.batches))
        digest = Digest("md5", hashlib.md5(archive.read_bytes()).hexdigest())
        monkeypatch.setitem(SPECS, "cifar10", replace(spec, archive=replace(spec.archive, digest=digest)))
        with pytest.raises(WorldError, match="cannot be unpacked"):
            loaded(dataset="cifar10", dir=archive.parent)
        assert not canary.exists(), trick
        assert {path.name for path in archive.parent.iterdir()} == {archive.name, ".cifar10.lock"}
    figure(f"0 of {len(TARS)} hostile archives wrote anything")


def test_a_planted_cache_is_not_believed(canary: Path, tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "pictures")
    expected = np.array(loaded(dataset="imagefolder", dir=folder).train.x)
    (array,) = (tmp_path / "cache" / "imagefolder").glob("*/train.npy")
    objects = io.BytesIO()
    np.save(objects, np.array([1, "x"], dtype=object), allow_pickle=True)
    header = re.sub(rb"'descr': '[^']*'", b"'descr': '|O' ", array.read_bytes(), count=1)
    for content in (objects.getvalue(), header, *tricks(canary).values(), zipped(tricks(canary)["global"])):
        array.write_bytes(content)
        np.testing.assert_array_equal(loaded(dataset="imagefolder", dir=folder).train.x, expected)
        assert not canary.exists()


def test_files_of_a_run_and_settings_run_nothing(
    canary: Path, trained_run: RunDir, tmp_path: Path, cli: Cli, figure: Callable[[str], None]
) -> None:
    """Whatever lies in the place of a run's file, a preset or the settings."""
    run = trained_run
    kept = tmp_path / "config"
    (kept / "presets").mkdir(parents=True)
    own = [kept / "dashboard.toml", kept / "keys.toml", kept / "presets" / "mine.toml"]
    texts = [f'name = "$(: > {canary})"', f"name = '`: > {canary}`'",
             f"!!python/object/apply:os.system [': > {canary}']",
             f'{{"kind": "!!python/name:exec", "x": "__import__(\'os\').system(\': > {canary}\')"}}']  # fmt: skip
    payloads = [*tricks(canary).values(), *map(str.encode, texts)]
    tried = 0
    for place in (run.config_file, run.events, run.mistakes, run.control, run.last, run.best, *own):
        before = place.read_bytes() if place.exists() else None
        for payload in payloads:
            place.unlink(missing_ok=True)
            follower = ControlFile(run.control)
            place.write_bytes(payload + b"\n")
            assert mistakes.read(run.mistakes) is None or place != run.mistakes
            assert settings.read(own[0]) == settings.Settings()
            assert settings.read_keys(own[1])[0] == {}
            assert follower.read() == []
            for said in (
                cli("runs", "--runs-dir", str(run.path.parent)) if place in {run.config_file, run.events} else None,
                cli("eval", str(run.path)) if place in {run.best, run.config_file} else None,
                cli("train", "--headless", "--resume", str(run.path), "--epochs", "2") if place == run.last else None,
                cli("presets", RESNET_TUI_CONFIG=kept) if place == own[-1] else None,
            ):
                assert said is None or "Traceback" not in said.stderr
            assert not canary.exists(), (place, payload)
            tried += 1
        if before is None:
            place.unlink()
        else:
            place.write_bytes(before)
    figure(f"0 of {tried} hostile files of runs and settings ran")


def test_what_torch_compiles_is_kept_where_no_one_else_can_write(canary: Path, tmp_path: Path) -> None:
    """What it keeps is unpickled and run when it is used again."""
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    before = os.environ.pop("TORCHINDUCTOR_CACHE_DIR", None)
    try:
        Compiled(torch.nn.Linear(1, 1), torch.device("cpu"), 1)
        folder = Path(cache_dir())
        assert folder == tmp_path / "cache" / "compiled"
        assert folder.stat().st_mode & 0o777 == 0o700
    finally:
        del os.environ["TORCHINDUCTOR_CACHE_DIR"]
        if before is not None:
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = before
