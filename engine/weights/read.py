"""Reads the tensors of a ``.safetensors`` or torch file. Runs no code, and allocates no more than the file justifies.

A file is known by its content, not by its name. It is read once, so that what is checked is what is used.
"""

import errno
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from engine.errors import UserError, WorldError
from engine.pickles import LEGACY_START, check_legacy, check_pickle, read_torch
from engine.regular import read_regular
from engine.text import one_line

MOST_BYTES = 4 << 30
"""ResNet-152 has a quarter of a GiB."""
WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
"""Under which names training scripts put the weights beside the epoch and the optimiser."""
_ZIP_START = b"PK\x03\x04"


@dataclass(frozen=True)
class FileContent:
    """What a file holds."""

    tensors: dict[str, Tensor]
    """On the CPU, contiguous; floating-point ones in float32 and finite."""
    metadata: dict[str, str]
    """Of a ``.safetensors`` file's header; else empty."""
    sha256: str


def read_tensors(path: Path) -> FileContent:
    """Read the tensors in ``path``, out of the usual wrappers.

    Raises:
        UserError: it is no file of weights, holds code, or tensors that are not real and finite.
        WorldError: it cannot be read, or is damaged.
    """
    name = one_line(str(path))
    content = _read_bytes(path, name)
    metadata: dict[str, str] = {}
    if content.startswith(_ZIP_START):
        found = _read_zip(content, name)
    elif content[8:9] == b"{":  # after the length of the header
        found, metadata = _read_safetensors(content, name)
    else:
        found = _read_legacy(content, name)
    tensors = _named_tensors(found)
    if not tensors:
        raise UserError(f"{name}: holds no tensors by name; give a file with a network's state_dict()")
    _check_size(tensors, len(content), name)
    return FileContent(
        {key: _ordinary(tensor, key, name) for key, tensor in tensors.items()},
        metadata,
        hashlib.sha256(content).hexdigest(),
    )


def _read_bytes(path: Path, name: str) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{name}: a folder or device, not a file of weights")
        content = read_regular(path, MOST_BYTES)
    except FileNotFoundError:
        raise UserError(f"{name}: there is no such file") from None
    except MemoryError:
        raise WorldError(f"{name}: larger than the memory that is free") from None
    except OSError as error:
        kind = UserError if error.errno == errno.EFBIG else WorldError
        raise kind(f"{name}: cannot be read: {one_line(error.strerror or str(error), 200)}") from error
    except ValueError as error:
        raise WorldError(f"{name}: cannot be read: {one_line(str(error), 200)}") from error
    if not content:
        raise WorldError(f"{name}: empty; get it anew")
    return content


def _read_safetensors(content: bytes, name: str) -> tuple[object, dict[str, str]]:
    try:
        tensors = load_safetensors(content)
    except (SafetensorError, ValueError, RuntimeError, TypeError, KeyError) as error:
        raise WorldError(f"{name}: damaged or incomplete: {one_line(str(error), 200)}") from error
    header = content[8 : 8 + int.from_bytes(content[:8], "little")]
    return tensors, json.loads(header).get("__metadata__", {})


def _read_zip(content: bytes, name: str) -> object:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            # torch reads the first folder and takes upper and lower case for the same.
            names = {entry.filename.partition("/")[2].lower(): entry for entry in entries}
            if "data.pkl" not in names:
                raise UserError(f"{name}: a zip file, but not one of torch's; give a file of weights")
            if len(names) < len(entries) or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise UserError(f"{name}: a zip file with compressed or repeated entries, which torch does not write")
            if sum(entry.file_size for entry in entries) > len(content):
                raise WorldError(f"{name}: damaged, or made to harm: its entries claim more bytes than it has")
            if "constants.pkl" in names:
                raise UserError(f"{name}: a TorchScript program, which is not run; save its state_dict() instead")
            check_pickle(io.BytesIO(archive.read(names["data.pkl"])), name)
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise WorldError(f"{name}: damaged or incomplete: {one_line(str(error), 200)}") from error
    return read_torch(content, name)


def _read_legacy(content: bytes, name: str) -> object:
    if not content.startswith(LEGACY_START):
        if content.startswith(b"\x80"):
            check_pickle(io.BytesIO(content), name)  # says what it would call
        raise UserError(f"{name}: neither a .safetensors file nor one of torch; give a file of weights")
    check_legacy(content, name)
    return read_torch(content, name)


def _named_tensors(found: object) -> dict[str, Tensor]:
    for _ in range(2):
        inner = (found.get(key) for key in WRAPPERS) if isinstance(found, Mapping) else ()
        found = next((value for value in inner if isinstance(value, Mapping)), found)
    if not isinstance(found, Mapping):
        return {}
    return {key: value.detach() for key, value in found.items() if isinstance(key, str) and isinstance(value, Tensor)}


def _check_size(tensors: dict[str, Tensor], size: int, name: str) -> None:
    """Refuse views that claim more than there is, before anything copies them."""
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if claimed > size:
        raise WorldError(f"{name}: damaged, or made to harm: its tensors claim {claimed:,} bytes and it has {size:,}")


def _ordinary(tensor: Tensor, key: str, name: str) -> Tensor:
    """Return ``tensor`` contiguous, floating-point ones in float32."""
    label = f"{name}: {one_line(key, 200)!r}"
    if tensor.is_complex() or tensor.is_quantized or tensor.layout != torch.strided or tensor.is_meta:
        kind = one_line(f"{tensor.dtype} {tensor.layout}".replace("torch.", ""))
        raise UserError(f"{label} is a tensor of another kind ({kind}); only real, dense ones are read")
    if not tensor.is_floating_point():
        return tensor.contiguous()
    plain = tensor.to(torch.float32).contiguous()
    if not plain.isfinite().all():
        raise UserError(f"{label} holds values that are not finite in float32: the network it is from diverged")
    return plain
