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
    info: Mapping[str, Any]
    """`saved_input_example_info`, without the names of files."""
    example: Any
    """input_example.json."""
    serving: Mapping[str, Any]
    """serving_input_example.json: a request."""


def first_rows(value: Any, rows: int = ROWS) -> Any:
    """Return the first rows of an array, a frame, a list, or arrays by name; a tensor becomes an array."""
    if isinstance(value, Mapping):
        return {str(name): first_rows(one, rows) for name, one in value.items()}
    if is_a(value, "torch", "Tensor"):
        value = value.detach().cpu().numpy()
    if is_a(value, "pandas", "Series"):
        value = value.to_frame()
    if hasattr(value, "iloc"):
        return value.iloc[:rows]
    if hasattr(value, "tocsr"):
        return value.tocsr()[:rows].toarray()
    if hasattr(value, "shape"):
        return value[:rows] if value.shape else value
    return list(value[:rows]) if isinstance(value, (list, tuple)) else value


def of(inputs: Any) -> Sample:
    """Take the first rows of inputs; raise SpecError for what no server takes."""
    value = first_rows(inputs)
    if is_a(value, "polars", "DataFrame"):
        what = "got a DataFrame of polars, which no server gives a model"
        raise SpecError(Issue("inputs", what, "give one of pandas, or an array: inputs.to_pandas()"))
    if hasattr(value, "iloc"):
        split = json.loads(value.to_json(orient="split", date_format="iso", double_precision=15))
        split.pop("index")
        info = {"type": "dataframe", "pandas_orient": "split"}
        return Sample(value, info, split, {"dataframe_split": split})
    plain = to_json(value)
    arrays = list(value.values()) if isinstance(value, Mapping) else [value]
    if arrays and all(hasattr(one, "shape") for one in arrays):
        return Sample(value, {"type": "ndarray"}, plain, {"inputs": plain})
    if isinstance(value, (list, dict)):
        return Sample(value, {"type": "json_object"}, plain, {"inputs": plain})
    kind = f"{type(inputs).__module__}.{type(inputs).__qualname__}"
    expected = "expected a DataFrame, an array, a list of rows, or arrays by name"
    raise SpecError(Issue("inputs", f"got a {kind}, {expected}", "give some of the inputs it was trained on"))


def table(value: Any) -> Any:
    """Return rows of numbers in lists as the array that they are to any library; else what is given."""
    if not isinstance(value, list) or not value or not isinstance(value[0], (list, tuple)):
        return value
    import numpy as np

    try:
        array = np.asarray(value)
    except ValueError:
        return value
    return array if array.ndim > 1 and array.dtype.kind in "biuf" else value


def to_json(value: Any) -> Any:  # noqa: C901, PLR0911 - one for each kind
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
        return {str(name): to_json(one) for name, one in value.items()}
    if hasattr(value, "tolist"):
        return to_json(value.tolist())
    if isinstance(value, (list, tuple)):
        return [to_json(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if hasattr(value, "isoformat"):
        return value.isoformat()
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    raise SpecError(Issue("example", f"holds a {kind}, which JSON has no form for"))


def is_a(value: Any, library: str, name: str) -> bool:
    """Tell whether a value is of a library's class, without importing it."""
    module = sys.modules.get(library)
    return module is not None and isinstance(value, getattr(module, name, ()))
