"""What lies in memory has the signature that MLflow gives it."""

import numpy as np
import pandas as pd

from lading.core.signature import Field
from lading.signature.memory import fields


def test_a_frame_has_columns_by_type_and_objects_by_their_values():
    frame = pd.DataFrame(
        {
            "small": np.array([1, 2], dtype=np.int16),
            "large": [1, 2],
            "gap": [1.0, None],
            "text": ["a", None],
            "when": pd.to_datetime(["2024-01-01", None]),
            "kind": pd.Series(["a", "b"], dtype="category"),
            "many": [[1, 2], [3]],
            "raw": [b"a", b"b"],
        }
    )
    found = {one.name: (one.type, one.required) for one in fields(frame)}
    assert found == {
        "small": ("integer", True),
        "large": ("long", True),
        "gap": ("double", False),
        "text": ("string", False),
        "when": ("datetime", False),
        "kind": ("string", True),
        "many": ("array", True),
        "raw": ("binary", True),
    }


def test_arrays_are_tensors_and_plain_rows_are_columns():
    assert fields(np.zeros((3, 2, 4), dtype=np.float32)) == (
        Field("tensor", dtype="float32", shape=(-1, 2, 4)),
    )
    assert [one.name for one in fields({"a": np.zeros(3), "b": np.zeros((3, 2))})] == ["a", "b"]
    assert [(one.name, one.type) for one in fields([{"a": 1, "b": "x"}])] == [("a", "long"), ("b", "string")]
    assert fields(np.float64(3)) == fields([]) == fields(3) == ()


def test_columns_of_pandas_own_types_are_what_a_server_gives_of_them():
    frame = pd.DataFrame(
        {
            "holes": pd.array([1, None], dtype="Int64"),
            "truth": pd.array([True, False], dtype="boolean"),
            "lists": [np.array([1.0]), np.array([2.0])],
            "sparse": pd.arrays.SparseArray([0.0, 1.0]),
        }
    )
    assert [one.type for one in fields(frame)] == ["double", "boolean", "array", "double"]
    assert fields(frame.assign(span=pd.to_timedelta([1, 2])))[0].type == "any"
