"""Inputs and outputs as training code has them in, a few rows as JSON that servers take and give out."""

# arrays, frames and plain values alike; numpy and pandas are imported only where the values are theirs
# ruff: noqa: ANN401

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lading.core.errors import Issue, SpecError

ROWS = 5


@dataclass(frozen=True, slots=True)
class Sample:
    """A few rows of inputs: as the model takes them, and as MLflow's two files have them."""

    value: Any
    """A frame whose columns have numbers for names has them from 0 on."""
    info: Mapping[str, Any]
    """`saved_input_example_info`, without the names of files."""
    example: Any
    """input_example.json."""
    serving: Mapping[str, Any]
    """serving_input_example.json: a request."""


def first_rows(value: Any, rows: int = ROWS) -> Any:
    """Return the first rows of an array, a frame, a list, or arrays by name.

    Tensors and columns that stand alone become arrays, tables of other libraries a frame: what servers give.
    """
    if isinstance(value, Mapping):
        return {str(name): first_rows(one, rows) for name, one in value.items()}
    if (found := _of_other_library(value, rows)) is not None:
        return found
    if hasattr(value, "iloc"):
        few = value.iloc[:rows]
        return few if hasattr(few, "columns") else few.to_numpy()
    if hasattr(value, "shape"):
        import numpy as np

        if hasattr(value, "tocsr"):
            return value.tocsr()[:rows].toarray()
        return np.asarray(value[:rows]) if len(value.shape) else value
    return list(value[:rows]) if isinstance(value, (list, tuple)) else value


def _of_other_library(value: Any, rows: int) -> Any:
    """Return the first rows of tensors, of polars' and of pyarrow's; None for what is none of them."""
    if is_a(value, "torch", "Tensor"):
        few = (value[:rows] if value.ndim else value).detach().cpu()
        return (few.float() if str(few.dtype) == "torch.bfloat16" else few).numpy()
    if is_a(value, "polars", "DataFrame"):
        import pandas as pd  # as servers give them

        few = value.head(rows)
        return pd.DataFrame({name: few[name].to_numpy() for name in few.columns})
    if is_a(value, "polars", "Series"):
        return value.head(rows).to_numpy()
    if is_a(value, "pyarrow", "Table") or is_a(value, "pyarrow", "RecordBatch"):
        return value.slice(0, rows).to_pandas()
    if is_a(value, "pyarrow", "Array") or is_a(value, "pyarrow", "ChunkedArray"):
        return value.slice(0, rows).to_pandas().to_numpy()
    return None


def of(inputs: Any) -> Sample:
    """Take the first rows of inputs; raise SpecError for what no server takes."""
    value = first_rows(inputs)
    if any(not _count(one) for one in (value.values() if isinstance(value, Mapping) else [value])):
        raise SpecError(Issue("inputs", "has no rows", "give some that the model answers, or leave it out"))
    if hasattr(value, "iloc"):
        _check_columns(list(value.columns))
        numbered = is_numbered(value)
        if numbered:
            value = value.set_axis(range(len(value.columns)), axis=1)
        split = json.loads(value.to_json(orient="split", date_format="iso", double_precision=15))
        for key in ("index", *(("columns",) if numbered else ())):
            split.pop(key)
        info = {"type": "dataframe", "pandas_orient": "split"}
        return Sample(value, info, split, {"dataframe_split": split})
    kind = f"{type(inputs).__module__}.{type(inputs).__qualname__}"
    arrays = list(value.values()) if isinstance(value, Mapping) else [value]
    if arrays and all(hasattr(one, "shape") for one in arrays):
        plain = to_json(value, "inputs")
        return Sample(value, {"type": "ndarray"}, plain, {"inputs": plain})
    if isinstance(value, (list, dict)):
        plain = to_json(value, "inputs")
        return Sample(value, {"type": "json_object"}, plain, {"inputs": plain})
    expected = "expected a DataFrame, an array, a list of rows, or arrays by name"
    raise SpecError(Issue("inputs", f"got a {kind}, {expected}", "give some of the inputs it was trained on"))


def _count(value: Any) -> int:
    """Return how many rows there are; 1 where the value is none of rows."""
    if shape := getattr(value, "shape", None):
        return int(shape[0])
    return len(value) if isinstance(value, (list, dict)) else 1


def is_numbered(frame: Any) -> bool:
    """Tell whether a frame's columns have numbers for names."""
    return len(frame.columns) > 0 and all(isinstance(one, int) for one in frame.columns)


def _check_columns(names: list[Any]) -> None:
    twice = sorted({str(one) for one in names if names.count(one) > 1})
    if twice:
        what = f"has the column {twice[0]!r} more than once"
        raise SpecError(Issue("inputs", what, "give each a name of its own, or an array: inputs.to_numpy()"))
    if names and isinstance(names[0], tuple):
        fix = "give each column one name, or an array: inputs.to_numpy()"
        raise SpecError(Issue("inputs", "has columns of several levels, which no server gives a model", fix))


def table(value: Any) -> Any:
    """Return rows of numbers, or texts, in lists as the array that servers give of them."""
    if (
        not isinstance(value, (list, tuple))
        or not value
        or not isinstance(value[0], (list, tuple, str, int, float))
    ):
        return value
    import numpy as np

    kinds = str if isinstance(value[0], str) else (int, float)
    if isinstance(value[0], kinds):
        return np.asarray(value) if all(isinstance(one, kinds) for one in value) else value

    try:
        array = np.asarray(value)
    except ValueError:
        return value
    return array if array.ndim > 1 and array.dtype.kind in "biuf" else value


def to_json(value: Any, where: str = "example") -> Any:  # noqa: C901, PLR0911 - one for each kind
    """Return JSON values: rows as lists, tables as records; NaN is null, as JSON has none.

    Raises SpecError for what JSON has no form for.
    """
    if is_a(value, "torch", "Tensor"):
        value = value.detach().cpu().numpy()
    if is_a(value, "pandas", "Series"):
        value = value.to_numpy()
    if hasattr(value, "iloc"):
        return json.loads(value.to_json(orient="records", date_format="iso", double_precision=15))
    if hasattr(value, "toarray"):
        value = value.toarray()
    if isinstance(value, Mapping):
        return {str(name): to_json(one, where) for name, one in value.items()}
    if hasattr(value, "tolist"):
        return to_json(value.tolist(), where)
    if isinstance(value, (list, tuple)):
        return [to_json(one, where) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if hasattr(value, "isoformat"):
        return value.isoformat()
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    raise SpecError(Issue(where, f"holds a {kind}, which JSON has no form for"))


def is_a(value: Any, library: str, name: str) -> bool:
    """Tell whether a value is of a library's class, without importing it."""
    module = sys.modules.get(library)
    return module is not None and isinstance(value, getattr(module, name, ()))
