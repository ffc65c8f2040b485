"""What decorators say of samples, and make of values, as JSON: of whichever inference_schema is there."""

import datetime as dt
import json

import numpy as np
import pandas as pd
from inference_schema.parameter_types.abstract_parameter_type import AbstractParameterType
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema
from inference_schema.schema_util import (
    get_input_schema,
    get_output_schema,
    get_supported_versions,
    is_schema_decorated,
)

FRAME = pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5], "c": ["x", "y"], "t": pd.to_datetime(["2020-01-02"] * 2)})
RECORD = np.array([(1, 0.5, "x")], dtype=[("a", "i4"), ("b", "f8"), ("c", "U3")])
MOMENT = dt.datetime(2020, 1, 2, 3, 4, 5)  # noqa: DTZ001
SPLIT = {"columns": ["a", "b"], "index": [0], "data": [["3", 1]]}
CASES = {
    "ints": (
        NumpyParameterType(np.array([[1, 2]])),
        [[[3, 4], [5, 6]], [[1.7, 2]], [["7", 8]], [1], "x", [[1]]],
    ),
    "floats": (NumpyParameterType(np.array([0.5], dtype="float32")), [[1, 2.5], [None]]),
    "any shape": (NumpyParameterType(np.array([[1]]), enforce_shape=False), [[[1, 2], [3, 4]], [1]]),
    "any type": (NumpyParameterType(np.array([[1]]), enforce_column_type=False), [[[1.5], [2]]]),
    "times": (NumpyParameterType(np.array(["2020-01-02"], dtype="datetime64[s]")), [["2021-01-01T00:00:00"]]),
    "durations": (NumpyParameterType(np.array([1], dtype="timedelta64[D]")), [["3 days"]]),
    "records": (NumpyParameterType(RECORD), [[{"a": 1, "b": 2, "c": "z"}], [[1, 2.5, "z"]]]),
    "truths": (NumpyParameterType(np.array([True])), [[1, 0, True]]),
    **{
        f"frame {orient}": (PandasParameterType(FRAME[["a", "b", "c"]], orient=orient), [])
        for orient in ("split", "records", "index", "columns", "values")
    },
    "frame of times": (PandasParameterType(FRAME), [[{"a": 1, "b": 1, "c": 2, "t": "2020-01-02"}]]),
    "frame": (
        PandasParameterType(FRAME[["a", "b"]]),
        [[{"a": 1.7, "b": "2"}], [{"a": "1", "b": True}], [{"a": 1}], [{"a": "x", "b": 1}], 1],
    ),
    "split": (
        PandasParameterType(FRAME[["a", "b"]], orient="split"),
        [SPLIT, {"columns": ["a"], "data": [[1]]}],
    ),
    "any columns": (PandasParameterType(FRAME[["a"]], enforce_shape=False), [[{"a": 1, "z": 2}]]),
    "as it comes": (PandasParameterType(FRAME[["a"]], enforce_column_type=False), [[{"a": "x"}]]),
    "int": (StandardPythonParameterType(1), [2, 2.5, "2", True, None]),
    "float": (StandardPythonParameterType(0.5), [1, 1.5, "1"]),
    "text": (StandardPythonParameterType("x"), ["y", 1]),
    "truth": (StandardPythonParameterType(sample_input=True), [False, 1]),
    "bytes": (StandardPythonParameterType(b"ab"), ["YWJj", 1]),
    "datetime": (StandardPythonParameterType(MOMENT), ["2021-02-03T04:05:06", "Jan 5 2021"]),
    "time": (StandardPythonParameterType(dt.time(1, 2, 3)), ["04:05:06"]),
    "list": (StandardPythonParameterType([1, 2]), [[3, "x"], 3]),
    "mixed": (StandardPythonParameterType([1, "x"]), [[1]]),
    "object": (StandardPythonParameterType({"a": 1, "b": {"c": [0.5]}}), [{"z": 1}, []]),
    "nested": (
        StandardPythonParameterType({"x": NumpyParameterType(np.array([1])), "y": "z"}),
        [{"x": [1.5, 2], "y": 3}, {"y": 1}, {"x": 1}],
    ),
    "automl": (
        StandardPythonParameterType({"data": PandasParameterType(FRAME[["a", "b"]])}),
        [{"data": [{"a": 1, "b": 2}]}, {"data": 1}, {"other": 1}, [1]],
    ),
    "methods": (
        StandardPythonParameterType({"method": StandardPythonParameterType("predict")}),
        [{"method": "x"}, {"method": 1}],
    ),
    "nested list": (StandardPythonParameterType([NumpyParameterType(np.array([1]))]), [[[1], [2]]]),
}  # fmt: skip


def printed(value):
    if isinstance(value, pd.DataFrame):
        return [list(map(str, value.dtypes)), value.astype(str).to_numpy().tolist()]
    if isinstance(value, np.ndarray):
        return [
            str(value.dtype),
            value.astype(str).tolist() if value.dtype.names is None else str(value.tolist()),
        ]
    if isinstance(value, dict):
        return {name: printed(one) for name, one in value.items()}
    if isinstance(value, list):
        return list(map(printed, value))
    return [type(value).__name__, str(value)]


def tried(function, *given, **named):
    try:
        return printed(function(*given, **named))
    except Exception:  # noqa: BLE001 - whatever it says
        return "refused"


def seen(name, kind, values):
    assert isinstance(kind, AbstractParameterType)

    def run(value, more=None, other=1):
        return [value, more, other]

    run.__name__ = name  # by which inference-schema knows it
    run = output_schema(kind)(run)
    run = input_schema("value", kind)(run)
    run = input_schema("more", StandardPythonParameterType("m"), optional=True)(run)
    assert is_schema_decorated(run)
    assert not is_schema_decorated(print)
    return {
        "input": get_input_schema(run),
        "output": get_output_schema(run),
        "versions": get_supported_versions(run),
        "by name": [tried(run, value=json.loads(json.dumps(one))) for one in values],
        "by place": [tried(run, json.loads(json.dumps(one)), more="x") for one in values[:1]],
    }


if __name__ == "__main__":
    print(json.dumps({name: seen(name, *case) for name, case in CASES.items()}))  # noqa: T201
