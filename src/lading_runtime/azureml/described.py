"""A sample in, what Swagger says of it out, in the words of inference-schema 1.8."""

# a sample may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import base64
import json
from datetime import date, datetime, time, timezone
from typing import Any

_NUMBERS = {f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
_FLOATS = {"float16": "float", "float32": "float", "float64": "double"}
_SECONDS = "%H:%M:%S"


def is_alike(example: Any) -> bool:
    """Tell whether the items of every list are of one type."""
    if type(example) is dict:
        return all(map(is_alike, example.values()))
    if type(example) is not list:
        return True
    if len(set(map(type, example))) > 1:
        return False
    return not example or type(example[0]) is not list or all(map(is_alike, example))


def value(sample: Any) -> dict[str, Any]:  # noqa: PLR0911 - a line per type
    """Describe a value, or another type's sample."""
    kind = type(sample)
    if hasattr(sample, "input_to_swagger"):
        found: dict[str, Any] = sample.input_to_swagger()
        return found
    if kind is int:
        return {"type": "integer", "format": "int64", "example": sample}
    if kind is float:
        return {"type": "number", "format": "double", "example": sample}
    if kind is bool:
        return {"type": "boolean", "example": sample}
    if kind is str:
        return {"type": "string", "example": sample}
    if kind in {bytes, bytearray}:
        return {"type": "string", "format": "byte", "example": base64.b64encode(sample).decode()}
    if kind in {date, datetime, time}:
        return _moment(sample)
    if kind in {list, tuple, range}:
        return _list(sample)
    if kind is dict:
        return _object(sample)
    return {"type": "object", "example": sample}


def array(sample: Any) -> dict[str, Any]:
    """Describe a numpy array."""
    item = _of_type(sample.dtype)
    found: dict[str, Any] = _nested(item, len(sample.shape))
    found["example"] = [_example(found["items"], one) for one in sample]
    return {**found, "format": "numpy.ndarray"}


def frame(sample: Any, orient: str) -> dict[str, Any]:
    """Describe a pandas frame as an orientation prints it."""
    printed = json.loads(sample.to_json(orient=orient, date_format="iso"))
    found = _list(printed) if orient in {"records", "values"} else _object(printed)
    for name in sample.columns:
        kind = str(sample.dtypes[name])
        told = "date-time" if kind.startswith("datetime") else "timedelta"
        if kind.startswith(("datetime", "timedelta")):
            for place in _cells(found, orient, str(name)):
                place["format"] = told
    return {**found, "format": f"pandas.DataFrame:{orient}"}


def _cells(found: dict[str, Any], orient: str, name: str) -> list[dict[str, Any]]:
    """List what describes the cells of a column, where the orientation names it."""
    if orient == "records":
        return [found["items"]["properties"][name]]
    if orient == "table":
        return [found["properties"]["data"]["items"]["properties"][name]]
    if orient == "index":
        return [row["properties"][name] for row in found["properties"].values()]
    if orient == "columns":
        return list(found["properties"][name]["properties"].values())
    return []


def _moment(sample: Any) -> dict[str, Any]:
    if type(sample) is date:
        return {"type": "string", "format": "date", "example": sample.isoformat()}
    aware = sample if sample.tzinfo is not None else sample.replace(tzinfo=timezone.utc)
    is_time = type(sample) is time
    form = f"{'' if is_time else '%Y-%m-%d '}{_SECONDS}.%f %z"
    return {
        "type": "string",
        "format": "time" if is_time else "date-time",
        "example": aware.strftime(form),
    }


def _list(sample: Any) -> dict[str, Any]:
    items: dict[str, Any] = {"type": "object"}
    example = []
    for one in sample:
        items = value(one)
        example.append(items.pop("example"))
    return {"type": "array", "items": items, "example": example}


def _object(sample: Any) -> dict[str, Any]:
    members = {name: value(one) for name, one in sample.items()}
    example = {name: one.pop("example") for name, one in members.items()}
    return {"type": "object", "required": list(members), "properties": members, "example": example}


def _nested(item: dict[str, Any], dimensions: int) -> dict[str, Any]:
    for _ in range(max(1, dimensions)):
        item = {"type": "array", "items": item}
    return item


def _of_type(kind: Any) -> dict[str, Any]:
    """Describe a numpy type; raise TypeError for one that JSON has no word for."""
    if len(kind):
        return {"type": "object", "properties": {name: _of_type(kind[name]) for name in kind.names}}
    if kind.subdtype is not None:
        return _nested(_of_type(kind.subdtype[0]), len(kind.subdtype[1]))
    name = kind.name.lower()
    if name in _NUMBERS:
        return {"type": "integer", "format": _NUMBERS[name]}
    if name in _FLOATS:
        return {"type": "number", "format": _FLOATS[name]}
    for start, told in (
        ("bool", {"type": "boolean"}),
        ("object", {"type": "object"}),
        ("datetime", {"type": "string", "format": "date-time"}),
        ("timedelta", {"type": "string", "format": "timedelta"}),
        ("str", {"type": "string"}),
        ("bytes", {"type": "string", "format": "binary"}),
        ("void", {"type": "string", "format": "binary"}),
    ):
        if name.startswith(start):
            return dict(told)
    message = f"We currently do not support extracting schema from data of type {name}"
    raise TypeError(message)


def _example(schema: dict[str, Any], item: Any) -> Any:  # noqa: PLR0911 - a line per type
    """Print an item as its schema has it."""
    kind, form = schema["type"], schema.get("format")
    if kind == "object" and "properties" in schema:
        return {name: _example(one, item[name]) for name, one in schema["properties"].items()}
    if kind == "array":
        return [_example(schema["items"], one) for one in item]
    if kind == "number":
        return float(item)
    if kind == "integer":
        return int(item)
    if form == "date-time":
        return item.astype(datetime).strftime("%Y-%m-%d %H:%M:%S,%f")
    if form == "binary":
        return base64.b64encode(item).decode()
    return str(item)
