"""A model of XGBoost, in its own format (ubj, json, binary), in; something to predict with out."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from typing import Any

from lading_runtime.loaders.table import Table


def load(path: str, options: Mapping[str, Any]) -> Table:
    """Load `file` into a new `class`, such as `XGBClassifier`; a Booster where none is named.

    `params` says that requests may have some, of which a compiled form would know nothing; `categories` are
    columns whose values XGBoost numbers; `by_content` that the file's name ends as another format's does.
    """
    return table_of(read(path, options), options)


def table_of(model: Any, options: Mapping[str, Any]) -> Table:
    """Make a table of a Booster or an estimator, with the options that `load` has."""
    import xgboost  # type: ignore[import-not-found,import-untyped,unused-ignore]

    is_booster = type(model) is xgboost.Booster
    booster = model if is_booster else model.get_booster()
    if is_booster:
        model.set_param({"nthread": 1})
    else:
        model.set_params(n_jobs=1)
    names = booster.feature_names
    types = booster.feature_types or ()
    predict = _of_booster(model, xgboost.DMatrix) if is_booster else _of_estimator(model)
    if options.get("categories"):
        predict = _numbered(predict, list(options["categories"]))
    table = Table(predict, names=names, width=int(booster.num_features()), batches=True, takes_params=True)
    if not is_booster and not options.get("params") and "c" not in types:
        table.estimator = model  # which can be compiled
    if "c" in types and not options.get("categories"):
        table.takes_frames = False  # pandas would number categories by the rows that come together
    return table


def read(path: str, options: Mapping[str, Any]) -> Any:
    """Load `file` into a new `class`."""
    import xgboost

    name = str(options.get("class") or "Booster").rpartition(".")[2]
    kind = getattr(xgboost, name, None)
    if not (isinstance(kind, type) and hasattr(kind, "load_model")):
        message = f"got the class {name!r}, expected one of xgboost's models"
        raise TypeError(message)
    model: Any = kind()
    file = os.path.join(path, str(options["file"]))  # noqa: PTH118 - pathlib costs a millisecond
    model.load_model(_bytes(file) if options.get("by_content") else file)
    return model


def _bytes(file: str) -> bytearray:
    with open(file, "rb") as stream:  # noqa: PTH123 - see above
        return bytearray(stream.read())


def _numbered(predict: Any, categories: Sequence[str]) -> Any:
    """Have columns of a frame be categories, which XGBoost finds by value among those it was trained with."""

    def told(data: Any, **params: Any) -> Any:
        is_frame = hasattr(data, "columns")
        return predict(data.astype(dict.fromkeys(categories, "category")) if is_frame else data, **params)

    return told


def _of_booster(model: Any, matrix: Any) -> Any:
    """Predict from what becomes a DMatrix; an array has no names, so the model's own are given."""
    has_categories = "c" in (model.feature_types or ())

    def predict(data: Any, **params: Any) -> Any:
        is_frame = hasattr(data, "columns")
        names = None if is_frame else model.feature_names
        if not has_categories:
            return model.predict(matrix(data, feature_names=names), **params)
        types = None if is_frame else model.feature_types
        known = matrix(data, feature_names=names, feature_types=types, enable_categorical=True)
        return model.predict(known, **params)

    return predict


def _of_estimator(model: Any) -> Any:
    """Predict as the estimator does, with those parameters that it knows, as MLflow has it."""
    known = inspect.signature(model.predict).parameters

    def predict(data: Any, **params: Any) -> Any:
        return model.predict(data, **{name: value for name, value in params.items() if name in known})

    return predict
