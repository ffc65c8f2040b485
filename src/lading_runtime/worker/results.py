"""What a model's `predict` returned in, tensors for a message out.

numpy and pandas are looked at only where the model has imported them: a routine may need neither.
"""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from lading_runtime import wire

# numpy's names → datatypes, and what they are stored as: float16 is widened
_DATATYPES = {
    "bool": ("BOOL", "?"),
    "float16": ("FP32", "<f4"),
    "float32": ("FP32", "<f4"),
    "float64": ("FP64", "<f8"),
    **{f"int{bits}": (f"INT{bits}", f"<i{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": (f"UINT{bits}", f"<u{bits // 8}") for bits in (8, 16, 32, 64)},
}


def encode(value: Any) -> tuple[str, Sequence[Any]]:
    """Return `array`, `frame` or `json`, and the tensors, each with its bytes.

    A Series is a frame of one column, as MLflow's server has it. Raises TypeError for what has no JSON form.
    """
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    if pandas is not None and isinstance(value, pandas.Series):
        value = value.to_frame()
    if pandas is not None and isinstance(value, pandas.DataFrame):
        return "frame", [
            _tensor(str(name), value.iloc[:, i].to_numpy()) for i, name in enumerate(value.columns)
        ]
    if numpy is not None and isinstance(value, numpy.ndarray):
        tensor = _tensor("output-0", value)
        return ("array" if tensor[0]["datatype"] != wire.JSON else "json"), [tensor]
    data = to_json(value)
    return "json", [(wire.tensor("output-0", wire.JSON, [1], data), data)]


def _tensor(name: str, array: Any) -> Any:
    known = _DATATYPES.get(array.dtype.name)
    if known is None:
        data = to_json(_plain(array))
        return wire.tensor(name, wire.JSON, array.shape, data), data
    datatype, stored = known
    data = array.astype(stored, copy=False).tobytes()
    return wire.tensor(name, datatype, array.shape, data), data


def to_json(value: Any) -> bytes:
    """Print JSON; NaN and infinities, which it does not have, become null.

    It is ASCII: a lone surrogate, which a Python string may have, can only be written escaped.
    """
    try:
        return json.dumps(value, default=_default, allow_nan=False).encode()
    except (ValueError, TypeError):
        return json.dumps(_finite(value), allow_nan=False).encode()


def _default(value: Any) -> Any:
    """Turn what json does not know into something it does; raise TypeError where there is nothing."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode()
    if isinstance(value, (set, frozenset)):
        return list(value)
    pandas, numpy = sys.modules.get("pandas"), sys.modules.get("numpy")
    if pandas is not None and (value is pandas.NA or value is pandas.NaT):
        return None
    if pandas is not None and isinstance(value, pandas.DataFrame):
        return value.to_dict(orient="records")
    if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
        return _plain(value)
    for method in ("isoformat", "tolist"):
        if hasattr(value, method):
            return getattr(value, method)()
    message = (
        f"the model returned a {type(value).__module__}.{type(value).__qualname__}, which has no JSON form"
    )
    raise TypeError(message)


def _plain(array: Any) -> Any:
    """Turn an array into Python values; times go by microseconds, or they would come out as numbers."""
    if array.dtype.kind == "M":
        array = array.astype("datetime64[us]")
    return array.tolist()


def _finite(value: Any) -> Any:
    """Copy nested values for JSON: null for what is not finite, text for keys."""
    if isinstance(value, float):
        return value if value - value == 0 else None
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, Mapping):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return _finite(_default(value))
