"""JSON values that do not fit a column's type in, what MLflow's own server makes of them out, silently.

Its frames (`dataframe_split`, `dataframe_records`) are cast by pandas, its other forms by numpy. What it
refuses itself stays as it is, to be refused by `cast.pack`. Checked against MLflow 3.17.2, value by value,
and Azure ML's `input_data` against inference-schema 1.8.
"""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from lading_runtime.front.cast import FLOATS, OBJECT, VANISHES
from lading_runtime.wire import JSON

PANDAS, NUMPY, AZURE = STYLES = ("pandas", "numpy", "azure")
"""As MLflow's server by either library; or as inference-schema, and so Azure ML's, casts its frames."""
_NULL = type(None)
_BITS = {f"INT{bits}": bits for bits in (8, 16, 32, 64)}
_LONGEST = (1 << 64) - 1
_LARGEST_FLOAT = 3.4028235677973366e38  # what rounds to infinity as a float
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - numpy's times have no zone


def taken_by_azure(kind: str, values: Sequence[Any]) -> str:
    """Return what a column of Azure ML's `input_data` is packed as: no text is made, or decoded, of a value.

    MLflow's strings and binaries are columns of objects to pandas, and stay what JSON has.
    """
    is_as_it_is = kind == "string" or (kind == "binary" and set(map(type, values)) <= {str, _NULL})
    return OBJECT if is_as_it_is else kind


def coerce(kind: str, values: Sequence[Any], style: str) -> tuple[str, Sequence[Any]]:
    """Return what `cast.pack` is to pack instead of values of a kind; `style` is one of the STYLES."""
    by_numpy = style == NUMPY
    if kind == OBJECT:
        return kind, _cells(values)
    if kind == "datetime":
        return _moments(values, by_numpy=by_numpy)
    if kind == "string" and not by_numpy:
        return JSON, values
    if kind == "BOOL":
        null = style == AZURE or (style == PANDAS and _is_nan(values))
        values = [null if value is None else bool(value) for value in values]
    elif kind in FLOATS:
        values = [_float(kind, value) for value in values]
    elif kind in _BITS:
        values = _integers(_BITS[kind], values, by_numpy=by_numpy)
    elif kind.startswith("UINT"):
        values = [_whole(value) for value in values]
    elif kind == "string":
        values = list(map(str, values))
    elif kind == "binary":
        values = [_text(value) if by_numpy else _base64(value) for value in values]
    return kind, values


def _cells(values: Sequence[Any]) -> Sequence[Any]:
    """Return numbers as a column of them has them: a float or a null among whole ones makes them floats."""
    kinds = set(map(type, values))
    is_float = kinds <= {int, float, _NULL} and kinds != {int}
    return [_or(one, float) if is_float and type(one) is int else one for one in values]


def _is_nan(values: Sequence[Any]) -> bool:
    """Tell whether pandas keeps nulls as NaN, which is true, or as None, which is not."""
    kinds = set(map(type, values)) - {_NULL}
    return bool(kinds) and (kinds <= {int, float} or kinds == {str})


def _float(kind: str, value: Any) -> Any:
    if type(value) not in {int, float, str, bool}:
        return value
    number = _or(value, float)
    if kind == "FP32" and type(number) is float:
        if abs(number) >= _LARGEST_FLOAT:
            return math.copysign(math.inf, number)
        if abs(number) <= VANISHES:
            return math.copysign(0.0, number)
    return number


def _integers(bits: int, values: Sequence[Any], *, by_numpy: bool) -> Sequence[Any]:
    kinds = set(map(type, values))
    low = -1 << (bits - 1)
    if by_numpy or kinds - {int, float}:
        return [_whole(value) for value in values]
    if float in kinds:  # the whole column is floats, and what is out of range becomes the lowest number
        floats = [_or(value, float) for value in values]
        if not all(map(math.isfinite, floats)):
            return values
        return [int(one) if low <= int(one) < -low else low for one in floats]
    smallest, largest = min(values, default=0), max(values, default=0)
    if largest > _LONGEST or smallest < -1 << 63 or (smallest < 0 and largest >= 1 << 63):
        return values  # pandas has no integers for them
    return [(value - low) % (1 << bits) + low for value in values]


def _whole(value: Any) -> Any:
    return _or(value, int) if type(value) in {int, float, str, bool} else value


def _text(value: Any) -> str:
    return base64.b64encode(str(value).encode()).decode()


def _base64(value: Any) -> Any:
    """Read base64 as MLflow does, passing over what is none; null is no text."""
    if not isinstance(value, str):
        return 0 if value is None else value
    try:
        return base64.b64encode(base64.decodebytes(value.encode())).decode()
    except binascii.Error:
        return "\0"  # which is no base64 for us either


def _moments(values: Sequence[Any], *, by_numpy: bool) -> tuple[str, Sequence[Any]]:
    """Read nanoseconds since 1970, which numpy takes as whole numbers alone; an empty text is no time."""
    numbers = {int, bool, _NULL} if by_numpy else {int, float, _NULL}
    if not set(map(type, values)) <= numbers or any(type(one) is int and abs(one) >> 63 for one in values):
        return "datetime", [None if value == "" else value for value in values]
    return JSON, [
        _moment(int(value)) if value is not None and abs(value) < 1 << 63 else None for value in values
    ]


def _moment(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{(_EPOCH + timedelta(seconds=seconds)).isoformat()}.{rest:09}"


def _or(value: Any, read: Callable[[Any], Any]) -> Any:
    """Read a value; one that cannot be read is returned as it is."""
    try:
        return read(value)
    except (ValueError, OverflowError):
        return value
