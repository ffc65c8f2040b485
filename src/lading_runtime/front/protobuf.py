"""Protocol Buffers' wire form: a message's bytes in, its fields out, and the way back.

By hand, for the few messages that are spoken here: a tensor's bytes are viewed in what has arrived, not
copied out of it, and no generated code has to fit a library's version. Groups, which nobody writes any more,
are refused. https://protobuf.dev/programming-guides/encoding is the source.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Union

from lading_runtime.wire import Buffer

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_WIDTHS = {FIXED64: 8, FIXED32: 4}
_MASK = (1 << 64) - 1
_DOUBLE = struct.Struct("<d")

Value = Union[int, memoryview]  # noqa: UP007 - evaluated under Python 3.9 too


class MalformedError(ValueError):
    """Bytes that are no message."""


def fields(data: memoryview) -> Iterator[tuple[int, int, Value]]:
    """Yield each field's number, wire type and value: a whole number, or the bytes that it has."""
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at, end)
        number, kind = key >> 3, key & 7
        if not number:
            raise MalformedError("got a field of number 0")
        if kind == VARINT:
            value, at = _varint(data, at, end)
            yield number, kind, value
            continue
        if kind == BYTES:
            length, at = _varint(data, at, end)
        elif kind in _WIDTHS:
            length = _WIDTHS[kind]
        else:
            raise MalformedError(f"got a field of wire type {kind}")
        if length > end - at:
            raise MalformedError(f"field {number} ends at byte {at + length} of {end}")
        yield number, kind, data[at : at + length]
        at += length


def varints(data: memoryview) -> list[int]:
    """Read packed whole numbers, as unsigned ones of 64 bits."""
    if not data:
        return []
    if max(data) < 0x80:  # one byte each
        return list(data)
    values = []
    at, end = 0, len(data)
    while at < end:
        value, at = _varint(data, at, end)
        values.append(value)
    return values


def signed(value: int) -> int:
    """Read a whole number of 64 bits as a signed one."""
    return value - (1 << 64) if value >> 63 else value


def number(value: Value) -> int:
    """Return a field that is a whole number; raise MalformedError where it is none."""
    if isinstance(value, int):
        return value
    raise MalformedError("got bytes, expected a whole number")


def octets(value: Value) -> memoryview:
    """Return a field that is bytes; raise MalformedError where it is none."""
    if isinstance(value, int):
        raise MalformedError("got a whole number, expected bytes")
    return value


def text(value: Value) -> str:
    """Return a field that is a text; raise MalformedError where it is none."""
    try:
        return bytes(octets(value)).decode()
    except UnicodeDecodeError:
        raise MalformedError("got a text that is not UTF-8") from None


def double(value: Value) -> float:
    """Return a field of eight bytes; raise MalformedError where it is none."""
    data = octets(value)
    if len(data) != _DOUBLE.size:
        raise MalformedError(f"got {len(data)} bytes, expected a double")
    return float(_DOUBLE.unpack(data)[0])


def varint(value: int) -> bytes:
    """Write a whole number; a negative one as its 64 bits."""
    value &= _MASK
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def packed(values: Iterable[int]) -> bytes:
    """Write whole numbers one behind another."""
    return b"".join(map(varint, values))


def whole(field: int, value: int) -> bytes:
    """Write a whole number or a truth; nothing where it is what an absent one means."""
    return varint(field << 3 | VARINT) + varint(value) if value else b""


def string(field: int, value: str) -> bytes:
    """Write a text; nothing where it is empty."""
    return message(field, value.encode(errors="replace")) if value else b""


def message(field: int, value: Buffer) -> bytes:
    """Write bytes, or a message inside another, which may be empty."""
    return b"".join((head(field, len(value)), value))


def head(field: int, size_bytes: int) -> bytes:
    """Write what comes before bytes: for large ones, which are joined once at the end."""
    return varint(field << 3 | BYTES) + varint(size_bytes)


def _varint(data: memoryview, at: int, end: int) -> tuple[int, int]:
    """Read one whole number of at most 64 bits; return it, and where it ends."""
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _MASK, at
        shift += 7
    raise MalformedError("got a whole number that does not end")
