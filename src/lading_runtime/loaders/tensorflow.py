"""A SavedModel of TensorFlow in; something to predict with out."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from lading_runtime.worker import inputs, results


def load(path: str, options: Mapping[str, Any]) -> Served:
    """Load the SavedModel in `folder`, of those `tags`; what answers is its `signature`.

    One thread, or as many as this worker is given.
    """
    import tensorflow as tf  # type: ignore[import-not-found,import-untyped,unused-ignore]

    threads = int(os.environ.get("OMP_NUM_THREADS") or 1)
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    folder = os.path.join(path, str(options.get("folder") or "."))  # noqa: PTH118 - see pickle.py
    model = tf.saved_model.load(folder, tags=list(options.get("tags") or ["serve"]))
    return Served(tf, model, str(options["signature"]))


class Served:
    """One signature of a model."""

    def __init__(self, tf: Any, model: Any, name: str) -> None:
        """Learn what it takes; variables live as long as their model is held."""
        self._tf = tf
        self._model = model
        self._call = model.signatures[name]
        self._specs = dict(self._call.structured_input_signature[1])
        self.facts: Mapping[str, Any] = {"names": None, "width": None}

    def predict(self, request: inputs.Request) -> Any:
        """Predict; what the graph's types and shapes do not let pass is refused."""
        errors = self._tf.errors
        try:
            given = {name: self._tensor(name, one) for name, one in self._given(request).items()}
            found = self._call(**given)
        except (ValueError, TypeError, errors.InvalidArgumentError, errors.OutOfRangeError) as error:
            raise inputs.RefusedError(str(error)[:2000]) from error
        arrays = {name: self._array(one) for name, one in found.items()}
        return results.Named(arrays) if len(arrays) > 1 else next(iter(arrays.values()))

    def _given(self, request: inputs.Request) -> Mapping[str, Any]:
        if request.content == "tensors":
            arrays = request.arrays()
            if len(self._specs) == len(arrays) == 1:
                return dict(zip(self._specs, arrays.values()))  # noqa: B905
            return arrays
        if len(self._specs) == 1:
            array = request.array()
            if array.dtype == object and array.ndim == 2 and array.shape[1] == 1:
                cells = array[:, 0].tolist()
                if cells and isinstance(cells[0], list):  # a frame of one column
                    return dict.fromkeys(self._specs, cells)
            return dict.fromkeys(self._specs, array)
        names, rows = request.table()
        if set(names or ()) != set(self._specs):
            message = f"expected the inputs {sorted(self._specs)} by name"
            raise inputs.RefusedError(message)
        return dict(zip(names or (), map(list, zip(*rows))))  # noqa: B905

    def _tensor(self, name: str, given: Any) -> Any:
        spec = self._specs.get(name)
        if spec is None:
            message = f"got the input {name!r}, expected {sorted(self._specs)}"
            raise inputs.RefusedError(message)
        if getattr(given, "dtype", None) is not None and given.dtype.kind == "O":
            given = given.tolist()
        elif hasattr(given, "astype") and spec.dtype != self._tf.string:
            given = given.astype(spec.dtype.as_numpy_dtype)
        return self._tf.constant(given, dtype=spec.dtype)

    def _array(self, tensor: Any) -> Any:
        """Return an array of numpy; texts are bytes in TensorFlow."""
        import numpy as np

        if tensor.dtype == self._tf.bfloat16:
            tensor = self._tf.cast(tensor, self._tf.float32)
        array = tensor.numpy()
        if tensor.dtype == self._tf.string:
            array = np.vectorize(lambda one: one.decode("utf-8", "replace"), otypes=[object])(array)
        return array
