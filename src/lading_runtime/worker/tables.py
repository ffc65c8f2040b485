"""A Parquet file in, its columns out: for the front, which has no library that reads one.

What it makes of them, the front casts by the signature, as it casts every other table.
"""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import io
from typing import Any

from lading_runtime import wire
from lading_runtime.worker import inputs, results

CONTENT = "parquet"


def encode(request: inputs.Request) -> Any:
    """Return what `results.encode` returns of a frame; numbers stay what they are beside nulls.

    Raises UnsupportedError where nothing in the model's environment reads Parquet, RefusedError for no file.
    """
    data = io.BytesIO(request.text())
    try:
        import pyarrow.parquet  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        return results.encode(_by_pandas(data))
    try:
        table = pyarrow.parquet.read_table(data)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise inputs.RefusedError("no Parquet file: " + str(error)[:500]) from error
    # pandas writes its row labels as a column
    labels = (table.schema.pandas_metadata or {}).get("index_columns", [])
    return "frame", [
        _tensor(name, column.combine_chunks())
        for name, column in zip(table.column_names, table.columns)  # noqa: B905 - strict= needs Python 3.10
        if name not in labels
    ]


def _tensor(name: str, column: Any) -> Any:
    from pyarrow import types  # type: ignore[import-not-found,import-untyped,unused-ignore]

    kind = column.type
    if column.null_count == 0 and (
        types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
    ):
        _, ((entry, data),) = results.encode(column.to_numpy(zero_copy_only=False))
        return {**entry, "name": name}, data
    try:
        data = results.to_json(column.to_pylist())
    except TypeError as error:
        raise inputs.RefusedError(f"column {name!r}: {kind} has no JSON form") from error
    return wire.tensor(name, wire.JSON, [len(column)], data), data


def _by_pandas(data: Any) -> Any:
    try:
        import pandas as pd

        return pd.read_parquet(data)
    except ImportError as error:
        message = (
            "nothing in the model's environment reads Parquet: it needs pyarrow, or pandas with fastparquet"
        )
        raise inputs.UnsupportedError(message) from error
    except (OSError, ValueError) as error:
        raise inputs.RefusedError("no Parquet file: " + str(error)[:500]) from error
