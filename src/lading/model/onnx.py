"""The bytes of an ONNX file in; the tensors that go in and come out of its graph, as a Signature, out.

Protocol buffers' wire format is walked (onnx.proto3); of the weights nothing but their names is read.
"""

from __future__ import annotations

import mmap
from pathlib import Path

from lading.core.errors import Issue, ModelError
from lading.core.signature import Field, Signature
from lading.model.protobuf import Span, fields, number, part, parts, text

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
    graph = part(data, (0, len(data)), _GRAPH)
    if graph is None:
        raise ValueError("it has no graph")
    found = list(parts(data, graph))
    weights = {text(data, span, _TENSOR_NAME) for key, span in found if key == _INITIALIZER}
    inputs = (_field(data, span) for key, span in found if key == _INPUT)
    outputs = (_field(data, span) for key, span in found if key == _OUTPUT)
    return Signature(tuple(one for one in inputs if one.name not in weights), tuple(outputs))


def _field(data: mmap.mmap, span: Span) -> Field:
    name, kind = text(data, span, _NAME), part(data, span, _TYPE)
    tensor = part(data, kind, _TENSOR) if kind else None
    if tensor is None:
        return Field("any", name)
    code, shape = 0, None
    for key, value in fields(data, tensor):
        if key == 1 and isinstance(value, int):
            code = value
        elif key == 2 and isinstance(value, tuple):
            shape = tuple(_size(data, one) for _, one in parts(data, value))
    if code not in _DTYPES:
        raise ValueError(f"{name!r} has the element type {code}")
    return Field("tensor", name, dtype=_DTYPES[code], shape=shape if shape is not None else (-1,))


def _size(data: mmap.mmap, span: Span) -> int:
    """Return a dimension; -1 where it is open."""
    found = number(data, span, 1)
    return -1 if found is None else found
