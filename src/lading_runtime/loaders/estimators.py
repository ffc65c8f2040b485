"""What can be told of an estimator by what it is made of: whether rows are independent, how it is sped up."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lading_runtime.loaders import forest

# libraries whose fitted estimators answer each row by itself, in these methods
_LIBRARIES = {"sklearn", "xgboost", "lightgbm", "catboost"}
METHODS = {
    "predict",
    "predict_proba",
    "predict_log_proba",
    "decision_function",
    "score_samples",
    "transform",
}
# what runs a function of one's own, which may look at all rows, draws at random, or stops when all rows agree
_EXCEPT = {
    "FunctionTransformer",
    "DummyClassifier",
    "IterativeImputer",
    "LatentDirichletAllocation",
    "NMF",
    "MiniBatchNMF",
    "BernoulliRBM",
}


def walk(model: Any) -> Iterator[Any]:
    """Yield an estimator and all that it is made of."""
    seen = set()
    stack = [model]
    while stack:
        one = stack.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, (list, tuple)):
            stack.extend(one)
        elif isinstance(one, dict):
            stack.extend(one.values())
        elif hasattr(one, "get_params"):
            yield one
            stack.extend(vars(one).values())


def answers_by_row(model: Any, method: str) -> bool:
    """Tell whether rows of several requests may be predicted at once: for what is known, and nothing else."""
    if method not in METHODS:
        return False
    parts = list(walk(model))
    return bool(parts) and all(
        type(one).__module__.split(".")[0] in _LIBRARIES and type(one).__name__ not in _EXCEPT
        for one in parts
    )


def is_library(model: Any) -> bool:
    """Tell whether no code but libraries' own answers: then an error of a cell's type is about the input."""
    parts = list(walk(model))
    return bool(parts) and all(
        type(one).__module__.split(".")[0] in _LIBRARIES and not vars(one).get("func") for one in parts
    )


def takes_records(model: Any) -> bool:
    """Tell whether its first step wants a dict of each row, which is no table to it."""
    while getattr(model, "steps", None):
        model = model.steps[0][1]
    return type(model).__name__ == "DictVectorizer"


def categories(model: Any) -> list[str]:
    """Return the columns that were pandas' categories to LightGBM or XGBoost, which know their values."""
    library, name = type(model).__module__.split(".")[0], type(model).__name__
    if library == "lightgbm":
        booster = model if name == "Booster" else model.booster_
        numbers = booster.params.get("categorical_column")
        known = booster.pandas_categorical or ()
        if not isinstance(numbers, (list, tuple)) or len(numbers) != len(known):
            return []
        names = booster.feature_name()
        return [names[number] for number in numbers]
    if library == "xgboost" and name != "Booster":
        booster = model.get_booster()
        if hasattr(booster, "get_categories"):  # before 3.1 they are numbers alone
            pairs = zip(booster.feature_names or (), booster.feature_types or ())  # noqa: B905 - one each
            return [name for name, kind in pairs if kind == "c"]
    return []


def quicken(model: Any) -> None:
    """Have it answer as it does, in one thread and without detours."""
    use_one_job(model)
    for one in list(walk(model)):
        forest.shorten(one)


def use_one_job(model: Any) -> None:
    """Set `n_jobs` to 1 all the way down: starting threads for one row costs more than it saves."""
    for one in walk(model):
        if vars(one).get("n_jobs") not in {None, 1}:
            one.n_jobs = 1
