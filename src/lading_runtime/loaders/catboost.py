"""A model of CatBoost, in a format of its own, in; something to predict with out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from lading_runtime.loaders.table import Table


def load(path: str, options: Mapping[str, Any]) -> Table:
    """Load `file` of a `format` (`cbm`) into a new `class` (`CatBoost`)."""
    import catboost  # type: ignore[import-not-found,import-untyped,unused-ignore]

    name = str(options.get("class") or "CatBoost")
    kinds = {"CatBoost", "CatBoostClassifier", "CatBoostRegressor", "CatBoostRanker"}
    if name not in kinds:
        message = f"got the class {name!r}, expected one of {sorted(kinds)}"
        raise TypeError(message)
    model = getattr(catboost, name)()
    file = os.path.join(path, str(options["file"]))  # noqa: PTH118 - see pickle.py
    model.load_model(file, str(options.get("format") or "cbm"))
    names = model.feature_names_
    # names that CatBoost made up for lack of others are none
    told = None if names == [str(index) for index in range(len(names))] else names

    def predict(data: Any) -> Any:  # noqa: ANN401 - a frame, or an array
        return model.predict(data, thread_count=1)

    return Table(predict, names=told, width=len(names), batches=True)
