"""A pickled, joblib'd, cloudpickled or skops'd estimator in, something to predict with out."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import os
import pickle
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from lading_runtime.loaders import estimators, xgboost
from lading_runtime.worker import fork, inputs, results

_TRIAL_ROWS = 64
_MAPPED_BYTES = 1 << 20
_MAPPED_ARRAYS = 64


def load(path: str, options: Mapping[str, Any]) -> Any:
    """Load the file that the options name, below the model's folder.

    Options: `file`; `serialization` (`pickle`, `joblib`, `cloudpickle`, `skops`; else the file's name tells);
    `trusted_types` for skops; `method` or `predict_fn` (`predict`).
    """
    file = os.path.join(path, str(options.get("file") or ""))  # noqa: PTH118 - pathlib costs a millisecond here
    method = str(options.get("method") or options.get("predict_fn") or "predict")
    model = read(file, options)
    if not callable(getattr(model, method, None)):
        message = f"got a {type(model).__module__}.{type(model).__qualname__}, expected one with {method!r}"
        raise TypeError(message)
    if (type(model).__module__, type(model).__qualname__) == ("xgboost.core", "Booster"):
        return xgboost.table_of(model, {})  # what it predicts from is XGBoost's own
    estimator = Estimator(model, method)
    estimator.mapped = os.path.realpath(file)
    return estimator


def _guess(file: str) -> str:
    endings = {".joblib": "joblib", ".skops": "skops"}
    return next((kind for ending, kind in endings.items() if file.endswith(ending)), "pickle")


def read(file: str, options: Mapping[str, Any]) -> Any:
    """Read what the file holds, as it is."""
    serialization = str(options.get("serialization") or _guess(file))
    if serialization == "joblib":
        return _read_joblib(file)
    if serialization == "skops":
        import skops.io  # type: ignore[import-not-found,import-untyped,unused-ignore]

        return skops.io.load(file, trusted=list(options.get("trusted_types") or ()))
    with open(file, "rb") as stream:  # noqa: PTH123
        return pickle.load(stream)  # noqa: S301 - packing has looked at it, and this is the place to run it


def _read_joblib(file: str) -> Any:
    """Load a joblib file; large arrays that are not compressed stay in it, and are shared by all who load it.

    A page that is written to becomes the process's own: what is loaded behaves as if it were in memory. Each
    mapped array holds a descriptor: of a model of many the file is read instead.
    """
    import joblib

    with open(file, "rb") as stream:  # noqa: PTH123
        is_plain = stream.read(1) == pickle.PROTO
    if is_plain and os.path.getsize(file) >= _MAPPED_BYTES:  # noqa: PTH202
        try:
            model = joblib.load(file, mmap_mode="c")
        except (OSError, ValueError):  # more arrays than there are descriptors, or of a kind that cannot be
            return joblib.load(file)
        if fork.count_open(file) <= _MAPPED_ARRAYS:
            return model
        del model
    return joblib.load(file)


def _record(names: Sequence[str], cells: Sequence[Any]) -> dict[str, Any]:
    """Make a dict of a row; what is missing in it is left out."""
    pairs = zip(names, cells)  # noqa: B905 - one each
    return {name: cell for name, cell in pairs if cell is not None and cell == cell}  # noqa: PLR0124 - NaN


class Estimator:
    """An object with scikit-learn's `predict`."""

    mapped = ""
    """The file whose arrays may be mapped into memory."""

    def __init__(self, model: Any, method: str) -> None:
        """Set it up to answer one request at a time in one thread."""
        self.estimator, self.method = model, method
        names = getattr(model, "feature_names_in_", None)
        width = int(getattr(model, "n_features_in_", None) or 0) or None  # CatBoost has 0 where it is unknown
        self.facts = {
            "names": None if names is None else [str(name) for name in names],
            "width": width,
            "batches": estimators.answers_by_row(model, method),
        }
        # an estimator that was fitted on bare numbers warns when it is given names
        wants_frame = names is not None or width is None
        self.takes_frames = wants_frame and inputs.has_pandas()
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        estimators.quicken(model)
        self._predict = getattr(model, method)
        self._refusals = inputs.REFUSALS if estimators.is_library(model) else (ValueError,)
        self._is_by_row = method in estimators.METHODS
        self._takes_records = estimators.takes_records(model)
        self._categories = dict.fromkeys(estimators.categories(model), "category")
        if self._categories:
            self.takes_frames, self.estimator = inputs.has_pandas(), None  # a form knows no categories

    def warm(self) -> float | None:
        """Predict for rows of noughts; return the seconds per row, None where there is no telling.

        What a library imports at its first prediction is there for the first request, then. Only what is
        known to do nothing else is tried.
        """
        width, names = self.facts["width"], self.facts["names"]
        if not self.facts["batches"] or not width:
            return None
        import numpy as np

        data: Any = np.zeros((_TRIAL_ROWS, width))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if self.takes_frames:
                    import pandas as pd

                    data = pd.DataFrame(data, columns=names)
                self._predict(data)
                started = time.process_time()
                self._predict(data)
                return (time.process_time() - started) / _TRIAL_ROWS
        except Exception:  # noqa: BLE001 - columns of text, say
            return None

    def predict(self, request: inputs.Request) -> Any:
        """Predict; a ValueError is the estimator's way to refuse an input.

        So is what a library's own estimator raises that meets a type of cell which it cannot work with.
        """
        data = self._data(request)
        try:
            value = self._predict(data)
        except self._refusals as error:
            raise inputs.RefusedError(str(error)[:2000]) from error
        # several outputs may be a list of arrays; a method of one's own may do otherwise
        if hasattr(value, "toarray"):  # encoders and vectorizers answer with sparse matrices
            value = value.toarray()
        is_by_row = self._is_by_row and hasattr(value, "shape")
        return results.check_rows(value, request.rows) if is_by_row else value

    def _data(self, request: inputs.Request) -> Any:
        if request.content == "tensors":
            arrays = request.arrays()
            return next(iter(arrays.values())) if len(arrays) == 1 else arrays
        if self._takes_records and request.content == "frame":
            _, rows = request.table()
            return [_record(request.columns, row) for row in rows]
        if request.content == "frame" and self.takes_frames:
            frame = request.frame()
            return frame.astype(self._categories) if self._categories else frame
        return request.array()
