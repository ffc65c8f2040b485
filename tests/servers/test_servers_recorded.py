"""The same rows in every form that a client has for them."""

import pytest

from lading.servers.recorded import Table, table

ROWS = [[1.0, "a"], [2.0, "b"]]
NAMES = ("x", "y")
SPLIT = {"columns": list(NAMES), "data": ROWS}
COLUMNS = {"x": [1.0, 2.0], "y": ["a", "b"]}
RECORDS = [dict(zip(NAMES, row, strict=True)) for row in ROWS]


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": SPLIT},
        {"dataframe_records": RECORDS},
        {"inputs": COLUMNS},
        {"input_data": SPLIT},
        {"input_data": {**SPLIT, "index": [0, 1]}},
        {"input_data": COLUMNS},
    ],
    ids=str,
)
def test_a_table_is_the_same_in_every_form(body):
    assert table({**body, "params": {"k": 1}}, None) == Table(ROWS, NAMES, {"k": 1})
    assert table(body, None) == Table(ROWS, NAMES, {})


def test_rows_that_nothing_names_are_rows():
    assert table({"input_data": [[1, 2]]}, None) == table({"instances": [[1, 2]]}, None) == Table([[1, 2]])


@pytest.mark.parametrize("body", [{"input_data": "text"}, {"raw": [[1]]}, "text"], ids=str)
def test_what_is_no_table_is_none(body):
    assert table(body, None) is None
