"""A nested column's type, as MLflow's signatures have them, and one value in; whether the value fits out."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lading_runtime.front.cast import Misfit, pack
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


def check(spec: Mapping[str, Any], value: Any, path: str = "") -> None:
    """Raise ValueError, which says where in the value, unless it fits a type of MLflow's signatures."""
    kind = spec.get("type")
    if kind in SCALARS:
        try:
            pack(SCALARS[kind], [value])
        except Misfit as misfit:
            raise ValueError(_at(path, str(misfit))) from None
    elif value is None and _is_any(spec):
        return  # as MLflow has it, required or not
    elif kind in {"array", "sparkml_vector"}:
        if not isinstance(value, list):
            raise ValueError(_at(path, f"got {shown(value)}, expected a list"))
        items = spec.get("items") or {"type": "any"}
        for index, item in enumerate(value):
            check(items, item, f"{path}[{index}]")
    elif kind == "map":
        _check_map(spec, _object(value, path), path)
    elif kind == "object":
        _check_object(spec.get("properties") or {}, _object(value, path), path)


def _check_map(spec: Mapping[str, Any], value: Mapping[str, Any], path: str) -> None:
    is_optional = spec.get("required", True) is False
    for key, item in value.items():
        if item is not None or not is_optional:
            check(spec.get("values") or {"type": "any"}, item, f"{path}.{key}")


def _check_object(properties: Mapping[str, Any], value: Mapping[str, Any], path: str) -> None:
    unknown = sorted(set(value) - set(properties))
    if unknown:
        raise ValueError(
            _at(path, f"got unknown properties {listed(unknown)}, expected {listed(sorted(properties))}")
        )
    for name, spec in properties.items():
        if value.get(name) is not None:
            check(spec, value[name], f"{path}.{name}")
        elif spec.get("required", True):
            is_null = name in value
            expected = f"a value ({spec.get('type')})"
            what = f"got null, expected {expected}" if is_null else f"missing, expected {expected}"
            raise ValueError(_at(f"{path}.{name}", what))


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
