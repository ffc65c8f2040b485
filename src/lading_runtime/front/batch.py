"""Requests of one form in, one message out; the worker's one answer in, an answer per request out.

A batch is merged here, where it costs a `join`: the worker sees one request of many rows, with `rows` in its
header saying how many belong to whom. No request is split, and their order is kept.
"""

# JSON values and a user's own objects may be of any type

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import chain
from typing import Any

import msgspec

from lading_runtime import wire
from lading_runtime.front.channel import Answer
from lading_runtime.front.encode import Input

_TABLES = {"frame", "array", "tensors"}
_encode = msgspec.json.Encoder().encode


def rows_of(wanted: Input) -> int:
    """Return how many rows a request has; 0 where it cannot be merged with another."""
    if wanted.params:
        return 0
    if wanted.content == "json":
        return 1 if len(wanted.tensors) == 1 else 0
    if wanted.content not in _TABLES:
        return 0
    rows = 0
    for entry, data in wanted.tensors:
        shape = entry["shape"]
        if not shape or not shape[0] or rows not in {0, shape[0]}:
            return 0
        # one text is the same column wherever it stands; among numbers and nulls it may not be
        if entry["datatype"] == wire.JSON and not (shape == [1] and data[:2] == b'["'):
            return 0
        rows = shape[0]
    return rows


def are_alike(one: Input, other: Input) -> bool:
    """Tell whether two requests that can be merged are of one form: only the number of rows may differ."""
    if one.content != other.content or one.columns != other.columns:
        return False
    if one.content == "json":
        return True
    if len(one.tensors) != len(other.tensors):
        return False
    for (left, _), (right, _) in zip(one.tensors, other.tensors):  # noqa: B905 - of one length, see above
        if (
            left["datatype"] != right["datatype"]
            or left["name"] != right["name"]
            or left["shape"][1:] != right["shape"][1:]
            or left["parameters"].get("type") != right["parameters"].get("type")
        ):
            return False
    return True


def message(
    wanted: Sequence[Input], rows: Sequence[int], names: Sequence[str], lane: int = 0
) -> list[wire.Buffer]:
    """Return the parts of one message: of one request, or of several that are alike, with their names."""
    first = wanted[0]
    parameters: dict[str, Any] = {"content": first.content}
    if first.columns is not None:
        parameters["columns"] = first.columns
    if first.params is not None:
        parameters["params"] = first.params
        if times := [name for name, value in first.params.items() if _is_time(value)]:
            parameters["times"] = times
        if odd := {name: value for name, value in first.params.items() if not _is_json(value)}:
            parameters["odd"] = json.dumps(odd, default=str)
    header: dict[str, Any] = {"id": names[0], "parameters": parameters}
    tensors = first.tensors
    if lane:
        header["lane"] = lane
    if len(wanted) > 1:
        header["rows"] = rows
        header["ids"] = names
        tensors = _merge(wanted, sum(rows))
    header["inputs"] = [entry for entry, _ in tensors]
    return wire.frame(_encode(header), [data for _, data in tensors])


def _is_json(value: object) -> bool:
    """Tell whether a value has a form in JSON: NaN and the infinities are null there."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_is_json, value.values()))
    return not isinstance(value, list) or all(map(_is_json, value))


def _is_time(value: object) -> bool:
    return any(map(_is_time, value)) if isinstance(value, list) else isinstance(value, date)


def _merge(wanted: Sequence[Input], total: int) -> Sequence[tuple[Mapping[str, Any], wire.Buffer]]:
    if wanted[0].content == "json":
        return list(chain.from_iterable(one.tensors for one in wanted))
    merged = []
    for index, (entry, _) in enumerate(wanted[0].tensors):
        parts = [one.tensors[index][1] for one in wanted]
        if entry["datatype"] == wire.JSON:
            data = b"[" + b",".join([part[1:-1] for part in parts]) + b"]"
        else:
            data = b"".join(parts)
        parameters = {**entry["parameters"], "binary_data_size": len(data)}
        merged.append(({**entry, "shape": [total, *entry["shape"][1:]], "parameters": parameters}, data))
    return merged


def split(answer: Answer, rows: Sequence[int]) -> Iterator[Answer]:
    """Cut a batch's answer into one per request; raise a WireError where it does not add up."""
    several = answer.header.get("answers")
    if several is None:
        return _cut(answer, rows)
    if len(several) != len(rows):
        message = f"got {len(several)} answers, expected {len(rows)}"
        raise wire.WireError(message)
    return _apart(several, answer.body)


def _apart(headers: Sequence[dict[str, Any]], body: memoryview) -> Iterator[Answer]:
    start = 0
    for header in headers:
        end = start + sum(entry["parameters"]["binary_data_size"] for entry in header.get("outputs", ()))
        yield Answer(header, body[start:end])
        start = end


def _cut(answer: Answer, rows: Sequence[int]) -> Iterator[Answer]:
    """Give each request its rows of every output."""
    parameters = answer.header["parameters"]
    outputs = []
    for entry, data in wire.split(answer.header["outputs"], answer.body):
        if entry["shape"][0] != sum(rows):
            message = f"got {entry['shape'][0]} rows of {entry['name']!r}, expected {sum(rows)}"
            raise wire.WireError(message)
        outputs.append((entry, data, len(data) // entry["shape"][0]))
    start = 0
    for count in rows:
        entries = []
        parts = []
        for entry, data, stride in outputs:
            parts.append(data[start * stride : (start + count) * stride])
            sizes = {"binary_data_size": count * stride}
            entries.append({**entry, "shape": [count, *entry["shape"][1:]], "parameters": sizes})
        start += count
        body = parts[0] if len(parts) == 1 else memoryview(b"".join(parts))
        yield Answer({"parameters": parameters, "outputs": entries}, body)
