"""A nested column's type, as MLflow's signatures have them, and a value in; the value as typed out."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from lading_runtime.front.cast import FLOATS, Misfit, pack
from lading_runtime.front.messages import listed, shown

# MLflow's scalar types → what they are cast to
SCALARS = {
    "boolean": "BOOL",
    "integer": "INT32",
    "long": "INT64",
    "float": "FP32",
    "double": "FP64",
    "string": "string",
    "binary": "binary",
    "datetime": "datetime",
}

VECTOR = {"type": "double"}
"""What a Spark vector is made of."""


def check(spec: Mapping[str, Any], value: Any, path: str = "") -> Any:
    """Return a value as MLflow's signatures have it, whose null among floats is NaN.

    Raises ValueError, which says where in the value, unless it fits.
    """
    kind = spec.get("type")
    if kind in SCALARS:
        try:
            pack(SCALARS[kind], [value])
        except Misfit as misfit:
            raise ValueError(_at(path, str(misfit))) from None
        return _number(SCALARS[kind], value)
    if value is None and _is_any(spec):
        return None  # as MLflow has it, required or not
    if kind in {"array", "sparkml_vector"}:
        if not isinstance(value, list):
            raise ValueError(_at(path, f"got {shown(value)}, expected a list"))
        items = VECTOR if kind == "sparkml_vector" else spec.get("items") or {"type": "any"}
        return [check(items, item, f"{path}[{index}]") for index, item in enumerate(value)]
    if kind == "map":
        return _check_map(spec, _object(value, path), path)
    if kind == "object":
        return _check_object(spec.get("properties") or {}, _object(value, path), path)
    return value


def _number(kind: str, value: Any) -> Any:
    """Return a float that is written as a whole number as one, and the reverse."""
    if kind in FLOATS:
        return math.nan if value is None else float(value)
    return int(value) if type(value) is float and "INT" in kind else value


def _check_map(spec: Mapping[str, Any], value: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    is_optional = spec.get("required", True) is False
    values = spec.get("values") or {"type": "any"}
    return {
        key: None if item is None and is_optional else check(values, item, f"{path}.{key}")
        for key, item in value.items()
    }


def _check_object(properties: Mapping[str, Any], value: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    unknown = sorted(set(value) - set(properties))
    if unknown:
        raise ValueError(
            _at(path, f"got unknown properties {listed(unknown)}, expected {listed(sorted(properties))}")
        )
    typed = dict(value)
    for name, spec in properties.items():
        if value.get(name) is not None:
            typed[name] = check(spec, value[name], f"{path}.{name}")
        elif spec.get("required", True):
            is_null = name in value
            expected = f"a value ({spec.get('type')})"
            what = f"got null, expected {expected}" if is_null else f"missing, expected {expected}"
            raise ValueError(_at(f"{path}.{name}", what))
    return typed


def to_json(values: Sequence[Any]) -> bytes:
    """Print values for the worker, which reads NaN and infinities as well."""
    data = msgspec.json.encode(values)
    # it prints null for them
    return json.dumps(values).encode() if b"null" in data else data


def _is_any(spec: Mapping[str, Any]) -> bool:
    """Tell whether a list or a map may hold anything."""
    kind = spec.get("type")
    inner = spec.get("items") if kind == "array" else spec.get("values") if kind == "map" else None
    return bool(inner) and (inner or {}).get("type") == "any"


def _object(value: object, path: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(_at(path, f"got {shown(value)}, expected an object"))  # noqa: TRY004 - a value, not a type
    return value


def _at(path: str, text: str) -> str:
    return f"at {path.lstrip('.')}: {text}" if path else text
