"""A recorded example in, or a schema; one row that a person may start from out."""

# JSON values may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from lading_runtime import log
from lading_runtime.bill import Bill
from lading_runtime.front.json_schema import of_column, of_kind
from lading_runtime.front.schema import Schema

_LIMIT_BYTES = 1 << 20
_WORDS: Mapping[str, Any] = {
    "boolean": False,
    "integer": 0,
    "number": 0.0,
    "string": "text",
    "array": [],
    "object": {},
}


def body(bill: Bill, schema: Schema) -> Any:
    """Return what may be sent to `/invocations`: the first row of what was recorded, else one made up."""
    request = recorded(bill)
    return made_up(schema) if request is None else _first(request)


def made_up(schema: Schema) -> Any:
    """Make a request that a schema lets through."""
    if schema.tensors:
        tensors = {one.name or "input-0": _filled(one.kind, list(one.shape)) for one in schema.tensors}
        return {"inputs": tensors if schema.tensors[0].name else next(iter(tensors.values()))}
    if schema.columns and schema.named:
        return {"dataframe_records": [{one.name: _value(of_column(one)) for one in schema.columns}]}
    if schema.columns:
        return {"instances": [[_value(of_column(one)) for one in schema.columns]]}
    return {"instances": [[0.0] * (schema.width or 1)]}


def record(request: Any, schema: Schema, *, optional: bool = True) -> dict[str, Any]:
    """Return the first row of a request by the names of the schema's columns, what it lacks made up.

    Without `optional`, what it lacks and nobody needs is left out.
    """
    names = [one.name for one in schema.columns]
    cells = {one.name: _value(of_column(one)) for one in schema.columns if optional or one.required}
    row = _row(request)
    if isinstance(row, dict):
        return {**cells, **{name: value for name, value in row.items() if name in names}}
    if isinstance(row, list) and len(row) == len(names):
        return dict(zip(names, row))  # noqa: B905 - of one length
    return cells


def _row(request: Any) -> Any:
    form = request if isinstance(request, dict) else {"instances": request}
    split = form.get("dataframe_split")
    if isinstance(split, dict):
        rows, names = split.get("data") or [[]], split.get("columns")
        return dict(zip(names, rows[0])) if names else rows[0]  # noqa: B905 - verification has replayed it
    for key in ("dataframe_records", "instances", "inputs"):
        rows = form.get(key)
        if isinstance(rows, dict):
            return {name: one[0] if isinstance(one, list) and one else one for name, one in rows.items()}
        if isinstance(rows, list) and rows:
            return rows[0]
    return None


def recorded(bill: Bill) -> Any:
    """Read the first recorded example, where there is one that is not too long."""
    entries = json.loads(bill.text or b"{}").get("examples") or []
    if not entries:
        return None
    path = str(entries[0]["path"])
    try:
        if os.stat(path).st_size > _LIMIT_BYTES:  # noqa: PTH116
            return None
        with open(path, "rb") as stream:  # noqa: PTH123 - no need of pathlib for this
            return json.load(stream)["inputs"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.write("warning", f"{path}: the example cannot be shown: {error}")
        return None


def _first(request: Any) -> Any:
    """Keep the first row of a recorded request, and its form."""
    if isinstance(request, list):
        return {"instances": request[:1]}
    if not isinstance(request, dict):
        return request
    kept = dict(request)
    split = kept.get("dataframe_split")
    if isinstance(split, dict) and isinstance(split.get("data"), list):
        kept["dataframe_split"] = {
            **{k: v for k, v in split.items() if k != "index"},
            "data": split["data"][:1],
        }
    for key in ("dataframe_records", "instances", "inputs"):
        value = kept.get(key)
        if isinstance(value, list):
            kept[key] = value[:1]
        elif isinstance(value, dict) and all(isinstance(one, list) for one in value.values()):
            kept[key] = {name: one[:1] for name, one in value.items()}
    return kept


def _filled(kind: str, shape: list[int]) -> Any:
    value = _value(of_kind(kind))
    for size in reversed([1 if one < 0 else one for one in shape]):
        value = [value] * size
    return value


def _value(schema: Mapping[str, Any]) -> Any:
    """Make a value that a schema of `json_schema` lets through."""
    if schema.get("format") == "date-time":
        return "2024-01-31T12:00:00Z"
    if schema.get("contentEncoding") == "base64":
        return "AAAA"
    kind = schema.get("type")
    if kind == "object":
        return {name: _value(one) for name, one in (schema.get("properties") or {}).items()}
    name = kind[0] if isinstance(kind, list) else kind
    # of no known type: most models take numbers, and few take null
    return _WORDS.get(str(name or "number"))
