"""Protocol buffers' wire format, walked in place: bytes and a span of them in, fields and their spans out.

Nothing is copied, no length is trusted, and a message of any size costs next to no memory.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator

Data = bytes | mmap.mmap
Span = tuple[int, int]
"""Where a message or text begins and ends."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def fields(data: Data, span: Span) -> Iterator[tuple[int, int | Span]]:
    """List a message's fields by number: numbers with their value, what has a length with where it lies.

    Numbers of a fixed width are passed over. Raises ValueError and IndexError for what is no message.
    """
    at, end = span
    while at < end:
        key, at = varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = varint(data, at)
            yield number, value
        elif wire == _BYTES:
            size, at = varint(data, at)
            if size > end - at:
                raise ValueError("a field is longer than what holds it")
            yield number, (at, at + size)
            at += size
        elif wire in {_FIXED64, _FIXED32}:
            at += 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"got wire type {wire}")
    if at > end:
        raise ValueError("a field is longer than what holds it")


def parts(data: Data, span: Span, wanted: int | None = None) -> Iterator[tuple[int, Span]]:
    """List the fields that have a length, all or those of one number."""
    for number, value in fields(data, span):
        if isinstance(value, tuple) and wanted in {None, number}:
            yield number, value


def part(data: Data, span: Span, wanted: int) -> Span | None:
    """Return the last field of a number that has a length: of several it is the one that readers take."""
    last = None
    for _, one in parts(data, span, wanted):
        last = one
    return last


def number(data: Data, span: Span, wanted: int) -> int | None:
    """Return the value of the last field of a number that is a number."""
    found = None
    for key, value in fields(data, span):
        if key == wanted and isinstance(value, int):
            found = value
    return found


def text(data: Data, span: Span, wanted: int) -> str:
    """Return the text of a field, none where there is no such field."""
    found = part(data, span, wanted)
    return data[found[0] : found[1]].decode() if found else ""


def signed(value: int) -> int:
    """Read a number of 64 bits as one that may be negative."""
    return value - (1 << 64) if value >> 63 else value


def varint(data: Data, at: int) -> tuple[int, int]:
    """Read a number; return it and where the next byte is."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("got a number of more than 64 bits")
