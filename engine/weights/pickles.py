"""What a pickle would do, read from its instructions before anything carries them out.

``torch.load`` with ``weights_only`` runs no code either. It does allocate what numbers in the file ask for, and its
list of what may be called is longer; a file of weights needs the few names below.
"""

import io
import pickletools
import re
from collections.abc import Iterator

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
