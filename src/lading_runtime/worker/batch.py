"""A batch in, an answer per request out: all at once, and in halves where that fails.

Requests of one form come as one, with `rows` saying how many belong to whom. A row that the model refuses
costs its own request alone.
"""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lading_runtime import wire
from lading_runtime.worker import inputs, results

if TYPE_CHECKING:  # Python 3.8 could not evaluate them
    Answer = tuple[dict[str, Any], Sequence[bytes]]
    Single = Callable[[Any, Mapping[str, Any], memoryview], Answer]


class _NoRowsError(Exception):
    """The model's answer is not one row for each of its input."""


def answer(model: Any, header: Mapping[str, Any], body: memoryview, single: Single) -> Answer:
    """Answer a batch in one message: its outputs as they are, or `answers`, one of its own for each request.

    `single` answers one request. Where the model does not answer row by row, the header says `unbatchable`.
    """
    rows = header["rows"]
    flags: dict[str, Any] = {}
    try:
        return _whole(model, header, body, rows)
    except _NoRowsError:
        flags["unbatchable"] = True
        answers = [single(model, *part) for part in _parts(header, body, rows, [1] * len(rows))]
    except MemoryError:
        answers = [single(model, *part) for part in _parts(header, body, rows, [1] * len(rows))]
    except Exception:  # noqa: BLE001 - whatever a user's model raises; told of with the request it is about
        answers = _halves(model, header, body, single)
    joined: list[bytes] = []
    for _, data in answers:
        joined += data
    return {"answers": [one for one, _ in answers], **flags}, joined


def _halves(model: Any, header: Mapping[str, Any], body: memoryview, single: Single) -> list[Answer]:
    """Answer each half of a batch, and halves of the half that fails."""
    answers: list[Answer] = []
    count = len(header["rows"])
    for part, data in _parts(header, body, header["rows"], [count // 2, count - count // 2]):
        if len(part["rows"]) == 1:
            answers.append(single(model, part, data))
            continue
        try:
            document, buffers = _whole(model, part, data, part["rows"], apart=True)
            answers += _deal(document["answers"], buffers)
        except Exception:  # noqa: BLE001 - as above
            answers += _halves(model, part, data, single)
    return answers


def _deal(headers: Sequence[dict[str, Any]], buffers: Sequence[bytes]) -> list[Answer]:
    rest = iter(buffers)
    return [(one, [next(rest) for _ in one["outputs"]]) for one in headers]


def _whole(
    model: Any, header: Mapping[str, Any], body: memoryview, rows: Sequence[int], *, apart: bool = False
) -> Answer:
    """Answer all of it by one call; raise what the model raises, or _NoRowsError."""
    if header["parameters"]["content"] == "json":
        many = getattr(model, "predict_many", None)
        requests = [inputs.Request(*part) for part in _parts(header, body, rows, [1] * len(rows))]
        values = many(requests) if many is not None else ()
        if len(values) != len(requests):
            raise _NoRowsError
        return _each(values)
    value = results.named(model.predict(inputs.Request(header, body)))
    total = sum(rows)
    # a list is none in general: some models return one array per output
    length = len(value) if type(value) is list and getattr(model, "gives_rows", False) else _length(value)
    if length != total:
        raise _NoRowsError
    if not apart:
        content, tensors = results.encode(value)
        entries = [entry for entry, _ in tensors]
        if content != "json" and all(entry["datatype"] != wire.JSON for entry in entries):
            return {"parameters": {"content": content}, "outputs": entries}, [data for _, data in tensors]
    start = 0
    values = []
    for count in rows:
        values.append(_slice(value, start, start + count))
        start += count
    return _each(values)


def _each(values: Sequence[Any]) -> Answer:
    headers = []
    buffers: list[bytes] = []
    for value in values:
        content, tensors = results.encode(value)
        headers.append({"parameters": {"content": content}, "outputs": [entry for entry, _ in tensors]})
        buffers += [data for _, data in tensors]
    return {"answers": headers}, buffers


def _length(value: Any) -> int | None:
    """Return how many rows a table or array has."""
    if isinstance(value, results.Named):
        return value.rows()
    shape = getattr(value, "shape", None)
    return int(shape[0]) if shape else None


def _slice(value: Any, start: int, end: int) -> Any:
    if isinstance(value, results.Named):
        return value.cut(start, end)
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(value, (pandas.DataFrame, pandas.Series)):
        return value.iloc[start:end]
    return value[start:end]


def _parts(
    header: Mapping[str, Any], body: memoryview, rows: Sequence[int], counts: Sequence[int]
) -> list[tuple[dict[str, Any], memoryview]]:
    """Cut a batch into smaller ones, of so many requests each; one of a single request has `rows` too."""
    tensors = list(wire.split(header["inputs"], body))
    parts = []
    request = row = 0
    for count in counts:
        mine = rows[request : request + count]
        if header["parameters"]["content"] == "json":
            cut = [(entry, bytes(data)) for entry, data in tensors[request : request + count]]
        else:
            cut = [_rows(entry, data, row, row + sum(mine)) for entry, data in tensors]
        joined = memoryview(bytearray(b"".join([data for _, data in cut])))
        ids = header["ids"][request : request + count]
        entries = [entry for entry, _ in cut]
        parts.append(({**header, "id": ids[0], "ids": ids, "rows": mine, "inputs": entries}, joined))
        request += count
        row += sum(mine)
    return parts


def _rows(
    entry: Mapping[str, Any], data: memoryview, first: int, last: int
) -> tuple[Mapping[str, Any], bytes]:
    """Return some rows of a tensor."""
    if entry["datatype"] == wire.JSON:
        cut = json.dumps(json.loads(bytes(data))[first:last]).encode()
    else:
        stride = len(data) // entry["shape"][0]
        cut = bytes(data[first * stride : last * stride])
    sizes = {**entry["parameters"], "binary_data_size": len(cut)}
    return {**entry, "shape": [last - first, *entry["shape"][1:]], "parameters": sizes}, cut
