"""Parquet where no signature says what its columns are: it arrives as pandas reads it."""

import datetime as dt
import decimal
import io
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

PARQUET = {"content-type": "application/vnd.apache.parquet"}
ROUTINE = """
    import pandas as pd

    def run(table: pd.DataFrame, extra: str = "-") -> list:
        return [[f"{table[name].dtype}", repr(table[name].iloc[0]), extra] for name in table.columns]
"""


def file_of(table, **more):
    target = io.BytesIO()
    if isinstance(table, pd.DataFrame):
        table.to_parquet(target, engine="pyarrow", **more)
    else:
        pq.write_table(table, target)
    return target.getvalue()


@pytest.fixture(scope="module")
def routine(serve):
    environ = {"LADING_ROW_LIMIT": "1000"}
    with serve(entry="r.py:run", files={"r.py": ROUTINE}, environ=environ) as served:
        yield served


def send(served, data, path="/invocations"):
    status, body, _ = served.ask("POST", path, data, PARQUET)
    return status, json.loads(body)


TABLE = pd.DataFrame(
    {
        "time": pd.to_datetime(["2020-01-01T00:00:00.123456789"]),
        "zone": pd.to_datetime(["2020-01-01"]).tz_localize("Europe/Paris"),
        "small": np.array([7], "int8"),
        "unsigned": np.array([2**64 - 1], "uint64"),
        "single": np.array([0.1], "float32"),
        "kind": pd.Categorical(["a"], ["a", "b"]),
        "maybe": pd.array([None], "Int64"),
        "money": [decimal.Decimal("1.10")],
        "bytes": [b"\x00\xff"],
        "list": [[1, 2]],
        "record": [{"k": 1}],
        "text": ["é"],
    }
)


def test_a_table_reaches_a_routine_with_the_types_of_its_file(routine):
    data = file_of(TABLE)
    read = pd.read_parquet(io.BytesIO(data))
    expected = [[str(read[name].dtype), repr(read[name].iloc[0]), "-"] for name in read.columns]
    status, answer = send(routine, data)
    assert (status, answer) == (200, {"predictions": expected})
    assert expected[0][0] == "datetime64[ns]"
    assert [one[0] for one in expected[2:4]] == ["int8", "uint64"]
    assert send(routine, data, "/invocations?extra=x")[1]["predictions"][0][2] == "x"


def test_a_table_of_other_tools_with_maps_dates_and_nulls_reaches_it_too(routine):
    columns = {
        "map": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
        "date": pa.array([dt.date(2020, 1, 2)]),
        "null": pa.array([None], pa.int64()),
    }
    data = file_of(pa.table(columns))
    read = pd.read_parquet(io.BytesIO(data))
    expected = [[str(read[name].dtype), repr(read[name].iloc[0]), "-"] for name in read.columns]
    assert send(routine, data) == (200, {"predictions": expected})


@pytest.mark.parametrize("damage", ["whole", "tail", "footer", "pages", "empty"])
def test_a_damaged_file_is_refused(routine, damage):
    data = bytearray(file_of(TABLE))
    if damage == "whole":
        data[:] = b"PAR1" + bytes(100) + b"PAR1"
    if damage == "tail":
        del data[-20:]
    if damage == "footer":
        data[-200:-100] = b"\xff" * 100
    if damage == "pages":
        data[8:400] = b"\xff" * 392
    if damage == "empty":
        data.clear()
    status, answer = send(routine, bytes(data))
    assert status == 400
    assert answer["error"].startswith("the model refused the input: no Parquet file: ")
    assert "Traceback" not in answer["error"]


def test_more_rows_than_are_allowed_are_refused_before_they_are_read(routine):
    status, answer = send(routine, file_of(pd.DataFrame({"a": np.zeros(1001)})))
    assert status == 413
    assert answer["error"] == "got 1001 rows, expected at most 1000 (LADING_ROW_LIMIT)"


def test_a_model_without_a_signature_is_given_its_own_columns(serve):
    import cloudpickle

    class Describe:
        feature_names_in_ = np.array(["b", "a"], dtype=object)
        n_features_in_ = 2

        def predict(self, data):
            return [[name, f"{data[name].dtype}"] for name in data.columns]

    table = pd.DataFrame({"a": pd.to_datetime(["2020-01-01"]), "c": [1], "b": np.array([1], "int8")})
    with serve(cloudpickle.dumps(Describe())) as served:
        status, answer = send(served, file_of(table))
        assert (status, answer["predictions"][0]) == (200, ["b", "int8"])
        assert answer["predictions"][1][1].startswith("datetime64")
        status, answer = send(served, file_of(table[["a", "c"]]))
    assert status == 400
    assert "columns ['b'] are missing" in answer["error"]


def test_what_json_cannot_hold_of_a_column_comes_through_a_signature(serve):
    import cloudpickle

    class Echo:
        def predict(self, data):
            return [[repr(value) for value in data[name].tolist()] for name in data.columns]

    kinds = {"double": "double", "long": "long", "m": "map", "when": "datetime"}
    inputs = [{"name": name, "type": kind, "required": True} for name, kind in kinds.items()]
    inputs[2]["values"] = {"type": "long"}
    columns = {
        "double": pa.array([float("inf"), None]),
        "long": pa.array([decimal.Decimal(2**53 + 1), decimal.Decimal(-1)]),
        "m": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
        "when": pa.array([1, 2], pa.timestamp("ns")),
    }
    with serve(cloudpickle.dumps(Echo()), signature={"inputs": inputs}) as served:
        status, answer = send(served, file_of(pa.table(columns)))
    assert status == 200, answer
    assert answer["predictions"][:3] == [
        ["inf", "nan"],
        [str(2**53 + 1), "-1"],
        ["{'a': 1}", "{}"],
    ]
    assert answer["predictions"][3] == [repr(pd.Timestamp(one, unit="ns")) for one in (1, 2)]


ROWS = """
    from typing import Optional

    def run(name: Optional[str], count: Optional[int], size: float) -> list:
        return [name, count, size]
"""


def test_what_a_tables_row_lacks_is_nothing_to_a_routine(serve):
    with serve(entry="r.py:run", files={"r.py": ROWS}) as served:
        frame = pd.DataFrame({"name": ["a", None], "count": [None, 2], "size": [1.5, 2.5]})
        expected = [["a", None, 1.5], [None, 2, 2.5]]
        assert send(served, file_of(frame)) == (200, {"predictions": expected})
        text = "name,count,size\na,,1.5\n,2,2.5\n"
        status, body, _ = served.ask("POST", "/invocations", text, {"content-type": "text/csv"})
        assert (status, json.loads(body)["predictions"]) == (200, expected)
        status, body, _ = served.ask("POST", "/invocations", text[:22], {"content-type": "text/csv"})
        assert (status, json.loads(body)["predictions"]) == (200, [["a", None, 1.5]])
