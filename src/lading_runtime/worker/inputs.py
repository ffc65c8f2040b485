"""A message of the front in, what a model's `predict` takes out: arrays, a frame, or plain JSON values."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import base64
import functools
import importlib.util
import json
import math
from array import array
from collections.abc import Callable, Mapping
from typing import Any

from lading_runtime import wire
from lading_runtime.worker import results, tables
from lading_runtime.worker.refusals import RefusedError, UnsupportedError

__all__ = ["FILE", "RefusedError", "Request", "UnsupportedError", "has_pandas", "read"]

# datatype → numpy's name; what is not here is JSON
_DTYPES = {
    "BOOL": "bool",
    "FP32": "<f4",
    "FP64": "<f8",
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
}


_OBJECT = "object"
"""The type of JSON values that pandas is to leave as they are, in which null is NaN."""
FILE = "file"
"""A frame in a file, whose types are those of the file."""
REFUSALS = (ValueError, TypeError, OverflowError)
"""What a library's own model raises where a cell is not of the type that it takes."""


class Request:
    """One request, made into arrays or frames when a loader asks for them."""

    def __init__(self, header: Mapping[str, Any], body: memoryview) -> None:
        """Keep the parts; nothing is copied yet."""
        parameters = header["parameters"]
        self.content: str = parameters["content"]
        self._is_file = self.content == FILE
        if self._is_file:
            self.content = "frame"
        self.params: Mapping[str, Any] = parameters.get("params") or {}
        if "odd" in parameters:
            self.params = {**self.params, **json.loads(parameters["odd"])}
        if "times" in parameters:
            self.params = {**self.params, **{name: _time(self.params[name]) for name in parameters["times"]}}
        self._columns = parameters.get("columns")
        self._tensors = list(wire.split(header["inputs"], body))

    @property
    def rows(self) -> int | None:
        """Return how many rows a table or an array has; None of what has none."""
        shape = self._tensors[0][0]["shape"] if self._tensors else ()
        return int(shape[0]) if shape else None

    @property
    def names(self) -> list[str]:
        """Return the tensors' names."""
        return [entry["name"] for entry, _ in self._tensors]

    @property
    def columns(self) -> list[str]:
        """Return the names of a frame's columns, none where a file has them."""
        return [] if self._is_file else list(self._columns or self.names)

    def text(self) -> bytes:
        """Return the bytes of a `json` request, as the client sent them."""
        return bytes(self._tensors[0][1])

    @property
    def about(self) -> Mapping[str, Any]:
        """Return what the front says of a routine's body: `type`, `query`, `headers`, `raw`."""
        about: Mapping[str, Any] = self._tensors[0][0]["parameters"] if self._tensors else {}
        return about

    def parts(self) -> list[tuple[Mapping[str, Any], bytes]]:
        """Return the fields and files of a `form`: what is said of each, and its bytes."""
        return [
            ({**entry["parameters"], "name": entry["name"]}, bytes(data)) for entry, data in self._tensors
        ]

    def table(self) -> tuple[list[str] | None, list[Any]]:
        """Return names of columns, None where they have none, and rows of plain values."""
        if self.content == "array" or (self._columns and len(self._tensors) == 1):
            return (list(self._columns) if self._columns else None), _plain(*self._tensors[0])
        columns = [_plain(*one) for one in self._tensors]
        return [entry["name"] for entry, _ in self._tensors], list(map(list, zip(*columns)))  # noqa: B905

    def encoded(self) -> tuple[list[tuple[Mapping[str, Any], memoryview]], list[str] | None]:
        """Return the tensors with their bytes, and names of columns; a file is read as a frame first."""
        if not self._is_file:
            return self._tensors, self._columns
        _, tensors = results.encode(self.frame())
        return [(entry, memoryview(data)) for entry, data in tensors], None

    def json(self) -> Any:
        """Return the values of a `json` request; raise RefusedError where they are none."""
        try:
            return json.loads(self.text())
        except (ValueError, RecursionError) as error:
            raise RefusedError(str(error)) from error

    def array(self) -> Any:
        """Return the input as one numpy array: a frame's columns side by side."""
        if self._is_file:
            return self.frame().to_numpy()
        if len(self._tensors) == 1 and (self._columns or self.content != "frame"):
            return _array(*self._tensors[0])
        import numpy as np

        columns = [_array(*one) for one in self._tensors]
        if not columns:
            return np.empty((0, 0))
        if all(column.dtype != object for column in columns):
            return np.column_stack(columns)
        table = np.empty((len(columns[0]), len(columns)), dtype=object)
        for index, column in enumerate(columns):
            table[:, index] = column
        return table

    def frame(self, *, by_columns: bool = False) -> Any:
        """Return the input as a pandas DataFrame; `by_columns` says that a column lies in one piece."""
        import pandas as pd

        if self._is_file:
            return tables.frame(self.text(), self.about.get("rows"), self._columns)
        if self._columns:
            rows = _array(*self._tensors[0])
            if by_columns:
                rows = rows.copy(order="F")
            return pd.DataFrame(rows, columns=self._columns)
        if self.content == "array":  # its columns have no names
            return pd.DataFrame(_array(*self._tensors[0]))
        return pd.DataFrame({entry["name"]: _series(entry, data) for entry, data in self._tensors})

    def arrays(self) -> dict[str, Any]:
        """Return named tensors as numpy arrays."""
        return {entry["name"]: _array(entry, data) for entry, data in self._tensors}

    def tensors(self) -> list[tuple[Mapping[str, Any], Callable[[], Any], Callable[[], Any]]]:
        """Return what is said of each tensor, and what returns its values, as a flat list or as an array."""
        return [
            (entry, functools.partial(_flat, entry, data), functools.partial(_array, entry, data))
            for entry, data in self._tensors
        ]


def has_pandas() -> bool:
    """Tell whether pandas can be imported, without importing it."""
    return importlib.util.find_spec("pandas") is not None


def read(entry: Mapping[str, Any], data: memoryview) -> Any:
    """Read a tensor as a numpy array."""
    return _array(entry, data)


def _time(value: Any) -> Any:
    """Read a parameter's time, which JSON has as text."""
    from datetime import date, datetime

    if isinstance(value, list):
        return [_time(one) for one in value]
    kind = date if value is not None and len(value) <= len("2026-01-02") else datetime
    return None if value is None else kind.fromisoformat(value)


def _array(entry: Mapping[str, Any], data: memoryview) -> Any:
    """View a tensor's bytes as a writable, aligned array; JSON values become an array of objects."""
    import numpy as np

    dtype = _DTYPES.get(entry["datatype"])
    if dtype is not None:
        array = np.frombuffer(data, dtype).reshape(entry["shape"])
        return array if array.flags.aligned else array.copy()
    values = _values(entry, data)
    kind = entry["parameters"].get("type")
    if kind == "datetime":
        return values.reshape(entry["shape"])
    values = _with_gaps(values) if kind == _OBJECT else values
    cells = np.empty(len(values), dtype=object)
    for index, value in enumerate(values):  # one by one: a cell may be a list itself
        cells[index] = value
    return cells.reshape(entry["shape"])


def _plain(entry: Mapping[str, Any], data: memoryview) -> list[Any]:
    """Read a tensor's values as nested lists; numpy need not be there."""
    values = _flat(entry, data)
    for size in reversed(entry["shape"][1:]):
        count = len(values) // size if size else 0
        values = [values[start * size : (start + 1) * size] for start in range(count)]
    return values


def _flat(entry: Mapping[str, Any], data: memoryview) -> list[Any]:
    datatype = entry["datatype"]
    if datatype == wire.JSON:
        values = _values(entry, data)
        return list(values.tolist() if hasattr(values, "tolist") else values)
    packed = array(wire.ARRAY_CODES[datatype])
    packed.frombytes(bytes(data))
    return list(map(bool, packed)) if datatype == "BOOL" else packed.tolist()


def _series(entry: Mapping[str, Any], data: memoryview) -> Any:
    """Return what pandas makes a column of; of plain lists it finds the type itself, as in training."""
    if entry["parameters"].get("type") == _OBJECT:
        import pandas as pd

        return pd.Series(_with_gaps(_values(entry, data)), dtype=object)
    return _array(entry, data) if entry["datatype"] in _DTYPES else _values(entry, data)


def _with_gaps(values: list[Any]) -> list[Any]:
    return [math.nan if value is None else value for value in values]


def _values(entry: Mapping[str, Any], data: memoryview) -> Any:
    """Read JSON values; times become a numpy array, base64 and what is said to be a `text` become bytes."""
    values = json.loads(bytes(data))
    kind = entry["parameters"].get("type")
    if kind == "datetime":
        import numpy as np

        return np.array(values, dtype="datetime64[ns]")
    if kind == "text":
        return [value.encode() for value in values]
    if kind == "octets":
        return [base64.b64decode(value) for value in values]
    if kind == "binary":
        return [None if value is None else base64.b64decode(value) for value in values]
    return values
