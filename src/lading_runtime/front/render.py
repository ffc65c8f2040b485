"""The worker's answer in, the JSON that a contract wants out."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from lading_runtime import wire
from lading_runtime.front.channel import Answer


def predictions(answer: Answer) -> bytes:
    """Render `{"predictions": …}` of what `bare` renders."""
    return b'{"predictions":' + bare(answer) + b"}"


def wrapped(answer: Answer) -> bytes:
    """Render `{"predictions": …}` for platforms that need it, though a routine may have written it itself."""
    body = bare(answer)
    if b'"predictions"' in body and answer.header["parameters"]["content"] == "json":
        value = decode(memoryview(body))
        if isinstance(value, dict) and "predictions" in value:
            return body
    if answer.header["parameters"]["content"] == "tensors":
        body = _records(answer) or body
    return b'{"predictions":' + body + b"}"


def _records(answer: Answer) -> bytes | None:
    """Render named tensors row by row, as KServe wants it; None where they have no rows in common."""
    outputs = answer.header["outputs"]
    lengths = {entry["shape"][0] if entry["shape"] else None for entry in outputs}
    if len(lengths) != 1 or None in lengths:
        return None
    columns = decode(memoryview(bare(answer)))
    rows = zip(*columns.values())  # noqa: B905 - of one length
    return msgspec.json.encode([dict(zip(columns, row)) for row in rows])  # noqa: B905 - of one answer


def bare(answer: Answer) -> bytes:
    """Render nested lists, records of a frame, an object of named tensors, or what a routine returned."""
    content = answer.header["parameters"]["content"]
    tensors = list(wire.split(answer.header["outputs"], answer.body))
    if content == "json":
        return bytes(tensors[0][1])
    if content == "media":
        return _media(*tensors[0])
    if content == "frame":
        names = [entry["name"] for entry, _ in tensors]
        columns = [_values(entry["datatype"], data) for entry, data in tensors]
        return msgspec.json.encode([dict(zip(names, row)) for row in zip(*columns)])  # noqa: B905 - one frame
    values = [_folded(entry, data) for entry, data in tensors]
    if content == "tensors":
        names = [entry["name"] for entry, _ in tensors]
        return msgspec.json.encode(dict(zip(names, values)))  # noqa: B905 - from one list
    return msgspec.json.encode(values[0])


def _media(entry: Mapping[str, Any], data: memoryview) -> bytes:
    """Print a response that a routine has made as a value: its JSON, its text, or base64."""
    kind = str(entry["parameters"].get("type")).partition(";")[0]
    if kind == "application/json":
        return bytes(data)
    is_text = kind.startswith("text/")
    return msgspec.json.encode(bytes(data).decode(errors="replace") if is_text else bytes(data))


def _folded(entry: Mapping[str, Any], data: memoryview) -> Any:
    """Return an array's values: JSON is nested already."""
    if entry["datatype"] == wire.JSON:
        return decode(data)
    return _nest(_values(entry["datatype"], data), entry["shape"])


def _values(datatype: str, data: memoryview) -> list[Any]:
    if datatype == wire.JSON:
        values = decode(data)
        return values if isinstance(values, list) else [values]
    if datatype == "BOOL":
        return list(map(bool, data))
    packed = array(wire.ARRAY_CODES[datatype])
    packed.frombytes(data)
    return packed.tolist()


def decode(data: memoryview) -> Any:
    """Read JSON; a lone surrogate, which a model may return but no Unicode text can hold, becomes `?`."""
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:
        text = json.dumps(json.loads(bytes(data)), ensure_ascii=False)
        return json.loads(text.encode(errors="replace"))


def _nest(values: list[Any], shape: Sequence[int]) -> Any:
    """Fold a flat list into nested ones; a scalar has no shape."""
    if not shape:
        return values[0]
    for size in reversed(shape[1:]):
        count = len(values) // size if size else 0
        values = [values[start * size : (start + 1) * size] for start in range(count)]
    return values
