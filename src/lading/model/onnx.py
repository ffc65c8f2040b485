"""The bytes of an ONNX file in; the tensors that go in and come out of its graph, as a Signature, out.

Protocol buffers' wire format is walked (onnx.proto3); of the weights nothing but their names is read.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from lading.core.errors import Issue, ModelError
from lading.core.signature import Field, Signature

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_GRAPH, _INITIALIZER, _INPUT, _OUTPUT = 7, 5, 11, 12
_NAME, _TYPE, _TENSOR = 1, 2, 1
_TENSOR_NAME = 8
_DTYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    8: "str",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
}
"""TensorProto.DataType, as far as numpy and the serving protocols have it."""

_Span = tuple[int, int]


def signature(path: Path) -> Signature:
    """Read the graph's inputs and outputs; raise ModelError where the file is none of ONNX's.

    An output that is no tensor (a sequence of maps, as classifiers give) has the type `any`.
    """
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _of_graph(data)
    except (ValueError, IndexError, OSError) as error:
        raise ModelError(Issue(path.name, f"is no ONNX file: {error}", "export it again")) from error


def _of_graph(data: mmap.mmap) -> Signature:
    graph = _part(data, (0, len(data)), _GRAPH)
    if graph is None:
        raise ValueError("it has no graph")
    parts = list(_parts(data, graph))
    weights = {_text(data, span, _TENSOR_NAME) for number, span in parts if number == _INITIALIZER}
    inputs = (_field(data, span) for number, span in parts if number == _INPUT)
    outputs = (_field(data, span) for number, span in parts if number == _OUTPUT)
    return Signature(tuple(one for one in inputs if one.name not in weights), tuple(outputs))


def _field(data: mmap.mmap, span: _Span) -> Field:
    name, kind = _text(data, span, _NAME), _part(data, span, _TYPE)
    tensor = _part(data, kind, _TENSOR) if kind else None
    if tensor is None:
        return Field("any", name)
    code, shape = 0, None
    for number, value in _fields(data, tensor):
        if number == 1 and isinstance(value, int):
            code = value
        elif number == 2 and isinstance(value, tuple):
            shape = tuple(_size(data, one) for _, one in _parts(data, value))
    if code not in _DTYPES:
        raise ValueError(f"{name!r} has the element type {code}")
    return Field("tensor", name, dtype=_DTYPES[code], shape=shape if shape is not None else (-1,))


def _size(data: mmap.mmap, span: _Span) -> int:
    """Return a dimension; -1 where it is open."""
    return next(
        (value for number, value in _fields(data, span) if number == 1 and isinstance(value, int)), -1
    )


def _text(data: mmap.mmap, span: _Span, wanted: int) -> str:
    found = _part(data, span, wanted)
    return data[found[0] : found[1]].decode() if found else ""


def _part(data: mmap.mmap, span: _Span, wanted: int) -> _Span | None:
    return next((one for number, one in _parts(data, span) if number == wanted), None)


def _parts(data: mmap.mmap, span: _Span) -> Iterator[tuple[int, _Span]]:
    """List the fields of a message that have a length, by number, with where they lie."""
    for number, value in _fields(data, span):
        if isinstance(value, tuple):
            yield number, value


def _fields(data: mmap.mmap, span: _Span) -> Iterator[tuple[int, int | _Span]]:
    at, end = span
    while at < end:
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value
        elif wire == _BYTES:
            size, at = _varint(data, at)
            if size > end - at:
                raise ValueError("a field is longer than what holds it")
            yield number, (at, at + size)
            at += size
        elif wire in {_FIXED64, _FIXED32}:
            at += 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"got wire type {wire}")


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
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
