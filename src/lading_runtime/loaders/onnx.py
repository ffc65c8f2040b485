"""An ONNX graph in, a session of onnxruntime to predict with out."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from lading_runtime.worker import inputs, results

_CPU = "CPUExecutionProvider"
# what onnxruntime calls a type → numpy's name
_TYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(bool)": "bool",
    **{f"tensor({sign}int{bits})": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


def load(path: str, options: Mapping[str, Any]) -> Session:
    """Load `file`; `providers` and `session` are MLflow's settings of the same kind.

    One thread, where the settings do not say otherwise: workers are what there are several of.
    """
    import onnxruntime  # type: ignore[import-not-found,import-untyped,unused-ignore]

    asked = [tuple(one) if isinstance(one, list) else one for one in options.get("providers") or ()]
    there = set(onnxruntime.get_available_providers())
    usable = [one for one in asked if (one if isinstance(one, str) else one[0]) in there] or [_CPU]
    if _CPU not in usable:
        usable.append(_CPU)
    file = os.path.join(path, str(options["file"]))  # noqa: PTH118 - see pickle.py
    settings = _settings(onnxruntime, options.get("session") or {})
    return Session(onnxruntime.InferenceSession(file, sess_options=settings, providers=usable))


def _settings(onnxruntime: Any, given: Mapping[str, Any]) -> Any:
    settings = onnxruntime.SessionOptions()
    settings.inter_op_num_threads = int(given.get("inter_op_num_threads") or 1)
    settings.intra_op_num_threads = int(given.get("intra_op_num_threads") or 1)
    if given.get("execution_mode"):
        mode = f"ORT_{str(given['execution_mode']).upper()}"
        settings.execution_mode = getattr(onnxruntime.ExecutionMode, mode)
    if given.get("graph_optimization_level"):
        level = onnxruntime.GraphOptimizationLevel(given["graph_optimization_level"])
        settings.graph_optimization_level = level
    for key, value in (given.get("extra_session_config") or {}).items():
        settings.add_session_config_entry(str(key), str(value))
    return settings


class Session:
    """A graph that predicts."""

    def __init__(self, session: Any) -> None:
        """Learn what the graph takes and gives."""
        self._session = session
        self._inputs = {one.name: _TYPES.get(one.type) for one in session.get_inputs()}
        self._outputs = [one.name for one in session.get_outputs()]
        shapes = [list(one.shape) for one in (*session.get_inputs(), *session.get_outputs())]
        width = shapes[0][1] if len(self._inputs) == 1 and len(shapes[0]) == 2 else None
        # a first length that is left open in every input and output is the number of rows
        is_open = all(shape and not isinstance(shape[0], int) for shape in shapes)
        self.facts = {
            "names": None,
            "width": width if isinstance(width, int) else None,
            "batches": is_open and len(self._outputs) == 1,
        }

    def predict(self, request: inputs.Request) -> Any:
        """Predict: a frame for a frame, as MLflow has it, else all outputs by name."""
        import numpy as np

        is_frame = request.content == "frame"
        feeds = {name: self._fed(name, one) for name, one in self._given(request).items()}
        try:
            found = self._session.run(self._outputs, feeds)
        except Exception as error:
            if type(error).__name__ in {"InvalidArgument", "ValueError"}:
                raise inputs.RefusedError(str(error)[:2000]) from error
            raise
        if is_frame and inputs.has_pandas():
            import pandas as pd

            columns = {name: np.asarray(one).flatten() for name, one in zip(self._outputs, found)}  # noqa: B905
            # MLflow fails where a classifier has fewer labels than probabilities; here all are given by name
            if len({len(one) for one in columns.values()}) == 1:
                return pd.DataFrame.from_dict(columns)
        if all(isinstance(one, np.ndarray) for one in found):
            return results.Named(dict(zip(self._outputs, found)))  # noqa: B905
        return dict(zip(self._outputs, found))  # noqa: B905

    def _given(self, request: inputs.Request) -> Mapping[str, Any]:
        if request.content == "tensors":
            arrays = request.arrays()
            if len(self._inputs) == len(arrays) == 1:
                return dict(zip(self._inputs, arrays.values()))  # noqa: B905
            return arrays
        if len(self._inputs) == 1:
            return dict.fromkeys(self._inputs, request.array())
        if request.content != "frame":
            message = f"expected the inputs {list(self._inputs)} by name"
            raise inputs.RefusedError(message)
        frame = request.frame()
        return {str(name): frame[name].to_numpy() for name in frame.columns}

    def _fed(self, name: str, array: Any) -> Any:
        """Bring doubles to the graph's floats, as MLflow does; what else does not fit is refused by it."""
        wanted = self._inputs.get(name)
        return array.astype(wanted) if wanted == "float32" and array.dtype.name == "float64" else array
