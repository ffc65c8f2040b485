"""A model of Keras, or of TensorFlow's Keras, in; something to predict with out."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Mapping
from typing import Any

from lading_runtime.worker import inputs, results


def load(path: str, options: Mapping[str, Any]) -> Network:
    """Load `file` by the `module` that saved it (`keras`, `tensorflow.keras`), on its `backend`.

    `imports` are modules with classes of its author's; `unsafe` lets byte code be run, which was allowed when
    it was packed; `named` gives several outputs by name.
    """
    if options.get("backend"):
        os.environ.setdefault("KERAS_BACKEND", _backend(str(options["backend"])))
    for name in options.get("imports") or ():
        importlib.import_module(str(name))
    module = str(options.get("module") or "keras")
    if module not in {"keras", "tensorflow.keras", "tf_keras"}:
        message = f"got the module {module!r}, expected 'keras', 'tensorflow.keras' or 'tf_keras'"
        raise TypeError(message)
    file = os.path.join(path, str(options["file"]))  # noqa: PTH118 - see pickle.py
    more = {"safe_mode": False} if options.get("unsafe") else {}
    model = importlib.import_module(f"{module}.models").load_model(file, compile=False, **more)
    return Network(model, is_named=bool(options.get("named")))


def _backend(wanted: str) -> str:
    """Return the one that is wanted, or another that the environment has instead."""
    candidates = (wanted, "tensorflow", "jax", "torch")
    return next((one for one in candidates if importlib.util.find_spec(one)), wanted)


class Network:
    """A model that is asked by arrays, or by named ones."""

    def __init__(self, model: Any, *, is_named: bool = False) -> None:
        """Take the signature from the bill: what the layers are called is the model's own affair."""
        self._model = model
        self._is_named = is_named
        self.facts: Mapping[str, Any] = {"names": None, "width": None}

    def predict(self, request: inputs.Request) -> Any:
        """Predict; a frame is its values where the model has one input, its columns where it has several."""
        if request.content == "tensors":
            arrays = request.arrays()
            data: Any = next(iter(arrays.values())) if len(arrays) == 1 else arrays
        elif request.content == "frame" and len(self._model.inputs) > 1:
            frame = request.frame()
            data = {str(name): frame[name].to_numpy() for name in frame.columns}
        else:
            data = request.array()
        try:
            found = self._model.predict(data, verbose=0)
        except ValueError as error:
            raise inputs.RefusedError(str(error)[:2000]) from error
        if self._is_named:
            return self._by_name(found)
        if request.content != "frame" or len(self._model.inputs) > 1:
            return found
        import pandas as pd

        return pd.DataFrame(found)

    def _by_name(self, found: Any) -> Any:
        """Give one array as it is, several by the names of the layers that gave them."""
        if isinstance(found, (list, tuple)):
            names = list(getattr(self._model, "output_names", ()))
            if len(names) != len(found):
                names = [f"output-{index}" for index in range(len(found))]
            found = dict(zip(names, found))  # noqa: B905
        return results.Named(found) if isinstance(found, Mapping) else found
