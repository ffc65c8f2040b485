"""Inputs or outputs of training code in, the fields of their signature out, as MLflow infers them."""

# arrays, frames and plain values alike
# ruff: noqa: ANN401

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lading.core.signature import Field

_COLUMNS = {
    "bool": "boolean",
    **dict.fromkeys(("int8", "int16", "int32", "uint8", "uint16"), "integer"),
    **dict.fromkeys(("int64", "uint32"), "long"),
    **dict.fromkeys(("float16", "float32"), "float"),
    "float64": "double",
    "object": "string",
}


def fields(value: Any) -> tuple[Field, ...]:
    """Return columns of a frame, tensors of arrays; none where the values do not tell."""
    if hasattr(value, "iloc") and hasattr(value, "columns"):
        return tuple(_column(str(name), value[name]) for name in value.columns)
    if isinstance(value, Mapping) and value and all(hasattr(one, "dtype") for one in value.values()):
        return tuple(_tensor(one, name) for name, one in value.items())
    if hasattr(value, "dtype") and getattr(value, "shape", None):
        return (_tensor(value, None),)
    return ()


def _tensor(array: Any, name: str | None) -> Field:
    kind = {"U": "str", "S": "bytes"}.get(array.dtype.kind, array.dtype.name)
    return Field("tensor", name, dtype=kind, shape=(-1, *map(int, array.shape[1:])))


def _column(name: str, series: Any) -> Field:
    kind = series.dtype.name.lower()
    is_missing = bool(series.isna().any())
    if kind.startswith("datetime64"):
        return Field("datetime", name, required=not is_missing)
    if kind == "object" and len(series) and isinstance(series.iloc[0], bytes):
        return Field("binary", name, required=not is_missing)
    if kind == "category":
        kind = series.cat.categories.dtype.name
    return Field(_COLUMNS.get(kind, "string"), name, required=not is_missing)
