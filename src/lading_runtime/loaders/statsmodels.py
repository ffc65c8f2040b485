"""The results of a fit by statsmodels, pickled, in; something to predict with out."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from typing import Any

from lading_runtime.loaders.table import Table


def load(path: str, options: Mapping[str, Any]) -> Table:
    """Load `file`; a time series is asked by one row of `start` and `end`, as MLflow has it."""
    import statsmodels.iolib.api  # type: ignore[import-not-found,import-untyped,unused-ignore] # noqa: F401
    from statsmodels.tsa.base.tsa_model import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
        TimeSeriesModel,
    )

    with open(os.path.join(path, str(options["file"])), "rb") as stream:  # noqa: PTH118, PTH123 - see pickle.py
        results = pickle.load(stream)  # noqa: S301 - packing has looked at it, and this is the place to run it
    if not isinstance(results.model, TimeSeriesModel):
        return Table(results.predict, by_columns=True)

    def predict(data: Any) -> Any:
        if not hasattr(data, "columns") or len(data) != 1 or not {"start", "end"} <= set(data.columns):
            message = "expected one row with the columns 'start' and 'end'"
            raise ValueError(message)
        return results.predict(start=data["start"].iloc[0], end=data["end"].iloc[0])

    return Table(predict, by_columns=True)
