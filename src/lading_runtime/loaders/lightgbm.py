"""A booster of LightGBM, as text, in; something to predict with out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from lading_runtime.loaders.table import Table


def load(path: str, options: Mapping[str, Any]) -> Table:
    """Load `file`; `categories` are columns whose values LightGBM finds among those it was trained with."""
    booster = read(path, options)
    names = booster.feature_name()
    # names that LightGBM made up for lack of others are none
    told = None if names == [f"Column_{index}" for index in range(len(names))] else names

    categories = dict.fromkeys(options.get("categories") or (), "category")

    def predict(data: Any) -> Any:  # noqa: ANN401 - a frame, or an array
        if categories and hasattr(data, "columns"):
            data = data.astype(categories)
        return booster.predict(data, num_threads=1)

    return Table(predict, names=told, width=len(names), batches=True)


def read(path: str, options: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a booster
    """Load `file` as it is."""
    import lightgbm  # type: ignore[import-not-found,import-untyped,unused-ignore]

    return lightgbm.Booster(model_file=os.path.join(path, str(options["file"])))  # noqa: PTH118 - see pickle.py
