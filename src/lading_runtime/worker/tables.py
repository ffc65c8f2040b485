"""A Parquet file in, its columns out: as a frame for the model, or as tensors for the front.

The front has no library that reads one. What it is given it casts by the signature, as it casts any other
table; where there is no signature, the model is given the frame with the types of the file.
"""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, Optional

from lading_runtime import wire
from lading_runtime.worker import results
from lading_runtime.worker.refusals import RefusedError, TooLargeError, UnsupportedError

CONTENT = "parquet"
_NO_LIBRARY = "nothing in the model's environment reads Parquet: it needs pyarrow, or pandas with fastparquet"


def encode(request: Any) -> Any:
    """Return what `results.encode` returns of the frame in a file; numbers stay what they are beside nulls.

    Raises UnsupportedError where nothing in the model's environment reads Parquet, RefusedError for no file.
    """
    data = request.text()
    limit = request.about.get("rows")
    try:
        import pyarrow.parquet  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        return results.encode(frame(data, limit))
    table = _read(lambda: pyarrow.parquet.read_table(_bounded(data, limit)))
    # pandas writes its row labels as a column
    labels = _read(lambda: (table.schema.pandas_metadata or {}).get("index_columns", []))
    return "frame", [
        _tensor(name, column.combine_chunks())
        for name, column in zip(table.column_names, table.columns)  # noqa: B905 - strict= needs Python 3.10
        if name not in labels
    ]


def frame(
    data: bytes,
    limit: Optional[int] = None,  # noqa: UP045 - evaluated under Python 3.8 too
    columns: Optional[Sequence[str]] = None,  # noqa: UP045
) -> Any:
    """Return a file's DataFrame, or those of its `columns` in this order, as pandas reads it.

    Raises as `encode` does, and TooLargeError for more rows than the limit.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise UnsupportedError(_NO_LIBRARY) from error
    table = _read(lambda: pd.read_parquet(_bounded(data, limit)))
    if columns is None:
        return table
    missing = [name for name in columns if name not in table.columns]
    if missing:
        found = list(map(str, table.columns))
        raise RefusedError(f"columns {missing[:6]} are missing ({len(missing)} in all), got {found[:6]}")
    return table[list(columns)]


def _read(read: Any) -> Any:
    """Have a library read a file of a client's, which may fail it anywhere."""
    try:
        return read()
    except (RefusedError, MemoryError):
        raise
    except ImportError as error:
        raise UnsupportedError(_NO_LIBRARY) from error
    except Exception as error:
        raise RefusedError("no Parquet file: " + str(error)[:500]) from error


def _bounded(data: bytes, limit: Any) -> Any:
    """Return the file, having looked at how many rows it says that it has."""
    stream = io.BytesIO(data)
    try:
        import pyarrow.parquet
    except ImportError:
        return stream
    rows = pyarrow.parquet.read_metadata(stream).num_rows
    if limit is not None and rows > limit:
        raise TooLargeError(f"got {rows} rows, expected at most {limit} (LADING_ROW_LIMIT)")
    stream.seek(0)
    return stream


def _tensor(name: str, column: Any) -> Any:
    from pyarrow import types  # type: ignore[import-not-found,import-untyped,unused-ignore]

    kind = column.type
    is_whole = types.is_integer(kind) or types.is_boolean(kind)
    if types.is_floating(kind) or (is_whole and column.null_count == 0):  # a null is NaN among floats
        _, ((entry, data),) = results.encode(column.to_numpy(zero_copy_only=False))
        return {**entry, "name": name}, data
    try:
        values = column.to_pylist(**({"maps_as_pydicts": "strict"} if _has_maps(kind) else {}))
        if types.is_decimal(kind):
            values = [
                int(one) if one is not None and one == one.to_integral_value() else one for one in values
            ]
        data = results.to_json(values)
    except (TypeError, ValueError, KeyError) as error:
        raise RefusedError(f"column {name!r}: {kind} has no JSON form: {error}"[:500]) from error
    return wire.tensor(name, wire.JSON, [len(column)], data), data


def _has_maps(kind: Any) -> bool:
    return "map<" in str(kind)
