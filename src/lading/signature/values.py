"""Values in, the type that MLflow's `infer_signature` gives them out (mlflow/types/utils.py, 3.17).

A type is MLflow's JSON of it. What takes no type raises ValueError, which says why.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

ANY: Json = {"type": "any"}
_PYTHON: Mapping[type, str] = {
    bool: "boolean",
    int: "long",
    float: "double",
    str: "string",
    bytes: "binary",
    bytearray: "binary",
    dt.date: "datetime",
    dt.datetime: "datetime",
}
_MIXED = "values of several types stand in one list"


@dataclass(frozen=True, slots=True)
class Kind:
    """A value of a library's own, of which the type alone is known; `type` is None where MLflow has none."""

    type: str | None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Vector:
    """An array of numpy's: unlike an empty list, an empty one has no type."""

    items: Sequence[Any]


def is_missing(value: object) -> bool:
    """Tell whether a value is null or NaN."""
    return value is None or (isinstance(value, float) and value != value)  # noqa: PLR0124 - NaN is not itself


def type_of(value: Any) -> Json | None:  # noqa: ANN401 - any value
    """Return the type of a value; None where it has none that is known, as an empty array of numpy's."""
    if is_missing(value) or (isinstance(value, (list, dict)) and not value):
        return ANY
    if isinstance(value, dict):
        properties = {}
        for name, one in value.items():
            typed = type_of(one)
            if typed is None:
                raise ValueError("an array within an object is empty")
            properties[str(name)] = {**typed, "required": typed["type"] != "any"}
        return {"type": "object", "properties": dict(sorted(properties.items()))}
    if isinstance(value, (list, Vector)):
        return of_list(value.items if isinstance(value, Vector) else value)
    if isinstance(value, Kind):
        if value.type is None:
            raise ValueError(f"{value.name} has no type in a signature")
        return {"type": value.type}
    kind = _PYTHON.get(type(value))
    if kind is None:
        raise ValueError(f"{type(value).__name__} has no type in a signature")
    return {"type": kind}


def of_list(items: Iterable[Any]) -> Json | None:
    """Return the array type of a list: what its items have in common."""
    result: Json | None = None
    for item in items:
        result = joined(result, type_of(item))
    return None if result is None else {"type": "array", "items": result}


def joined(so_far: Json | None, typed: Json | None) -> Json | None:
    """Join an item's type to that of the items before it."""
    if typed is None or so_far is None:
        return so_far if typed is None else typed
    return merge(so_far, typed)


def of_column(values: Iterable[Any]) -> Json:
    """Return the type of a column's values."""
    found = of_list(values)
    if found is None:
        raise ValueError("there is no value that is not empty")
    items: Json = found["items"]
    return items


def merge(one: Json, other: Json) -> Json:
    """Return what is both; raise ValueError where nothing is."""
    kind, others = one["type"], other["type"]
    if kind == "any":
        return other if others in {"any", *_PYTHON.values(), "integer", "float"} else merge(other, one)
    if kind == "array":
        if others == "any" or one == other:
            return one
        if others == "array":
            return {"type": "array", "items": merge(one["items"], other["items"])}
    elif kind == "object":
        if others == "any":
            loose = {name: {**typed, "required": False} for name, typed in one["properties"].items()}
            return {"type": "object", "properties": loose}
        if others == "object":
            return _merged_objects(one, other)
    elif others in {kind, "any"}:
        return one
    raise ValueError(_MIXED)


def _merged_objects(one: Json, other: Json) -> Json:
    mine, theirs = one["properties"], other["properties"]
    properties = {}
    for name in sorted(mine.keys() | theirs.keys()):
        if name in mine and name in theirs:
            required = mine[name]["required"] and theirs[name]["required"]
            pair = [
                {key: part for key, part in each[name].items() if key != "required"}
                for each in (mine, theirs)
            ]
            properties[name] = {**merge(*pair), "required": required}
        else:
            properties[name] = {**mine.get(name, theirs.get(name)), "required": False}
    return {"type": "object", "properties": properties}
