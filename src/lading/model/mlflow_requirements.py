"""What an MLflow model without a list of requirements needs: its MLmodel goes in, requirements come out.

MLmodel tells the release of mlflow, and most flavours that of their library (`save_model` of each flavour).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from lading.core.errors import Issue, ModelError
from lading.core.model import Requirement
from lading.model.distributions import distribution_of

FRAMEWORKS = {
    "catboost": "catboost",
    "keras": "keras",
    "langchain": "langchain",
    "lightgbm": "lightgbm",
    "onnx": "onnx",
    "prophet": "prophet",
    "pytorch": "torch",
    "sklearn": "scikit-learn",
    "spacy": "spacy",
    "spark": "pyspark",
    "statsmodels": "statsmodels",
    "tensorflow": "tensorflow",
    "transformers": "transformers",
    "xgboost": "xgboost",
}
"""The library of a flavour."""
_VERSION_KEYS = {"lightgbm": "lgb_version", "xgboost": "xgb_version", "spark": "pyspark_version"}
_RUN_BY = {"onnx": "onnxruntime"}
_VERSION = re.compile(r"[0-9]+(\.[0-9]+)*([a-z]+[0-9]+)?(\.(post|dev)[0-9]+)?")


def framework_version(flavour: str, settings: Mapping[str, Any]) -> str | None:
    """Tell the version of the flavour's library."""
    version = settings.get(_VERSION_KEYS.get(flavour, f"{flavour}_version"))
    return str(version) if isinstance(version, (str, float)) else None


def told_requirements(
    flavour: str, document: Mapping[str, Any], settings: Mapping[str, Any], pyfunc: Mapping[str, Any]
) -> tuple[Requirement, ...]:
    """Tell what mlflow needs to load the model; raise ModelError where MLmodel does not tell."""
    library = FRAMEWORKS.get(flavour)
    pickler = pyfunc.get("cloudpickle_version")
    if library is None and not (flavour == "python_function" and pickler):
        what = f"does not tell which libraries flavour {flavour!r} needs"
        raise ModelError(Issue("MLmodel", what, "add a requirements.txt or conda.yaml to the folder"))
    told = [pinned("mlflow", document.get("mlflow_version"))]
    if library:
        told.append(pinned(library, framework_version(flavour, settings)))
    if flavour in _RUN_BY:
        told.append(pinned(_RUN_BY[flavour], None))
    if pickler:
        told.append(pinned("cloudpickle", pickler))
    return merged(told)


def pinned(name: str, version: object) -> Requirement:
    """Require the public version that MLmodel tells, any where it tells none."""
    match = _VERSION.fullmatch(str(version).partition("+")[0])
    return Requirement(f"{name}=={match[0]}" if match else name, "mlflow")


def merged(first: Iterable[Requirement], then: Iterable[Requirement] = ()) -> tuple[Requirement, ...]:
    """Join requirements by their distributions, the first of each."""
    found: dict[str, Requirement] = {}
    for one in (*first, *then):
        found.setdefault(distribution_of(one), one)
    return tuple(sorted(found.values(), key=lambda one: one.text))
