"""The one module that unpickles: files of weights and the batches of CIFAR, for the few types that they need.

Everywhere else nothing is unpickled, and a test looks for it. What a file of weights would call is read from its
instructions before torch's own restricted reader carries them out: that runs no code either, but allocates what
numbers in the file ask for, and its list of what may be called is longer. A batch of CIFAR is read after its checksum
was compared, and even then calls nothing of numpy's: the two functions and the type that it names stand for
themselves.
"""

import io
import pickle
import pickletools
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import UserError, WorldError
from engine.text import one_line

MOST_INSTRUCTIONS = 5_000_000
"""ResNet-1202's file has a third of a million."""

PROTOCOL = 2
"""What torch.save writes, and the only one that it reads without running code."""

LEGACY_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The pickled number with which torch's format before 1.6 begins."""

_HARMLESS = re.compile(
    r"collections\.OrderedDict|torch\.[A-Za-z0-9]+Storage|torch\._utils\._rebuild_(tensor|tensor_v2|parameter)"
)
_OTHER_TENSORS = {
    "torch._utils._rebuild_qtensor": "a quantised tensor",
    "torch._utils._rebuild_sparse_tensor": "a sparse tensor",
}


def check_pickle(stream: io.BytesIO, name: str, largest: int | None = None) -> None:
    """Read the instructions of one pickle and refuse what a file of weights does not need.

    Args:
        stream: at the pickle's start; afterwards at its end.
        name: the file, for messages.
        largest: the largest integer that may occur; None: any.

    Raises:
        UserError: it calls something, or holds tensors of another kind.
        WorldError: it is damaged, or asks for more memory than its file has bytes.
    """
    strings: list[str] = [""]
    protocol: object = PROTOCOL
    for kind, argument in _instructions(stream, name):
        if kind == "STACK_GLOBAL":
            _check_global(".".join(strings[-2:]), "", name)
        elif kind in {"GLOBAL", "INST"}:
            _check_global(str(argument).replace(" ", "."), strings[-1], name)
        elif kind == "PROTO":
            protocol = argument
        elif isinstance(argument, str):
            strings = [strings[-1], argument]
        elif isinstance(argument, int) and largest is not None and argument > largest:
            raise WorldError(
                f"{name}: damaged, or made to harm: it asks for {argument:,} elements and has {largest:,} bytes"
            )
    if protocol != PROTOCOL:
        raise UserError(
            f"{name}: pickled with protocol {protocol}; save it with torch.save as it is, which takes {PROTOCOL}"
        )


def check_legacy(content: bytes, name: str) -> None:
    """Check the pickles of a file in torch's format before 1.6.

    Its fourth pickle holds the sizes of the storages, which are allocated before their bytes are read.

    Raises:
        UserError, WorldError: as ``check_pickle``.
    """
    stream = io.BytesIO(content)
    for largest in (None, None, None, len(content), None):
        check_pickle(stream, name, largest)


def read_torch(content: bytes, name: str) -> object:
    """Return what a torch file holds; ``check_pickle`` or ``check_legacy`` has found nothing in it.

    Raises:
        WorldError: it is damaged.
    """
    import torch  # who reads CIFAR needs none

    try:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can make the reader raise anything
        raise WorldError(f"{name}: damaged or incomplete: {one_line(str(error), 200)}") from error


def read_batch(content: bytes, name: str) -> dict[Any, Any]:
    """Return the table in a batch file of CIFAR, whose checksum is right; its arrays are uint8.

    Raises:
        WorldError: it is damaged, or holds anything but tables, lists, text, numbers and arrays of bytes.
    """
    try:
        found = _Batch(io.BytesIO(content), encoding="latin1").load()
        return {key: value.array() if isinstance(value, _Array) else value for key, value in found.items()}
    except Exception as error:  # a damaged pickle can make the reader raise anything
        raise WorldError(f"{name}: damaged, or made to harm: {one_line(str(error), 200)}") from error


class _Batch(pickle.Unpickler):
    """Finds the names that a pickled array of numpy's has, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        match module, name:
            case (("numpy.core.multiarray" | "numpy._core.multiarray"), "_reconstruct"):
                return _Array
            case "numpy", "dtype":
                return _Type
            case "numpy", "ndarray":
                return "numpy.ndarray"  # only ever passed to the first
        raise pickle.UnpicklingError(f"it wants to call {module}.{name}, which is not run")


class _Type:
    """Stands for ``numpy.dtype``."""

    def __init__(self, code: str, *_: object) -> None:
        self.code = code

    def __setstate__(self, _state: object) -> None:
        """Do nothing: of a type of one byte, the code says everything."""


class _Array:
    """Stands for an array until the bytes that it claims were counted."""

    def __init__(self, *_: object) -> None:
        self._state: tuple[tuple[int, ...], _Type, bytes] | None = None

    def __setstate__(self, state: tuple[int, tuple[int, ...], _Type, bool, bytes | str]) -> None:
        """Take shape, type and bytes; Python 2 wrote these as text."""
        _, shape, kind, by_column, raw = state
        if by_column:
            raise ValueError("an array in column order")
        self._state = (shape, kind, raw.encode("latin1") if isinstance(raw, str) else raw)

    def array(self) -> NDArray[np.uint8]:
        """Return the array; ``ValueError`` where it is not of bytes, or not as many as its shape says."""
        if self._state is None or self._state[1].code != "u1":
            raise ValueError("an array of another type than bytes")
        shape, _, raw = self._state
        return np.frombuffer(raw, np.uint8).reshape(shape)


def _instructions(stream: io.BytesIO, name: str) -> Iterator[tuple[str, object]]:
    try:
        for count, (code, argument, _) in enumerate(pickletools.genops(stream)):
            if count == MOST_INSTRUCTIONS:
                raise UserError(
                    f"{name}: more than {MOST_INSTRUCTIONS:,} instructions; no file of weights needs as many"
                )
            yield code.name, argument
    except (ValueError, OverflowError, UnicodeError) as error:
        raise WorldError(f"{name}: damaged or incomplete: its pickle cannot be read") from error


def _check_global(wanted: str, key: str, name: str) -> None:
    if _HARMLESS.fullmatch(wanted):
        return
    if kind := _OTHER_TENSORS.get(wanted):
        raise UserError(f"{name}: {one_line(key, 200)!r} is {kind}; only ordinary tensors are read")
    raise UserError(
        f"{name}: holds code: it wants to call {one_line(wanted, 200)}, which is not run; save the "
        "tensors alone with torch.save(model.state_dict(), FILE), or as a .safetensors file"
    )
