"""The Open Inference Protocol (V2): a table in, a request's inputs out; an answer's outputs in, rows out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from lading.core.datatypes import OIP
from lading.core.signature import Field, Signature
from lading.servers.recorded import Table

_OF_COLUMNS = {
    "boolean": "BOOL",
    "integer": "INT32",
    "long": "INT64",
    "float": "FP32",
    "double": "FP64",
    "string": "BYTES",
}


def routes(name: str) -> dict[str, str]:
    """Return where a server of the protocol says how it is, and scores by the model of a name."""
    return {
        "liveness": "/v2/health/live",
        "readiness": "/v2/health/ready",
        "scoring": f"/v2/models/{name}/infer",
    }


def columns(read: Table, signature: Signature | None) -> list[dict[str, Any]]:
    """Write a named table as one input for each column."""
    fields = {one.name: one for one in signature.inputs} if signature else {}
    return [
        _input(name, [row[number] for row in read.rows], fields.get(name))
        for number, name in enumerate(read.columns or ())
    ]


def tensor(rows: Sequence[Any], field: Field | None, name: str) -> dict[str, Any]:
    """Write nested lists as one input."""
    shape: list[int] = []
    flat = list(rows)
    while True:
        shape.append(len(flat) if not shape else len(flat) // _product(shape))
        if not flat or not all(isinstance(one, list) for one in flat):
            break
        flat = list(chain.from_iterable(flat))
    datatype = OIP.get(field.dtype or "", "") if field else ""
    return {"name": name, "shape": shape, "datatype": datatype or infer(flat), "data": flat}


def infer(values: Sequence[Any]) -> str:
    """Name the datatype of JSON values."""
    if any(isinstance(one, str) for one in values):
        return "BYTES"
    if values and all(isinstance(one, bool) for one in values):
        return "BOOL"
    whole = all(isinstance(one, int) and not isinstance(one, bool) for one in values)
    return "INT64" if values and whole else "FP64"


def rows(body: bytes, signature: Signature | None) -> Any:  # noqa: ANN401 - any JSON value
    """Read an answer's outputs: several are the columns of a table; ValueError where there are none."""
    outputs = _outputs(body)
    if len(outputs) == 1:
        return _single(outputs[0], signature)
    columns = {one["name"]: _squeezed(one) for one in outputs}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def named(body: bytes) -> dict[str, list[Any]]:
    """Read each output of an answer, in its own shape; ValueError where there are none."""
    return {str(one["name"]): _nested(one["data"], one["shape"]) for one in _outputs(body)}


def _outputs(body: bytes) -> list[Any]:
    answer = json.loads(body)
    outputs = answer.get("outputs") if isinstance(answer, Mapping) else None
    if not isinstance(outputs, list) or not outputs or not all(map(_is_output, outputs)):
        raise ValueError("no outputs")
    return outputs


def _is_output(one: object) -> bool:
    match one:
        case {"name": str(), "shape": list(shape), "data": list()}:
            return all(isinstance(size, int) and size >= 0 for size in shape)
        case _:
            return False


def _input(name: str, values: list[Any], field: Field | None) -> dict[str, Any]:
    datatype = _OF_COLUMNS.get(field.type) if field else None
    written = {"name": name, "shape": [len(values), 1], "datatype": datatype or infer(values), "data": values}
    return {**written, "parameters": {"content_type": "str"}} if written["datatype"] == "BYTES" else written


def _single(output: Mapping[str, Any], signature: Signature | None) -> list[Any]:
    """Read one output; a column that only the protocol made of a list is a list again."""
    declared = signature.outputs if signature else ()
    if len(declared) == 1 and declared[0].type == "tensor" and len(declared[0].shape or ()) == 2:
        return _nested(output["data"], output["shape"])
    return _squeezed(output)


def _squeezed(output: Mapping[str, Any]) -> list[Any]:
    shape = list(output["shape"])
    return _nested(output["data"], shape[:-1] if len(shape) == 2 and shape[-1] == 1 else shape)


def _nested(data: list[Any], shape: Sequence[int]) -> list[Any]:
    """Fold a flat list; ValueError where it has not as many values as the shape."""
    if data and isinstance(data[0], list):
        data = list(_flat(data))
    if len(data) != _product(shape):
        raise ValueError(f"{len(data)} values of shape {list(shape)}")
    for size in reversed(shape[1:]):
        data = [data[start : start + size] for start in range(0, len(data), size)] if size else []
    return data


def _flat(data: Any) -> Iterator[Any]:  # noqa: ANN401 - nested lists
    for one in data:
        yield from _flat(one) if isinstance(one, list) else (one,)


def _product(shape: Sequence[int]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product
