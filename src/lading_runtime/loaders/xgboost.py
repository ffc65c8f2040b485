"""A model of XGBoost, in its own format (ubj, json, binary), in; something to predict with out."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from typing import Any

from lading_runtime.loaders.table import Table


def load(path: str, options: Mapping[str, Any]) -> Table:
    """Load `file` into a new `class`, such as `XGBClassifier`; a Booster where none is named.

    `params` says that requests may have some, of which a compiled form would know nothing.
    """
    import xgboost  # type: ignore[import-not-found,import-untyped,unused-ignore]

    name = str(options.get("class") or "Booster").rpartition(".")[2]
    kind = getattr(xgboost, name, None)
    if not (isinstance(kind, type) and hasattr(kind, "load_model")):
        message = f"got the class {name!r}, expected one of xgboost's models"
        raise TypeError(message)
    model = kind()
    model.load_model(os.path.join(path, str(options["file"])))  # noqa: PTH118 - pathlib costs a millisecond
    booster = model if name == "Booster" else model.get_booster()
    if name == "Booster":
        model.set_param({"nthread": 1})
    else:
        model.set_params(n_jobs=1)
    names = booster.feature_names
    predict = _of_booster(model, xgboost.DMatrix) if name == "Booster" else _of_estimator(model)
    table = Table(predict, names=names, width=int(booster.num_features()), batches=True, takes_params=True)
    if name != "Booster" and not options.get("params"):
        table.estimator = model  # which can be compiled
    return table


def _of_booster(model: Any, matrix: Any) -> Any:
    """Predict from what becomes a DMatrix; an array has no names, so the model's own are given."""

    def predict(data: Any, **params: Any) -> Any:
        names = None if hasattr(data, "columns") else model.feature_names
        return model.predict(matrix(data, feature_names=names), **params)

    return predict


def _of_estimator(model: Any) -> Any:
    """Predict as the estimator does, with those parameters that it knows, as MLflow has it."""
    known = inspect.signature(model.predict).parameters

    def predict(data: Any, **params: Any) -> Any:
        return model.predict(data, **{name: value for name, value in params.items() if name in known})

    return predict
