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
    **dict.fromkeys(("bool", "boolean"), "boolean"),
    **dict.fromkeys(("int8", "int16", "int32", "uint8", "uint16"), "integer"),
    **dict.fromkeys(("int64", "uint32"), "long"),
    **dict.fromkeys(("float16", "float32", "float"), "float"),
    **dict.fromkeys(("float64", "double"), "double"),
    **dict.fromkeys(("object", "str", "string", "large_string"), "string"),
}
"""numpy's, pandas' and pyarrow's names of types, without where they come from: `Int64`, `int64[pyarrow]`."""


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
    kind = series.dtype.name.lower().partition("[pyarrow]")[0]
    is_missing = bool(series.isna().any())
    if kind.startswith(("datetime64", "timestamp", "date32")):
        return Field("datetime", name, required=not is_missing)
    if kind == "category":
        kind = series.cat.categories.dtype.name
    if kind.startswith("sparse"):
        kind = series.sparse.to_dense().dtype.name
    found = _COLUMNS.get(kind)
    if found in {"integer", "long"} and is_missing:
        found = "double"  # a server gives holes among whole numbers as NaN
    if kind == "object" or found is None or (found == "boolean" and is_missing):
        cells = zip(series.tolist(), series.isna().tolist(), strict=True)
        return of_frame(name, [None if missing is True else _plain(cell) for cell, missing in cells])
    return Field(found, name, required=not is_missing)


def _plain(cell: Any) -> Any:
    return cell.tolist() if hasattr(cell, "tolist") else cell
