"""The worker's answer in, named tensors out: numbers as the worker wrote them, JSON as what is nearest."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Any

import msgspec

from lading_runtime import wire
from lading_runtime.front import encode as encoding
from lading_runtime.front.channel import Answer
from lading_runtime.front.messages import Refusal, invalid, listed
from lading_runtime.front.render import decode
from lading_runtime.front.schema import Schema
from lading_runtime.front.tensors import BYTES, Tensor

# types of JSON values → the datatype that holds all of them
_KINDS = (
    ({bool}, "BOOL"),
    ({int}, "INT64"),
    ({float}, "FP64"),
    ({float, int}, "FP64"),
    ({float, type(None)}, "FP64"),
    ({float, int, type(None)}, "FP64"),
)
_NAMED = ("frame", "tensors")


def read(answer: Answer, schema: Schema) -> list[Tensor]:
    """Read the tensors of an answer; the signature names those that the model does not."""
    tensors = []
    content = answer.header["parameters"]["content"]
    is_named = content in _NAMED
    if content == "json" and schema.outputs:
        value = decode(answer.body)
        names = [one.get("name") for one in schema.outputs]
        if isinstance(value, dict) and set(names) == value.keys():
            return [_of_json(str(name), value[name]) for name in names]
        if _are_rows(value, set(names)):
            return [_of_json(str(name), [row[name] for row in value]) for name in names]
    for index, (entry, data) in enumerate(wire.split(answer.header["outputs"], answer.body)):
        declared = schema.outputs[index] if index < len(schema.outputs) else {}
        name = entry["name"] if is_named else declared.get("name") or f"output-{index}"
        if entry["datatype"] == wire.JSON:
            tensors.append(_of_json(name, decode(data)))
        else:
            is_scalar = is_named or "tensor-spec" in declared
            shape = entry["shape"] if is_scalar else entry["shape"] or [1]
            tensors.append(Tensor(name, entry["datatype"], shape, data))
    return tensors


def _are_rows(value: Any, names: set[Any]) -> bool:
    """Tell whether a value is rows with a cell for each of the names."""
    is_list = isinstance(value, list) and bool(value) and None not in names
    return is_list and all(isinstance(row, dict) and row.keys() == names for row in value)


def declared(tensor: Tensor, datatype: str) -> Tensor:
    """Return numbers as floats where those are declared: JSON writes 1.0 as it writes 1, and NaN as null."""
    values = tensor.values
    if datatype != "FP64" or tensor.datatype == datatype or values is None:
        return tensor
    texts_of_null = ["null"] * len(values)
    if tensor.datatype == BYTES and list(values) == texts_of_null:
        values = [None] * len(values)
    if set(map(type, values)) <= {int, type(None)}:
        return Tensor(tensor.name, datatype, tensor.shape, _packed(datatype, values), values)
    return tensor


def chosen(tensors: Sequence[Tensor], names: Sequence[str] | None) -> Sequence[Tensor]:
    """Return the outputs asked for, in that order; all of them where none is named."""
    if not names:
        return tensors
    by_name = {one.name: one for one in tensors}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise invalid(f"outputs: got {listed(unknown)}, expected some of {listed(sorted(by_name))}")
    return [by_name[name] for name in names]


def _of_json(name: str, value: Any) -> Tensor:
    """Say what JSON values are in the protocol's datatypes; what has none is BYTES of its JSON text."""
    shape, flat = _flat(value)
    kinds = set(map(type, flat))
    datatype = next((datatype for types, datatype in _KINDS if types == kinds), None)
    if datatype is not None:
        try:
            return Tensor(name, datatype, shape, _packed(datatype, flat), flat)
        except OverflowError:
            pass
    texts = [one if isinstance(one, str) else msgspec.json.encode(one).decode() for one in flat]
    return Tensor(name, BYTES, shape, values=texts)


def _packed(datatype: str, values: Sequence[Any]) -> bytes:
    if datatype == "BOOL":
        return bytes(values)
    if datatype == "FP64":
        values = [math.nan if one is None else one for one in values]
    return array(wire.ARRAY_CODES[datatype], values).tobytes()


def _flat(value: Any) -> tuple[list[int], list[Any]]:
    """Return a shape and flat values; lists of lists that are no rectangle are values themselves."""
    if not isinstance(value, list):
        return [1], [value]
    try:
        shape, flat = encoding.flatten(value)
    except Refusal:
        return [len(value)], value
    return shape, flat
