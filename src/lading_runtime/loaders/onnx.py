"""An ONNX graph in, a session of onnxruntime to predict with out."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from lading_runtime.worker import inputs, results

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_BFLOAT16 = 16  # onnx.TensorProto's number
# what onnxruntime calls a type → numpy's name
_TYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(bfloat16)": "bfloat16",
    "tensor(bool)": "bool",
    **{f"tensor({sign}int{bits})": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
_LOCALE = re.compile(r"Failed to construct locale with name:(\w+\.[\w-]+)")
_WIDER = {"float32": ("float64",), "float16": ("float32", "float64")}


def load(path: str, options: Mapping[str, Any]) -> Session:
    """Load `file`; `providers` and `session` are MLflow's settings of the same kind.

    One thread, where the settings do not say otherwise: workers are what there are several of. A build for
    CUDA uses it where nothing else is asked for. `extensions` registers what onnxruntime-extensions has.
    """
    import onnxruntime  # type: ignore[import-not-found,import-untyped,unused-ignore]

    asked = [tuple(one) if isinstance(one, list) else one for one in options.get("providers") or (_CUDA,)]
    there = set(onnxruntime.get_available_providers())
    if _CUDA in there and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # CUDA's libraries, which lie in wheels of their own
    usable = [one for one in asked if (one if isinstance(one, str) else one[0]) in there] or [_CPU]
    if _CPU not in usable:
        usable.append(_CPU)
    file = os.path.join(path, str(options["file"]))  # noqa: PTH118 - see pickle.py
    settings = _settings(onnxruntime, options.get("session") or {})
    if options.get("extensions"):
        import onnxruntime_extensions  # type: ignore[import-not-found,import-untyped,unused-ignore]

        settings.register_custom_ops_library(onnxruntime_extensions.get_library_path())
    try:
        session = onnxruntime.InferenceSession(file, sess_options=settings, providers=usable)
    except Exception as error:
        if not (wanted := _LOCALE.search(str(error))):
            raise
        with _as_unicode(wanted[1]):
            session = onnxruntime.InferenceSession(file, sess_options=settings, providers=usable)
    return Session(session, onnxruntime.OrtValue)


@contextlib.contextmanager
def _as_unicode(name: str) -> Iterator[None]:
    """Have a locale that the system lacks be C.UTF-8, which knows the same of letters.

    Converters of texts (StringNormalizer) want `en_US.UTF-8`, which images leave out.
    """
    before = os.environ.get("LOCPATH")
    with tempfile.TemporaryDirectory() as folder:
        for one in ("/usr/lib/locale/C.utf8", "/usr/lib/locale/C.UTF-8"):
            if os.path.isdir(one):  # noqa: PTH112 - see pickle.py
                os.symlink(one, os.path.join(folder, name))  # noqa: PTH118, PTH211
                break
        os.environ["LOCPATH"] = folder
        try:
            yield
        finally:
            os.environ.pop("LOCPATH")
            os.environ.update({} if before is None else {"LOCPATH": before})


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

    def __init__(self, session: Any, values: Any) -> None:
        """Learn what the graph takes and gives; `values` makes what numpy has no type for."""
        self._session, self._values = session, values
        self._inputs = {one.name: _TYPES.get(one.type) for one in session.get_inputs()}
        self._outputs = [one.name for one in session.get_outputs()]
        kinds = [_TYPES.get(one.type) for one in (*session.get_inputs(), *session.get_outputs())]
        self._run = self._run_values if "bfloat16" in kinds else session.run
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
            found = self._run(self._outputs, feeds)
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

    def _run_values(self, names: list[str], feeds: Mapping[str, Any]) -> list[Any]:
        """Run a graph with bfloat16 among its inputs or outputs, as single precision."""
        given = {
            name: _rounded(self._values, one)
            if self._inputs.get(name) == "bfloat16"
            else self._values.ortvalue_from_numpy(one)
            for name, one in feeds.items()
        }
        return [_widened(one) for one in self._session.run_with_ort_values(names, given)]

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
        """Bring doubles to the graph's floats, as MLflow does; what else does not fit is refused by it.

        Half precision comes here as single.
        """
        wider = _WIDER.get(self._inputs.get(name) or "", ())
        return array.astype(self._inputs[name]) if array.dtype.name in wider else array


def _rounded(values: Any, array: Any) -> Any:
    """Round single precision to bfloat16, to even; NaN stays what it is."""
    import numpy as np

    bits = np.ascontiguousarray(array, dtype=np.float32).view(np.uint32)
    nearest = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    halves = np.where(np.isnan(array), bits >> 16 | 0x40, nearest).astype(np.uint16)
    return values.ortvalue_from_numpy_with_onnx_type(halves, _BFLOAT16)


def _widened(value: Any) -> Any:
    import ctypes

    import numpy as np

    if not value.is_tensor() or value.data_type() != "tensor(bfloat16)":
        return value.numpy()
    shape = value.shape()
    size = int(np.prod(shape))
    if not size:
        return np.zeros(shape, np.float32)
    halves = np.ctypeslib.as_array((ctypes.c_uint16 * size).from_address(value.data_ptr()))
    return (halves.astype(np.uint32) << 16).view(np.float32).reshape(shape)
