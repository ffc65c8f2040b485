"""A model of Keras, or of TensorFlow's Keras, in; something to predict with out."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import importlib
import importlib.util
import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from lading_runtime.worker import inputs, results


def load(path: str, options: Mapping[str, Any]) -> Network:
    """Load `file` by the `module` that saved it (`keras`, `tensorflow.keras`), on its `backend`.

    `imports` are modules with classes of its author's; `unsafe` lets byte code be run, which was allowed when
    it was packed; `named` gives several outputs by name.
    """
    if options.get("backend"):
        os.environ.setdefault("KERAS_BACKEND", _backend(str(options["backend"])))
    own = _own([importlib.import_module(str(name)) for name in options.get("imports") or ()])
    module = str(options.get("module") or "keras")
    if module not in {"keras", "tensorflow.keras", "tf_keras"}:
        message = f"got the module {module!r}, expected 'keras', 'tensorflow.keras' or 'tf_keras'"
        raise TypeError(message)
    file = os.path.join(path, str(options["file"]))  # noqa: PTH118 - see pickle.py
    more: dict[str, Any] = {"safe_mode": False} if options.get("unsafe") else {}
    if own:
        more["custom_objects"] = own
    load_model = importlib.import_module(f"{module}.models").load_model
    end = _end(file)
    if file.endswith(end):
        model = load_model(file, compile=False, **more)
    else:
        # Keras goes by the name alone, which may have been changed
        with tempfile.TemporaryDirectory() as folder:
            named = os.path.join(folder, f"model{end}")  # noqa: PTH118 - see pickle.py
            os.symlink(os.path.abspath(file), named)  # noqa: PTH100, PTH211
            model = load_model(named, compile=False, **more)
    return Network(model, is_named=bool(options.get("named")))


def _own(modules: Sequence[Any]) -> dict[str, Any]:
    """Name the classes and functions that modules define: they need not be registered with Keras."""
    return {
        name: one
        for module in modules
        for name, one in vars(module).items()
        if callable(one) and getattr(one, "__module__", None) == module.__name__
    }


def _end(file: str) -> str:
    """Return how Keras wants the name of a file to end, by how the file begins; '' where it is neither."""
    if os.path.isdir(file) or file.endswith((".hdf5", ".h5")):  # noqa: PTH112 - see pickle.py
        return ""
    with open(file, "rb") as stream:  # noqa: PTH123
        start = stream.read(8)
    return ".keras" if start.startswith(b"PK") else ".h5" if start == b"\x89HDF\r\n\x1a\n" else ""


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
        # a model of one's own class may not know before it is asked
        self._count = len(getattr(model, "inputs", None) or ())
        self.facts: Mapping[str, Any] = {"names": None, "width": None}

    def predict(self, request: inputs.Request) -> Any:
        """Predict; a frame is its values where the model has one input, its columns where it has several."""
        if request.content == "tensors":
            arrays = request.arrays()
            data: Any = next(iter(arrays.values())) if len(arrays) == 1 else arrays
        elif request.content == "frame":
            data = self._of_frame(request)
        else:
            data = request.array()
        try:
            found = self._model.predict(data, verbose=0)
        except ValueError as error:
            raise inputs.RefusedError(str(error)[:2000]) from error
        if self._is_named:
            return self._by_name(found)
        if request.content != "frame" or self._count > 1:
            return found
        import pandas as pd

        return pd.DataFrame(found)

    def _of_frame(self, request: inputs.Request) -> Any:
        """Return the columns by name where they are inputs, each, else their values side by side."""
        if self._count <= 1:
            array = request.array()
            if array.dtype != object or array.ndim != 2 or not isinstance(array.flat[0], list):
                return array
            if array.shape[1] == 1:
                return _array(array[:, 0])
        frame = request.frame()
        return {str(name): _array(frame[name].to_numpy()) for name in frame.columns}

    def _by_name(self, found: Any) -> Any:
        """Give one array as it is, several by the names of the layers that gave them."""
        if isinstance(found, (list, tuple)):
            names = list(getattr(self._model, "output_names", ()))
            if len(names) != len(found):
                names = [f"output-{index}" for index in range(len(found))]
            found = dict(zip(names, found))  # noqa: B905
        return results.Named(found) if isinstance(found, Mapping) else found


def _array(column: Any) -> Any:
    """Return one array of a column whose cells are lists; any other as it is."""
    import numpy as np

    is_nested = column.dtype == object and len(column) and isinstance(column[0], list)
    return np.array(column.tolist()) if is_nested else column
