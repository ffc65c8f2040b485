"""Tensors of a client in, one internal request out: as they are where the signature allows it, else cast.

A tensor of numbers whose datatype is what the signature asks for is handed on without a look at its values.
"""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from lading_runtime import wire
from lading_runtime.front import encode as encoding
from lading_runtime.front.cast import infer
from lading_runtime.front.encode import Input
from lading_runtime.front.messages import invalid, listed, quote, repeated
from lading_runtime.front.schema import Column, Schema, pack_column
from lading_runtime.front.schema import Tensor as Declared
from lading_runtime.front.tensors import BYTES, Tensor, is_text, nested
from lading_runtime.wire import Buffer


class _Plan(NamedTuple):
    """What is asked of a schema with every request."""

    columns: Sequence[str]
    names: frozenset[str]
    """Of the columns, where they have names of their own."""
    kinds: frozenset[str]


_plans: list[tuple[Schema, _Plan]] = []
"""Of the schema that was asked last: most servers have one."""


def _plan(schema: Schema) -> _Plan:
    if _plans and _plans[0][0] is schema:
        return _plans[0][1]
    columns = [column.name for column in schema.columns]
    kinds = frozenset(column.kind for column in schema.columns if column.kind is not None)
    plan = _Plan(columns, frozenset(columns if schema.named else ()), kinds)
    _plans[:] = [(schema, plan)]
    return plan


def read(schema: Schema, tensors: Sequence[Tensor]) -> Input:
    """Make a request of tensors: one matrix, a tensor per column, or the tensors that the signature names."""
    plan = _plan(schema)
    if len(tensors) == 1 and len(schema.tensors) <= 1 and tensors[0].name not in plan.names:
        if schema.tensors and schema.tensors[0].name not in {None, tensors[0].name}:
            got, expected = quote(tensors[0].name), quote(schema.tensors[0].name)
            raise invalid(f"inputs: got tensor {got}, expected {expected}")
        return single(schema, tensors[0])
    given = {one.name: one for one in tensors}
    if len(given) < len(tensors):
        twice = repeated(one.name for one in tensors)
        raise invalid(f"inputs: got {listed(twice)} more than once, expected each name once")
    if schema.tensors and not (len(schema.tensors) == 1 and schema.tensors[0].name is None):
        present = encoding.present(schema, given)
        return Input("tensors", [_tensor(one, given[one.name or ""]) for one in present])
    if schema.tensors:
        return encoding.mapping(schema, {name: _cells(one) for name, one in given.items()})
    return _columns(schema, tensors)


def single(schema: Schema, given: Tensor) -> Input:
    """Make a request of one tensor, whatever its name."""
    if schema.tensors:
        return Input("array", [_tensor(schema.tensors[0], given)])
    if schema.columns:
        if len(given.shape) == 2:
            encoding.select(schema, None, given.shape[1])
        return _matrix(schema, given) or encoding.array(schema, nested(given.shape, _listed(schema, given)))
    if given.data is None:
        return _untyped(given)
    if len(given.shape) == 2:
        encoding.check_width(schema, given.shape[1])
    return Input("array", [_entry("input-0", given.datatype, given.shape, given.data)])


def _matrix(schema: Schema, given: Tensor) -> Input | None:
    """Hand on a matrix of all columns, where they are all of its type."""
    width = len(schema.columns)
    is_table = len(given.shape) == 2 and given.shape[1] == width
    plan = _plan(schema)
    if given.data is None or not is_table or not plan.kinds <= {given.datatype}:
        return None
    return Input("frame", [_entry("matrix", given.datatype, given.shape, given.data)], columns=plan.columns)


def _wants(column: Column, given: Tensor) -> bool:
    """Tell whether a column is of another type than a tensor."""
    return column.kind not in {None, given.datatype}


def _columns(schema: Schema, tensors: Sequence[Tensor]) -> Input:
    lengths = {one.name: one.shape[0] if one.shape else -1 for one in tensors}
    if len(set(lengths.values())) > 1 or -1 in lengths.values():
        shapes = {one.name: list(one.shape) for one in tensors}
        raise invalid(f"inputs: got tensors of shapes {quote(shapes)}, expected columns of one length")
    positions, columns = encoding.select(schema, list(lengths), len(lengths))
    return Input(
        "frame",
        [_column(column, tensors[at]) for at, column in zip(positions, columns)],  # noqa: B905 - one each
    )


def _column(column: Column, given: Tensor) -> tuple[dict[str, Any], Buffer]:
    is_flat = given.shape[1:] in ([], [1], (), (1,))
    if given.data is not None and is_flat and not _wants(column, given):
        return _entry(column.name, given.datatype, given.shape[:1], given.data)
    values = _cells(given, column)
    kind = column.kind or _kind_of_texts(given) or infer(values)
    datatype, buffer = pack_column(column, kind, values)
    parameters = {"type": kind} if kind in {"binary", "datetime"} else None
    return wire.tensor(column.name, datatype, [len(values)], buffer, parameters), buffer


def _cells(given: Tensor, column: Column | None = None) -> list[Any]:
    """Return a column's cells: a tensor [n, 1] is a column too, as Triton's batches have it."""
    kind = None if column is None else column.kind
    binary = kind == "binary" or (kind is None and _kind_of_texts(given) == "binary")
    flat = list(given.listed(binary=binary))
    if kind == "JSON" and given.datatype == BYTES and column is not None and column.type != "any":
        flat = [_parsed(one) for one in flat]
    return flat if given.shape[1:] in ([], [1], (), (1,)) else list(nested(given.shape, flat))


def _listed(schema: Schema, given: Tensor) -> Sequence[Any]:
    return given.listed(binary=any(column.kind == "binary" for column in schema.columns))


def _parsed(text: Any) -> Any:
    """Read the JSON that a text holds: how a nested value travels as BYTES."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, TypeError):
        return text


def _tensor(declared: Declared, given: Tensor) -> tuple[dict[str, Any], Buffer]:
    """Make the tensor that a signature declares, of its shape and type."""
    name = declared.name or "input-0"
    encoding.check_shape(name, list(given.shape), declared.shape)
    if given.data is not None and declared.kind == given.datatype:
        return _entry(name, given.datatype, given.shape, given.data)
    values = given.listed(binary=declared.kind == "binary")
    where = f"tensor {quote(name)}"
    datatype, buffer = encoding.pack_values(where, declared.kind, values, truths=declared.truths)
    return wire.tensor(name, datatype, given.shape, buffer, encoding.told(declared.kind)), buffer


def named(tensors: Sequence[Tensor], params: Mapping[str, Any]) -> Input:
    """Hand tensors on by their names, bytes as bytes: what they mean only the worker knows."""
    entries = []
    for one in tensors:
        if one.data is not None:
            entries.append(_entry(one.name, one.datatype, one.shape, one.data))
            continue
        # what is a text is handed on as one, so that a log can tell what is in it
        is_raw = any(isinstance(value, bytes) for value in one.values or ())
        is_whole = not all(map(is_text, one.values or ()))
        buffer = msgspec.json.encode(one.listed(binary=is_whole))
        about = {"type": "octets" if is_whole else "text"} if is_raw else None
        entries.append((wire.tensor(one.name, wire.JSON, one.shape, buffer, about), buffer))
    # rows of several are not merged: one may be of all rows
    return Input("tensors" if len(entries) == 1 else "arguments", entries, params=params or None)


def _untyped(given: Tensor) -> Input:
    """Hand on texts of which no signature says what they are: bytes that are no UTF-8 stay bytes."""
    kind = _kind_of_texts(given) or "string"
    values = given.listed(binary=kind == "binary")
    datatype, buffer = encoding.pack_values(f"tensor {quote(given.name)}", kind, values)
    parameters = {"type": kind} if kind == "binary" else None
    return Input("array", [(wire.tensor("input-0", datatype, given.shape, buffer, parameters), buffer)])


def _kind_of_texts(given: Tensor) -> str | None:
    if given.datatype != BYTES or given.values is None:
        return None
    return "string" if all(map(is_text, given.values)) else "binary"


def _entry(name: str, datatype: str, shape: Sequence[int], data: Buffer) -> tuple[dict[str, Any], Buffer]:
    return wire.tensor(name, datatype, shape, data), data
