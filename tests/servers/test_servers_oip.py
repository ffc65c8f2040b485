"""Any form of a recorded example is one table; a table and the Open Inference Protocol say the same."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.core.signature import Field, Signature
from lading.servers import oip
from lading.servers.recorded import Table, table

COLUMNS = Signature(
    (Field("string", "city"), Field("long", "age"), Field("double", "income", required=False))
)
ROWS = [["a", 20, 1.5], ["b", 30, None]]
RECORDS = [dict(zip(("city", "age", "income"), row, strict=True)) for row in ROWS]


@pytest.mark.parametrize(
    "inputs",
    [
        ROWS,
        RECORDS,
        {"instances": RECORDS},
        {"dataframe_records": RECORDS},
        {"dataframe_split": {"columns": ["city", "age", "income"], "data": ROWS}},
        {"dataframe_split": {"data": ROWS}},
        {"inputs": {"city": ["a", "b"], "age": [20, 30], "income": [1.5, None]}},
    ],
)
def test_every_form_is_the_same_table(inputs):
    assert table(inputs, COLUMNS) == Table(ROWS, ("city", "age", "income"))


@pytest.mark.parametrize("inputs", ["text", {"messages": []}, {"inputs": {"a": [1], "b": [1, 2]}}, {}])
def test_what_is_no_table_is_none(inputs):
    assert table(inputs, COLUMNS) is None


def test_a_column_has_the_datatype_of_the_signature():
    city, age, income = oip.columns(Table(ROWS, ("city", "age", "income")), COLUMNS)
    assert [one["datatype"] for one in (city, age, income)] == ["BYTES", "INT64", "FP64"]
    assert city["parameters"] == {"content_type": "str"}
    assert (income["shape"], income["data"]) == ([2, 1], [1.5, None])


@given(
    st.integers(1, 4).flatmap(
        lambda width: st.lists(st.lists(st.integers(), min_size=width, max_size=width), min_size=1)
    )
)
def test_rows_are_the_same_after_a_tensor(rows):
    written = oip.tensor(rows, None, "x")
    assert written["shape"] == [len(rows), len(rows[0])]
    assert oip.named(json.dumps({"outputs": [written]}).encode()) == {"x": rows}


def test_a_column_that_the_protocol_widened_is_a_list_again():
    body = json.dumps(
        {"outputs": [{"name": "y", "datatype": "INT64", "shape": [2, 1], "data": [0, 1]}]}
    ).encode()
    assert oip.rows(body, None) == [0, 1]
    wide = Signature((), (Field("tensor", dtype="int64", shape=(-1, 1)),))
    assert oip.rows(body, wide) == [[0], [1]]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"outputs": []},
        [],
        {"outputs": [{"name": "y", "data": [1]}]},
        {"outputs": [{"name": "y", "shape": [3], "data": [1, 2]}]},
    ],
)
def test_an_answer_without_whole_outputs_is_refused(answer):
    with pytest.raises(ValueError, match=r"no outputs|values of shape"):
        oip.rows(json.dumps(answer).encode(), None)
