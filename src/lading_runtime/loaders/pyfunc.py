"""An MLflow model of a flavour with no loader of its own in, mlflow's own `predict` out."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from lading_runtime.worker import inputs

_CLIENTS_FAULT = {"BAD_REQUEST", "INVALID_PARAMETER_VALUE"}
_WHERE = {"MLFLOW_TRACKING_URI", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"}
"""Variables that say where MLflow is to send what a model traces."""


def load(path: str, _: Mapping[str, Any]) -> Pyfunc:
    """Load the folder by `mlflow.pyfunc`, which the model's environment has."""
    import mlflow.pyfunc  # type: ignore[import-not-found,import-untyped,unused-ignore]

    if not _WHERE & os.environ.keys() and hasattr(mlflow, "tracing"):
        # else each trace of an agent's is tried to be kept in a database here, for a minute
        mlflow.tracing.disable()
    # what is downloaded is linked to, which MLflow takes for an escape
    return Pyfunc(mlflow.pyfunc.load_model(os.path.realpath(path)))


class Pyfunc:
    """A `PyFuncModel`."""

    def __init__(self, model: Any) -> None:
        """Take the signature from the bill: this model knows no more."""
        self._model = model
        metadata = getattr(model, "metadata", None)
        schema = metadata.get_input_schema() if metadata else None
        # columns without names have numbers
        self._numbered = schema is not None and not (schema.has_input_names() or schema.is_tensor_spec())
        self.facts: Mapping[str, Any] = {"names": None, "width": None}

    def predict(self, request: inputs.Request) -> Any:
        """Predict, with what mlflow makes of its own schema; a ValueError refuses the input."""
        if request.content == "frame":
            data = request.frame()
            if self._numbered:
                data.columns = range(len(data.columns))
        elif request.content == "tensors":
            data = request.arrays()
        else:
            data = request.array()
        # older versions know no params
        more = {"params": dict(request.params)} if request.params else {}
        try:
            return self._model.predict(data, **more)
        except Exception as error:
            # MLflow's own errors say whose fault it was, in a word of theirs
            is_theirs = getattr(error, "error_code", None) in _CLIENTS_FAULT
            if is_theirs or isinstance(error, ValueError):
                raise inputs.RefusedError(str(error)[:2000]) from error
            raise
