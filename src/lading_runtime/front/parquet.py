"""Rows of a few fixed columns in, a Parquet file out: format version 1, plain pages, compressed by gzip.

The format is small where every column is required and flat. pyarrow, which knows all of it, is larger than
the whole server and is in few models' environments.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple

from lading_runtime.front.protobuf import varint

_MAGIC = b"PAR1"
# Thrift's compact protocol
_TRUE, _I32, _I64, _BINARY, _LIST, _STRUCT = 1, 5, 6, 8, 9, 12
# the format's own numbers
_INT32, _INT64, _DOUBLE, _BYTE_ARRAY = 1, 2, 5, 6
_REQUIRED, _PLAIN, _RLE, _GZIP = 0, 0, 3, 2
_UTF8, _TIMESTAMP_MICROS = 0, 10
KINDS = {"text": _BYTE_ARRAY, "double": _DOUBLE, "int32": _INT32, "time": _INT64}


class Column(NamedTuple):
    """A column: its name, and `text`, `double`, `int32` or `time` (microseconds since 1970, UTC)."""

    name: str
    kind: str


class _Chunk(NamedTuple):
    offset: int
    rows: int
    plain_bytes: int
    stored_bytes: int


class Writer:
    """Writes one file, a group of rows at a time; it can be read once it is closed."""

    def __init__(self, stream: BinaryIO, columns: Sequence[Column]) -> None:
        """Begin a file."""
        self._stream = stream
        self._columns = columns
        self._groups: list[list[_Chunk]] = []
        self._offset = 0
        self._write(_MAGIC)

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write a group of rows, each with a value for every column."""
        chunks = []
        for column in self._columns:
            plain = _plain(column.kind, [row[column.name] for row in rows])
            stored = gzip.compress(plain, 6)
            header = _page_header(len(rows), len(plain), len(stored))
            sizes = len(header) + len(plain), len(header) + len(stored)
            chunks.append(_Chunk(self._offset, len(rows), *sizes))
            self._write(header + stored)
        self._groups.append(chunks)

    def close(self) -> None:
        """Write what readers begin with."""
        footer = self._footer()
        self._write(footer + struct.pack("<I", len(footer)) + _MAGIC)

    def _write(self, data: bytes) -> None:
        self._stream.write(data)
        self._offset += len(data)

    def _footer(self) -> bytes:
        root = _struct((4, _BINARY, _binary("schema")), (5, _I32, _number(len(self._columns))))
        schema = [root, *map(_schema, self._columns)]
        groups = [self._group(chunks) for chunks in self._groups]
        return _struct(
            (1, _I32, _number(1)),
            (2, _LIST, _list(_STRUCT, schema)),
            (3, _I64, _number(sum(chunks[0].rows for chunks in self._groups))),
            (4, _LIST, _list(_STRUCT, groups)),
            (6, _BINARY, _binary("lading")),
        )

    def _group(self, chunks: Sequence[_Chunk]) -> bytes:
        columns = []
        for column, chunk in zip(self._columns, chunks):  # noqa: B905 - one chunk per column
            meta = _struct(
                (1, _I32, _number(KINDS[column.kind])),
                (2, _LIST, _list(_I32, [_number(_PLAIN), _number(_RLE)])),
                (3, _LIST, _list(_BINARY, [_binary(column.name)])),
                (4, _I32, _number(_GZIP)),
                (5, _I64, _number(chunk.rows)),
                (6, _I64, _number(chunk.plain_bytes)),
                (7, _I64, _number(chunk.stored_bytes)),
                (9, _I64, _number(chunk.offset)),
            )
            columns.append(_struct((2, _I64, _number(chunk.offset)), (3, _STRUCT, meta)))
        return _struct(
            (1, _LIST, _list(_STRUCT, columns)),
            (2, _I64, _number(sum(chunk.plain_bytes for chunk in chunks))),
            (3, _I64, _number(chunks[0].rows)),
        )


def _schema(column: Column) -> bytes:
    fields = [
        (1, _I32, _number(KINDS[column.kind])),
        (3, _I32, _number(_REQUIRED)),
        (4, _BINARY, _binary(column.name)),
    ]
    if column.kind == "text":
        fields += [(6, _I32, _number(_UTF8)), (10, _STRUCT, _struct((1, _STRUCT, _struct())))]
    if column.kind == "time":
        unit = _struct((2, _STRUCT, _struct()))
        stamp = _struct((1, _TRUE, b""), (2, _STRUCT, unit))
        fields += [(6, _I32, _number(_TIMESTAMP_MICROS)), (10, _STRUCT, _struct((8, _STRUCT, stamp)))]
    return _struct(*fields)


def _page_header(count: int, plain_bytes: int, stored_bytes: int) -> bytes:
    data = _struct(
        (1, _I32, _number(count)),
        (2, _I32, _number(_PLAIN)),
        (3, _I32, _number(_RLE)),
        (4, _I32, _number(_RLE)),
    )
    sizes = (2, _I32, _number(plain_bytes)), (3, _I32, _number(stored_bytes))
    return _struct((1, _I32, _number(0)), *sizes, (5, _STRUCT, data))


def _plain(kind: str, values: Sequence[Any]) -> bytes:
    if kind == "text":
        return b"".join(_texts(values))
    code = {"double": "d", "int32": "i", "time": "q"}[kind]
    return struct.pack(f"<{len(values)}{code}", *values)


def _texts(values: Iterable[str]) -> Iterator[bytes]:
    for value in values:
        data = value.encode("utf-8", "replace")
        yield struct.pack("<I", len(data))
        yield data


def _struct(*fields: tuple[int, int, bytes]) -> bytes:
    parts = []
    last = 0
    for number, kind, data in fields:
        parts += [bytes((number - last << 4 | kind,)), data]
        last = number
    return b"".join([*parts, b"\0"])


def _list(kind: int, items: Sequence[bytes]) -> bytes:
    size = len(items)
    head = bytes((size << 4 | kind,)) if size < 15 else bytes((0xF0 | kind,)) + varint(size)
    return head + b"".join(items)


def _binary(text: str) -> bytes:
    data = text.encode()
    return varint(len(data)) + data


def _number(value: int) -> bytes:
    return varint(value << 1)  # zigzag of what is never negative
