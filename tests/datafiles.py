"""Files of data of every kind, and what MLflow 3.17.2 infers of each: `mlflow_infers.json`."""

import datetime as dt
import decimal
import json

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq

DATE, TIME = dt.date(2020, 1, 2), dt.datetime(2020, 1, 2, 3, 4, 5)  # noqa: DTZ001 - as frames have them
JSON = {
    "rows": [{"a": 1, "b": 1.5, "c": "x", "d": True}, {"a": 2, "b": 2, "c": None, "d": False}],
    "row": {"text": "a", "ids": [1, 2], "more": {"k": 1.5}, "none": None, "holes": ["a", None]},
    "nested": [
        {"m": [{"role": "user", "n": 1}, {"role": "x"}], "o": {"p": {"q": [1.5]}}, "e": []},
        {"m": [], "o": {"p": {"q": []}, "r": "s"}, "e": [[1]]},
    ],
    "mixed": [{"a": 1}, {"a": "x"}],
    "mixed_numbers": [{"a": 1}, {"a": 1.5}],
    "holes": [{"a": 1}, {"a": None}, {}],
    "nan": [{"a": float("nan"), "b": 1.5}, {"a": 1.5, "b": float("nan")}],
    "texts": ["a", "b"],
    "numbers": [1, 2],
    "matrix": [[1, 2], [3, 4]],
    "ragged": [[1.5], [], None],
    "empty_list": [],
    "empty_object": {},
    "empty_rows": [{}, {}],
    "nulls": [None, None],
    "truth": True,
    "number": 1.5,
    "text": "a",
    "object_or_not": [{"a": {"x": 1}}, {"a": None}],
    "objects_merge": [{"a": {"x": 1, "y": None}}, {"a": {"x": None, "z": True}}],
    "split": {"dataframe_split": {"columns": ["a", "b"], "data": [[1, "x"], [None, "y"]]}},
    "split_numbers": {
        "dataframe_split": {"columns": ["a", "b", "c"], "data": [[1, 1, True], [2, 2.5, None]]}
    },
    "split_nested": {"dataframe_split": {"columns": ["a", "b"], "data": [[[1], {"k": "v"}], [[], None]]}},
    "split_mixed": {"dataframe_split": {"columns": ["a"], "data": [[1], ["x"]]}},
    "split_large": {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 1 << 63], [1, 1]]}},
    "records": {"dataframe_records": [{"a": 1, "b": "x"}, {"a": 2}]},
    "params_many": {"top": 3, "rate": 0.5, "on": True, "how": "x", "stop": ["a", "b"], "sizes": [1, 2]},
    "params_floats": {"a": [1, 2.5], "b": [1.5], "c": [True, False], "d": []},
    "params_object": {"a": {"b": 1, "c": [1.5], "d": {"e": "f"}}},
    "params_none": {"a": None},
    "params_mixed": {"a": [1, "x"]},
    "params_matrix": {"a": [[1]]},
    "params_truths": {"a": [True, 1]},
}
LINES = {"lines": JSON["rows"], "lines_nested": JSON["nested"]}
CSV = {
    "plain": "a,b,c,d\n1,1.5,x,True\n2,2,y,False\n",
    "holes": "a,b,c,d\n1,,x,True\n,2.5,,\n",
    "all_missing": "a,b\n1,\n2,NA\n",
    "words": "a,b,c,d\nNULL,inf,true,1e5\n1,-Infinity,FALSE,.5\n",
    "large": "a,b\n9223372036854775807,-9223372036854775808\n1,2\n",
    "unsigned": "a\n18446744073709551615\n1\n",
    "too_large": "a\n99999999999999999999\n1\n",
    "too_low": "a,b\n-9223372036854775809,1\n1,2\n",
    "mixed": "a\n1\nx\n",
    "mixed_truth": "a\nTrue\n1\n",
    "times": "a\n2020-01-02\n2020-01-03T04:05:06\n",
    "twice": "a,a,b,a\n1,2,3,4\n",
    "unnamed": ",a\n0,1.5\n1,2.5\n",
    "index": "a,b\n0,1,x\n1,2,y\n",
    "short": "a,b\n1\n2,3\n",
    "blank": "a,b\n\n1,2\n\n3,4\n",
    "quoted": 'a,"b,c"\n"1","x, y"\n 2 ,z\n',
    "underscore": "a\n1_000\n2_000\n",
    "zeros": "a,b\n007,+1\n008,-1\n",
}
ARRAYS = {
    "floats": np.zeros((3, 4), np.float32),
    "flat": np.arange(3),
    "deep": np.zeros((2, 3, 4), np.uint8),
    "texts": np.array(["a", "bcd"]),
    "octets": np.array([b"a", b"bcd"]),
    "times": np.array(["2020-01-02"], "M8[ns]"),
    "truths": np.array([True]),
    "big_endian": np.zeros(2, ">f8"),
    "complex": np.zeros(2, np.complex64),
    "halves": np.zeros((2, 1), np.float16),
}


NUMBERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32()]
COLUMNS = {
    **{f"{kind}": pa.array([1, 2], kind) for kind in NUMBERS},
    **{f"{kind}_holes": pa.array([1, None], kind) for kind in (*NUMBERS, pa.uint64())},
    "half": pa.array([np.float16(1)] * 2, pa.float16()),
    "float": pa.array([1.5, 2.5], pa.float32()),
    "float_holes": pa.array([1.5, None], pa.float32()),
    "double": pa.array([1.5, 2.5]),
    "nan": pa.array([1.5, float("nan")]),
    "truth": pa.array([True, False]),
    "truth_holes": pa.array([None, True]),
    "truth_none": pa.array([None, None], pa.bool_()),
    "text": pa.array(["a", "b"]),
    "text_holes": pa.array(["a", None]),
    "text_none": pa.array([None, None], pa.string()),
    "none": pa.array([None, None]),
    "whole_none": pa.array([None, None], pa.int64()),
    "octets": pa.array([b"a", None]),
    "fixed": pa.array([b"ab", b"cd"], pa.binary(2)),
    "date": pa.array([DATE, None]),
    "day": pa.array([DATE, DATE], pa.date64()),
    **{f"time_{unit}": pa.array([1, None], pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")},
    "zone": pa.array([1, 2], pa.timestamp("ns", "UTC")),
    "category": pa.array(["a", "b"]).dictionary_encode(),
    "category_holes": pa.array([1, None]).dictionary_encode(),
    "category_small": pa.array([1, 2], pa.int32()).dictionary_encode(),
    "list_int": pa.array([[1], None]),
    "list_small": pa.array([[1], [2, 3]], pa.list_(pa.int32())),
    "list_float": pa.array([[1.5], []], pa.list_(pa.float32())),
    "list_holes": pa.array([[1, None], [2]]),
    "list_nan": pa.array([[float("nan")], [2.5]]),
    "list_text": pa.array([["a", None], ["b"]]),
    "list_truth": pa.array([[True, None], []]),
    "list_date": pa.array([[DATE], [DATE]]),
    "list_time": pa.array([[TIME], [TIME]]),
    "list_octets": pa.array([[b"a"], []]),
    "list_none": pa.array([None, None], pa.list_(pa.int64())),
    "list_list": pa.array([[[1], [2]], []]),
    "list_object": pa.array([[{"x": 1, "y": "a"}], []]),
    "list_fixed": pa.array([[1.5, 2.5], [3.5, 4.5]], pa.list_(pa.float64(), 2)),
    "object": pa.array(
        [{"i": 1, "f": 1.5, "s": "a", "l": [1], "d": DATE, "t": TIME, "b": b"x", "n": {"m": True}}] * 2
    ),
    "object_small": pa.array([{"x": 1}] * 2, pa.struct([("x", pa.int8())])),
    "object_holes": pa.array([{"x": 1}, {"x": None}], pa.struct([("x", pa.int32())])),
    "object_none": pa.array([{"x": 1}, None]),
    "object_list": pa.array([{"x": [1]}, {"x": None}], pa.struct([("x", pa.list_(pa.int32()))])),
}
STRANGE = {
    "unsigned": pa.array([1], pa.uint64()),
    "clock": pa.array([dt.time(1)]),
    "duration": pa.array([1], pa.duration("ns")),
    "decimal": pa.array([decimal.Decimal("1.5")]),
    "list_tiny": pa.array([[1]], pa.list_(pa.int8())),
    "list_empty": pa.array([[]], pa.list_(pa.int64())),
    "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
}


def write(folder):
    """Write every sample, and return its path by its name."""
    for name, document in JSON.items():
        (folder / f"{name}.json").write_text(json.dumps(document))
    for name, rows in LINES.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, text in CSV.items():
        (folder / f"{name}.csv").write_text(text)
    for name, array in ARRAYS.items():
        np.save(folder / f"{name}.npy", array)
    np.savez(folder / "several.npz", **ARRAYS)
    np.save(folder / "value.npy", np.float32(1))
    pq.write_table(pa.table(COLUMNS), folder / "columns.parquet")
    pyarrow.feather.write_feather(pa.table(COLUMNS), folder / "columns.arrow")
    # as Polars writes them
    viewed = {"a": pa.array(["a", None], pa.string_view()), "b": pa.array([b"a", b"b"], pa.binary_view())}
    pq.write_table(pa.table(viewed), folder / "views.parquet")
    pyarrow.feather.write_feather(pa.table(viewed), folder / "views.arrow")
    pq.write_table(pa.table({name: one[:0] for name, one in COLUMNS.items()}), folder / "no_rows.parquet")
    for name, array in STRANGE.items():
        pq.write_table(pa.table({"fine": array.is_valid(), name: array}), folder / f"{name}.parquet")
    _frames(folder)
    return {path.name: path for path in sorted(folder.iterdir())}


def _frames(folder):
    import pandas as pd

    own = {
        "Int64": pd.array([1, None], "Int64"),
        "Int8": pd.array([1, 2], "Int8"),
        "UInt32": pd.array([1, 2], "UInt32"),
        "Float32": pd.array([1.5, None], "Float32"),
        "boolean": pd.array([True, None], "boolean"),
        "string": pd.array(["a", None], "string"),
        "category": pd.Categorical(["a", None]),
        "object": [[1.5], None],
        "times": pd.to_datetime(["2020-01-02", None]),
    }
    pd.DataFrame(own, index=pd.Index(["x", "y"], name="key")).to_parquet(folder / "pandas.parquet")
    pd.DataFrame(np.zeros((2, 2))).to_parquet(folder / "numbered.parquet")
