"""The types of inference-schema 1.8: a sample in, JSON values made into what the sample is of out.

numpy and pandas are the model's own, imported when a sample is of them.
"""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import base64
import importlib
import io
import json
from abc import ABC, abstractmethod
from datetime import date, datetime, time
from typing import Any

from lading_runtime.azureml import described

_ORIENTS = ("split", "records", "index", "columns", "values", "table")
_UNITS = {
    "years": "Y", "months": "M", "weeks": "W", "days": "D", "hours": "h", "minutes": "m", "seconds": "s",
    "milliseconds": "ms", "microseconds": "us", "nanoseconds": "ns", "picoseconds": "ps",
    "femtoseconds": "fs", "attoseconds": "as",
}  # fmt: skip


class AbstractParameterType(ABC):
    """What a parameter is, by a sample of it."""

    def __init__(self, sample_input: Any) -> None:
        """Take the sample."""
        self.sample_input = sample_input
        self.sample_data_type: type = type(sample_input)
        self.sample_data_type_map: dict[str, AbstractParameterType] = {}
        self.sample_data_type_list: list[AbstractParameterType] = []

    def supported_versions(self) -> list[str]:
        """Return the versions of Swagger that can describe it: 2.0 has no lists of several types."""
        is_alike = described.is_alike(self.input_to_swagger()["example"])
        return [*(["2.0"] if is_alike else []), "3.0", "3.1"]

    @abstractmethod
    def deserialize_input(self, input_data: Any) -> Any:
        """Make a JSON value what the sample is of."""

    @abstractmethod
    def input_to_swagger(self) -> dict[str, Any]:
        """Describe it, with an `example`."""


class NumpyParameterType(AbstractParameterType):
    """An array."""

    def __init__(
        self,
        sample_input: Any,
        enforce_column_type: bool = True,  # noqa: FBT001, FBT002 - inference-schema's own signature
        enforce_shape: bool = True,  # noqa: FBT001, FBT002
    ) -> None:
        """Take an array, and whether its type and its shape but for the first dimension are to be kept."""
        import numpy as np

        if not isinstance(sample_input, np.ndarray):
            message = "Invalid sample input provided, must provide a sample Numpy array."
            raise TypeError(message)
        super().__init__(sample_input)
        self.enforce_column_type = enforce_column_type
        self.enforce_shape = enforce_shape

    def deserialize_input(self, input_data: Any) -> Any:
        """Make a list an array."""
        import numpy as np

        if isinstance(input_data, np.ndarray):
            return input_data
        if not isinstance(input_data, list):
            message = "Invalid input format: expected an array of items."
            raise ValueError(message)  # noqa: TRY004 - as inference-schema has it
        kind = self.sample_input.dtype
        array = (
            np.array([_item(one, kind) for one in input_data], dtype=kind)
            if self.enforce_column_type
            else np.array(input_data)
        )
        if self.enforce_shape:
            _check_shape(array.shape, self.sample_input.shape)
        return array

    def input_to_swagger(self) -> dict[str, Any]:
        """Describe an array of such items."""
        return described.array(self.sample_input)


class PandasParameterType(AbstractParameterType):
    """A frame."""

    def __init__(
        self,
        sample_input: Any,
        enforce_column_type: bool = True,  # noqa: FBT001, FBT002 - inference-schema's own signature
        enforce_shape: bool = True,  # noqa: FBT001, FBT002
        apply_column_names: bool = False,  # noqa: FBT001, FBT002
        orient: str = "records",
    ) -> None:
        """Take a frame, what of it is to be kept, and how JSON has it (pandas' `orient`)."""
        import pandas as pd

        if not isinstance(sample_input, pd.DataFrame):
            message = "Invalid sample input provided, must provide a sample Pandas Dataframe."
            raise TypeError(message)
        if orient not in _ORIENTS:
            message = f"Invalid orient provided, must be one of {_ORIENTS}"
            raise ValueError(message)
        super().__init__(sample_input)
        self.enforce_column_type = enforce_column_type
        self.enforce_shape = enforce_shape
        self.apply_column_names = apply_column_names
        self.orient = orient

    def deserialize_input(self, input_data: Any) -> Any:
        """Make a list or an object a frame."""
        import pandas as pd

        if isinstance(input_data, pd.DataFrame):
            return input_data
        if not isinstance(input_data, (list, dict)):
            message = f"Error, unable to convert input of type {type(input_data)} into Pandas Dataframe"
            raise TypeError(message)
        text = io.StringIO(json.dumps(input_data))
        frame: Any = pd.read_json(text, orient=self.orient, dtype=False)
        if self.apply_column_names:
            frame.columns = self.sample_input.columns.copy()
        if self.enforce_column_type:
            known = self.sample_input.dtypes.to_dict()
            wanted = {name: known.get(name, object) for name in frame.columns}
            for name, kind in wanted.items():
                if str(kind).startswith("timedelta"):
                    frame[name] = pd.to_timedelta(frame[name])
            frame = frame.astype(dtype=wanted)
        if self.enforce_shape:
            _check_shape(frame.shape, self.sample_input.shape)
        return frame

    def input_to_swagger(self) -> dict[str, Any]:
        """Describe a frame as its orientation prints it."""
        return described.frame(self.sample_input, self.orient)


class StandardPythonParameterType(AbstractParameterType):
    """A number, a text, a time, bytes in base64, or a list or an object of them or of other types."""

    def __init__(self, sample_input: Any) -> None:
        """Take the sample, within which there may be other types."""
        super().__init__(sample_input)
        if isinstance(sample_input, dict):
            pairs = sample_input.items()
            self.sample_data_type_map = {
                name: one for name, one in pairs if isinstance(one, AbstractParameterType)
            }
        elif isinstance(sample_input, (list, tuple)):
            self.sample_data_type_list = [
                one for one in sample_input if isinstance(one, AbstractParameterType)
            ]

    def deserialize_input(self, input_data: Any) -> Any:
        """Read a time or base64; raise ValueError for another type, but a whole number is a float."""
        kind = self.sample_data_type
        if kind is date:
            input_data = date.fromisoformat(input_data)
        elif kind is datetime:
            input_data = _moment(input_data)
        elif kind is time:
            input_data = _moment(f"1970-01-01T{input_data}").timetz()
        elif kind in {bytes, bytearray}:
            input_data = kind(base64.b64decode(input_data.encode()))
        is_number = kind is float and type(input_data) is int
        if not is_number and not isinstance(input_data, kind):
            message = f"Invalid input data type to parse. Expected: {kind} but got {type(input_data)}"
            raise ValueError(message)
        return input_data

    def input_to_swagger(self) -> dict[str, Any]:
        """Describe it by the sample."""
        if self.sample_input is None:
            message = "Sample input cannot be None"
            raise ValueError(message)
        found = described.value(self.sample_input)
        json.dumps(found)
        return found


def _moment(text: str) -> datetime:
    """Read a time: as people write it, where what reads that is there."""
    try:
        return datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)
    except ValueError:
        found: datetime = importlib.import_module("dateutil.parser").parse(text)
        return found


def _item(value: Any, kind: Any) -> Any:
    """Make a JSON value an item of a type: records are tuples, times and durations numpy's own."""
    import numpy as np

    if len(kind):
        names = kind.names
        parts = [value[name] for name in names] if type(value) is dict else value
        return tuple(_item(parts[i], kind[i]) for i in range(len(names)))
    if kind.name.startswith("datetime"):
        return np.datetime64(value)
    if kind.name.startswith("timedelta"):
        number, _, unit = value.partition(" ")
        if unit.strip().lower() not in _UNITS:
            message = f"Invalid numpy.timestamp64 value specified: {value}. Unrecognized time unit code"
            raise ValueError(message)
        code: Any = _UNITS[unit.strip().lower()]
        return np.timedelta64(int(number), code)
    return value


def _check_shape(got: Any, expected: Any) -> None:
    if len(got) != len(expected) or tuple(got[1:]) != tuple(expected[1:]):
        message = f"Invalid input: got shape {tuple(got)}, expected {('any', *expected[1:])}"
        raise ValueError(message)
