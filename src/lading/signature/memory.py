"""Inputs or outputs that lie in memory in, their fields out, as MLflow's `infer_signature` has them.

Frames of pandas, arrays of numpy, arrays by name and plain values; no library is imported for that.
"""

# arrays, frames and plain values alike
# ruff: noqa: ANN401

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lading.core.signature import Field
from lading.signature.columns import of_frame
from lading.signature.data import of_json

_COLUMNS = {
    "bool": "boolean",
    **dict.fromkeys(("int8", "int16", "int32", "uint8", "uint16"), "integer"),
    **dict.fromkeys(("int64", "uint32"), "long"),
    **dict.fromkeys(("float16", "float32"), "float"),
    "float64": "double",
}


def fields(value: Any) -> tuple[Field, ...]:
    """Return columns of a frame or of plain rows, tensors of arrays; none where the values do not tell."""
    if hasattr(value, "iloc") and hasattr(value, "columns"):
        try:
            return tuple(_column(str(name), value[name]) for name in value.columns)
        except ValueError:
            return (Field("any"),)
    if isinstance(value, Mapping) and value and all(hasattr(one, "dtype") for one in value.values()):
        return tuple(_tensor(one, name) for name, one in value.items())
    if hasattr(value, "dtype"):
        return (_tensor(value, None),) if getattr(value, "shape", None) else ()
    return of_json(value).fields if isinstance(value, (list, dict)) and value else ()


def _tensor(array: Any, name: str | None) -> Field:
    kind = {"U": "str", "S": "bytes"}.get(array.dtype.kind, array.dtype.name)
    return Field("tensor", name, dtype=kind, shape=(-1, *map(int, array.shape[1:])))


def _column(name: str, series: Any) -> Field:
    """Return a column by its type, one of objects by its values; ValueError for what has no type."""
    kind = series.dtype.name.lower()
    is_missing = bool(series.isna().any())
    if kind.startswith("datetime64"):
        return Field("datetime", name, required=not is_missing)
    if kind == "category":
        kind = series.cat.categories.dtype.name
    if kind in _COLUMNS:
        return Field(_COLUMNS[kind], name, required=not is_missing)
    if kind == "object":
        return of_frame(name, series.tolist())
    return Field("string", name, required=not is_missing)
