"""TensorBoard's event files, written without TensorBoard: protobuf messages in TFRecord frames.

The format has been the same since 2015, and little of it is needed. TensorBoard's own writer would bring some 50 MB
of packages and a thread, and once a full disk stopped it, all that follows would be lost. Tests read what is written
here with TensorBoard's own reader. Imports no torch.

Values are float32, so of seven digits; what is beyond its range becomes infinite. Numbers of fields are those of
``tensorboard/compat/proto/event.proto``, ``summary.proto`` and ``plugins/hparams/plugin_data.proto``.
"""

import struct
from functools import cache, lru_cache

from engine.config import RunConfig
from engine.scalars import Reading

NAME = "events.out.tfevents."
"""How every event file's name begins."""
_START = 1
_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5


def opening(time: float, config: RunConfig) -> bytes:
    """Return what a file begins with.

    It tells a reader to forget what it has of the run from earlier files, so that a file may replace another under
    its eyes; and the configuration, for the tab of hyper-parameters.

    Args:
        time: when the run began, in seconds since the epoch.
        config: of the run.
    """
    forget = _message(7, _integer(1, _START))
    contents = (_text(3, "brain.Event:2"), forget, _message(5, _hyper_parameters(time, config)))
    return b"".join(_record(_double(1, time) + content) for content in contents)


def scalars(reading: Reading) -> bytes:
    """Return the record of ``reading``."""
    values = b"".join(_message(1, _tag(name) + _float(2, value)) for name, value in reading.values)
    return _record(_double(1, reading.time) + _integer(2, reading.step) + _message(5, values))


def _hyper_parameters(time: float, config: RunConfig) -> bytes:
    """Return the summary that TensorBoard's plugin for hyper-parameters reads."""
    pairs = b"".join(
        _message(1, _text(1, f"{section}.{key}") + _message(2, _value(value)))
        for section, table in config.model_dump(mode="json").items()
        if isinstance(table, dict)
        for key, value in table.items()
        if value is not None
    )
    plugin = _text(1, "hparams") + _message(2, _message(3, pairs + _double(5, time)))
    no_tensor = _integer(1, 1) + _message(2, b"")
    return _message(
        1, _text(1, "_hparams_/session_start_info") + _message(9, _message(1, plugin)) + _message(8, no_tensor)
    )


def _value(value: object) -> bytes:
    match value:
        case bool():
            return _integer(4, value)
        case int() | float():
            return _double(2, value)
        case _:
            return _text(3, str(value))


# Protobuf ------------------------------------------------------------------------------------------------------


def _varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


@cache
def _key(field: int, kind: int) -> bytes:
    return _varint(field << 3 | kind)


def _integer(field: int, value: int) -> bytes:
    return _key(field, _VARINT) + _varint(value)


def _double(field: int, value: float) -> bytes:
    return _key(field, _DOUBLE) + struct.pack("<d", value)


def _float(field: int, value: float) -> bytes:
    try:
        packed = struct.pack("<f", value)
    except OverflowError:
        packed = struct.pack("<f", float("inf") if value > 0 else float("-inf"))
    return _key(field, _FLOAT) + packed


def _message(field: int, content: bytes) -> bytes:
    return _key(field, _BYTES) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode())


@lru_cache(maxsize=4096)
def _tag(name: str) -> bytes:
    return _text(1, name)


# TFRecord ------------------------------------------------------------------------------------------------------


def _record(content: bytes) -> bytes:
    length = struct.pack("<Q", len(content))
    return b"".join((length, _checksum(length), content, _checksum(content)))


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


_CRC32C = _crc_table()


def _checksum(content: bytes) -> bytes:
    """Return the CRC-32C (Castagnoli) of ``content``, rotated and shifted as TFRecord has it."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _CRC32C[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
