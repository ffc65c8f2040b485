"""Tensors of the Open Inference Protocol in, a function's arguments out; and metadata of its parameters.

A parameter of one value takes a tensor of one per row, and the function is called for each row. One that is
an array or a list itself takes the whole tensor, by one call. What has no datatype is BYTES of its JSON text;
a picture, a file or `bytes` are the BYTES themselves, or base64 where they came as JSON.
"""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Optional

from lading_runtime.typed import libraries, media, nested, plain
from lading_runtime.typed.nested import Member
from lading_runtime.typed.plain import Kind
from lading_runtime.typed.reading import Reading, Text, Upload, raw

BYTES = "BYTES"
_OF_JSON = {"boolean": "BOOL", "integer": "INT64", "number": "FP64"}
_DTYPES = {"bool": "BOOL", "float16": "FP32", "float32": "FP32", "float64": "FP64"}
_OPEN = -1
"""The rank of what takes a tensor of any."""


class Given(NamedTuple):
    """A tensor of a client."""

    name: str
    datatype: str
    shape: Sequence[int]
    values: Callable[[], Sequence[Any]]
    """All values, row by row: of BYTES `bytes`, or `str` where they came as JSON."""
    array: Optional[Callable[[], Any]] = None  # noqa: UP045 - evaluated under Python 3.8 too
    """A numpy array of numbers; None where there is one to be made of the values."""


def of_json(entry: Mapping[str, Any], at: str, reading: Reading) -> Given | None:
    """Read a tensor whose values are JSON, flat or nested; None, with a problem noted, where it is none."""
    shape, data = entry["shape"], entry.get("data")
    if not isinstance(data, list) or not isinstance(entry["name"], str):
        reading.fail(at, entry, "a tensor: name, shape, datatype and data")
        return None
    flat = _flat(data)
    is_shape = isinstance(shape, list) and all(type(size) is int and size >= 0 for size in shape)
    if flat is None or not is_shape or math.prod(shape) != len(flat):
        reading.note(f"tensor {entry['name']!r}"[:200], f"the data do not have the shape {shape!r}"[:200])
        return None
    return Given(entry["name"], str(entry["datatype"]), shape, lambda: flat)


def is_column(kind: Kind, given: Given) -> bool:
    """Tell whether numbers are a member of records, whose own tensors are texts."""
    leaf = _leaf(kind)
    return (
        leaf.is_record
        and given.datatype != BYTES
        and not isinstance(leaf, (libraries.Frame, libraries.Series))
    )


def folded(given: Given) -> list[Any]:
    """Return a column's cells, which are lists where it has further dimensions."""
    is_flat = list(given.shape[1:]) in ([], [1])
    return _folded([-1] if is_flat else given.shape, [_text(one) for one in given.values()])


def _flat(data: list[Any]) -> list[Any] | None:
    while data and isinstance(data[0], list):
        if any(not isinstance(one, list) for one in data):
            return None
        data = [value for one in data for value in one]
    return data


def describe(members: Sequence[Member]) -> list[dict[str, Any]]:
    """List parameters as the protocol's metadata lists inputs; `optional` are those with defaults."""
    ranks = {one.name: _rank(one.kind) for one in members}
    is_one_call = any(ranks[one.name] for one in members if one.required)
    described = []
    for one in members:
        rank = ranks[one.name]
        shape = [-1, -1] if rank == _OPEN else [-1] * rank or [1 if is_one_call else -1]
        entry: dict[str, Any] = {"name": one.name, "datatype": datatype(one.kind), "shape": shape}
        described.append(entry if one.required else {**entry, "optional": True})
    return described


def describe_answer(kind: Kind, members: Sequence[Member]) -> list[dict[str, Any]]:
    """Describe what is returned as the one output; nothing where the hint does not tell."""
    rank = _rank(kind)
    is_open = rank == _OPEN or isinstance(kind, (plain.Anything, plain.Null, nested.Union, libraries.Series))
    is_dictionary = isinstance(kind, nested.Lookup) and not kind.value.schema
    if is_open or is_dictionary or isinstance(_leaf(kind), plain.Anything):
        return []
    is_one_call = any(_rank(one.kind) for one in members if one.required)
    shape = [-1] * (max(rank, 1) if is_one_call else rank + 1)
    return [{"name": "output-0", "datatype": datatype(kind), "shape": shape}]


def datatype(kind: Kind) -> str:
    """Return the datatype of a kind's values, or of those that it is a list of."""
    if isinstance(kind, libraries.Array):
        name = str(kind.dtype or "float64")
        return _DTYPES.get(name) or (name.upper() if "int" in name else BYTES)
    if isinstance(kind, (libraries.Frame, libraries.Series)):
        return "FP64"
    found = {datatype(one) for one in _parts(kind)}
    return found.pop() if len(found) == 1 else BYTES if found else _of_schema(kind.schema)


def _parts(kind: Kind) -> Sequence[Kind]:
    """Return the kinds that a union or a list is of; null is none."""
    if isinstance(kind, nested.Union):
        return [one for one in kind.members if not isinstance(one, plain.Null)]
    if isinstance(kind, nested.Fixed):
        return kind.items
    return [kind.item] if isinstance(kind, nested.Many) else ()


def _of_schema(schema: Mapping[str, Any]) -> str:
    if schema.get("type") == "array" and isinstance(schema.get("items"), dict):
        return _of_schema(schema["items"])
    return _OF_JSON.get(str(schema.get("type")), BYTES)


def _rank(kind: Kind) -> int:
    """Return how many dimensions one value has; _OPEN where it has any."""
    if isinstance(kind, (libraries.Array, libraries.Frame)):
        return _OPEN
    ranks = [_rank(one) for one in _parts(kind)]
    if isinstance(kind, nested.Union):
        return ranks[0] if ranks else 0
    if isinstance(kind, nested.Fixed):
        return 1 if set(ranks) == {0} else 0
    if ranks:
        return _OPEN if ranks[0] == _OPEN else ranks[0] + 1
    rank = 0
    schema = kind.schema
    while schema.get("type") == "array":
        rank, schema = rank + 1, schema.get("items") or {}
    return rank


class _Value(NamedTuple):
    """What one parameter is given: the one value, or one for each of `rows`."""

    name: str
    values: Sequence[Any]
    rows: Optional[int]  # noqa: UP045 - evaluated under Python 3.8 too


def arguments(
    members: Sequence[Member], tensors: Sequence[Given], reading: Reading
) -> tuple[Sequence[Mapping[str, Any]], bool]:
    """Return the values of each call by name, and whether there is a call for each row.

    Every tensor is called as a parameter.
    """
    kinds = {one.name: one.kind for one in members}
    found = [value for value in (_value(kinds[one.name], one, reading) for one in tensors) if value]
    if reading.problems:
        return [], False
    counts = {one.rows for one in found if one.rows is not None}
    if any(one.rows is None for one in found):
        for one in found:
            if one.rows not in {None, 1}:
                reading.note(f"tensor {one.name!r}", f"got {one.rows} values, expected one")
        return ([] if reading.problems else [{one.name: one.values[0] for one in found}]), False
    several = counts - {1}
    if len(several) > 1:
        lengths = {one.name: one.rows for one in found}
        reading.note("inputs", f"got tensors of different first dimensions {lengths}, expected one per row")
        return [], True
    count = several.pop() if several else 1
    return [
        {one.name: one.values[row if one.rows == count else 0] for one in found} for row in range(count)
    ], True


def _value(kind: Kind, given: Given, reading: Reading) -> _Value | None:
    rank, shape = _rank(kind), list(given.shape)
    if rank == _OPEN:
        try:
            return _Value(given.name, [_whole(_bare(kind), given)], None)
        except (ValueError, TypeError, OverflowError) as error:
            reading.note(f"tensor {given.name!r}", str(error)[:500])
            return None
    if rank == 0 and shape[1:] in ([], [1]):
        shape = shape[:1]
    if rank == 1 and shape[1:] == [1]:  # a column, as Triton's batches have it
        shape = shape[:1]
    is_any = isinstance(kind, plain.Anything) and len(shape) > 1
    if (len(shape) not in {rank, rank + 1} and not is_any) or 0 in shape[1:]:
        expected = [-1] * max(rank, 1)
        reading.note(f"tensor {given.name!r}", f"got shape {list(given.shape)}, expected {expected}")
        return None
    cells = _cells(kind, given, reading)
    if not shape or (rank and len(shape) == rank):
        return _Value(given.name, [_folded(shape, cells) if shape else cells[0]], None if shape else 1)
    return _Value(given.name, _folded(shape, cells), shape[0])


def _whole(kind: Kind, given: Given) -> Any:
    """Return an array, a frame, or a list of arrays."""
    if given.datatype == BYTES:
        texts = [_text(one) for one in given.values()]
        if len(texts) == 1 and len(given.shape) < 2 and isinstance(kind, libraries.Frame):
            return Text(texts[0])
        whole: Any = _folded(given.shape, texts) if given.shape else texts[0]
    elif given.array is None:
        whole = libraries.numbers(given.datatype, given.values(), given.shape)
    else:
        whole = given.array()
    if isinstance(kind, libraries.Frame):
        return libraries.frame(whole)
    return list(whole) if isinstance(kind, nested.Many) else whole


def _cells(kind: Kind, given: Given, reading: Reading) -> Sequence[Any]:
    """Return the values of a tensor, each as what its parameter reads."""
    values = given.values()
    if given.datatype != BYTES:
        return values
    leaf = _leaf(kind)
    cells = []
    for index, one in enumerate(values):
        try:
            cells.append(_cell(leaf, one))
        except UnicodeDecodeError:
            reading.note(f"tensor {given.name!r}, value {index}", "expected a text in UTF-8")
            return values
    return cells


def _cell(leaf: Kind, value: Any) -> Any:
    """Make of one of BYTES what a kind reads: the bytes of a file, or a text that may be JSON."""
    if isinstance(leaf, (plain.Anything, libraries.Series)):
        return _text(value)
    if isinstance(value, bytes):
        if "file" in leaf.takes:
            return _file(leaf, value)
        value = value.decode()
    if not isinstance(value, str) or "file" in leaf.takes or datatype(leaf) != BYTES:
        return value
    return Text(value)


def _file(leaf: Kind, data: bytes) -> Upload:
    """Take bytes for a file; no picture is base64, but base64 may be one."""
    is_picture = isinstance(leaf, media.Picture)
    encoded = raw(data.decode()) if is_picture and data.isascii() else None
    return encoded or Upload(data, "")


def _text(value: Any) -> Any:
    """Return bytes as text where they are one."""
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value


def _bare(kind: Kind) -> Kind:
    """Return what an optional value is."""
    known = _parts(kind) if isinstance(kind, nested.Union) else ()
    return _bare(known[0]) if len(known) == 1 else kind


def _leaf(kind: Kind) -> Kind:
    """Return the kind of the values of a list, of lists."""
    kind = _bare(kind)
    items = () if isinstance(kind, nested.Union) else _parts(kind)
    return _leaf(items[0]) if items else kind


def _folded(shape: Sequence[int], flat: Sequence[Any]) -> list[Any]:
    """Fold a flat list by its shape, none of whose lengths but the first is 0."""
    for size in reversed(shape[1:]):
        flat = [list(flat[start : start + size]) for start in range(0, len(flat), size)] if size else []
    return list(flat)
