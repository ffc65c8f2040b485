"""What front and worker do to a table, taken together: nothing."""

import math
import struct
from contextlib import suppress

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading_runtime import wire
from lading_runtime.front import encode, outputs
from lading_runtime.front.channel import Answer
from lading_runtime.front.messages import Refusal
from lading_runtime.front.schema import read
from lading_runtime.worker.inputs import Request

CELLS = {
    "long": st.integers(-(1 << 63), (1 << 63) - 1),
    "integer": st.integers(-(1 << 31), (1 << 31) - 1),
    "double": st.floats(),
    "float": st.floats(width=32),
    "boolean": st.booleans(),
    "string": st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
}
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)
TABLES = st.dictionaries(NAMES, st.sampled_from(sorted(CELLS)), min_size=1, max_size=4).flatmap(
    lambda kinds: st.tuples(
        st.just(kinds), st.lists(st.tuples(*(CELLS[kind] for kind in kinds.values())), min_size=1, max_size=5)
    )
)


def over_the_wire(wanted):
    """Do what supervisor and worker do with a request."""
    parameters = {"content": wanted.content, "columns": wanted.columns}
    header = {"parameters": parameters, "inputs": [entry for entry, _ in wanted.tensors]}
    message = b"".join(wire.frame(msgspec.json.encode(header), [data for _, data in wanted.tensors]))
    header_bytes, _ = wire.lengths(message[: wire.PREFIX.size])
    start = wire.PREFIX.size
    return Request(
        msgspec.json.decode(message[start : start + header_bytes]),
        memoryview(bytearray(message[start + header_bytes :])),
    )


def signature(kinds):
    return {"inputs": [{"type": kind, "name": name, "required": True} for name, kind in kinds.items()]}


@given(TABLES)
def test_a_table_arrives_as_it_was_sent_in_every_form(table):
    kinds, rows = table
    names = list(kinds)
    schema = read(signature(kinds))
    expected = pd.DataFrame(rows, columns=names)
    lists = [list(row) for row in rows]
    records = [dict(zip(names, row, strict=True)) for row in rows]
    columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
    forms = (
        encode.rows(schema, names, lists),
        encode.rows(schema, None, lists),
        encode.records(schema, records),
        encode.mapping(schema, columns),
    )
    for wanted in forms:
        frame = over_the_wire(wanted).frame()
        assert list(frame.columns) == names
        pd.testing.assert_frame_equal(frame, expected, check_dtype=False, check_exact=True)


@given(TABLES)
def test_the_order_of_columns_and_others_besides_do_not_matter(table):
    kinds, rows = table
    schema = read(signature(kinds))
    names = list(kinds)[::-1]
    lists = [[*row[::-1], "other"] for row in rows]
    frame = over_the_wire(encode.rows(schema, [*names, "an other name"], lists)).frame()
    pd.testing.assert_frame_equal(
        frame, pd.DataFrame(rows, columns=list(kinds)), check_dtype=False, check_exact=True
    )


@given(st.lists(st.lists(st.floats() | st.integers(-9, 9), min_size=3, max_size=3), min_size=1, max_size=4))
def test_numbers_without_a_signature_arrive_as_one_array(rows):
    array = over_the_wire(encode.array(read(None), rows)).array()
    assert np.array_equal(array, np.array(rows), equal_nan=array.dtype.kind == "f")


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    )
)
def test_any_value_is_encoded_or_refused_and_nothing_else(value):
    schemas = (read(None), read(None, ["a", "b"]), read(signature({"a": "double"})), read(None, None, 2))
    forms = {list: (encode.array, encode.records), dict: (encode.mapping,)}.get(type(value), ())
    for schema in schemas:
        for form in forms:
            with suppress(Refusal):
                assert over_the_wire(form(schema, value)).content in {"array", "frame"}


def test_a_frame_without_columns_is_an_array_without_them():
    assert over_the_wire(encode.records(read(None), [])).array().shape == (0, 0)


@pytest.mark.parametrize(
    ("spec", "value", "expected"),
    [
        ({"type": "array", "items": {"type": "double"}}, [1, 2.5, None], [1.0, 2.5, math.nan]),
        ({"type": "array", "items": {"type": "long"}}, [1.0], [1]),
        ({"type": "map", "values": {"type": "double"}}, {"a": 1}, {"a": 1.0}),
        (
            {
                "type": "object",
                "properties": {"p": {"type": "float"}, "q": {"type": "long", "required": False}},
            },
            {"p": 1, "q": None},
            {"p": 1.0, "q": None},
        ),
    ],
)
def test_numbers_in_nested_values_are_cast_too_and_null_among_floats_is_nan(spec, value, expected):
    schema = read({"inputs": [{**spec, "name": "x"}]})
    frame = over_the_wire(encode.records(schema, [{"x": value}])).frame()
    assert repr(frame["x"].tolist()) == repr([expected])


def test_a_cell_of_a_table_is_a_row_of_one_where_a_tensor_is_a_column():
    tensors = [
        {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": [-1, 1]}, "name": name}
        for name, dtype in (("size", "float32"), ("colour", "str"))
    ]
    wanted = encode.rows(read({"inputs": tensors}), ["colour", "size"], [["red", 1], ["blue", 2.5]])
    arrays = over_the_wire(wanted).arrays()
    assert arrays["size"].tolist() == [[1.0], [2.5]]
    assert arrays["colour"].tolist() == [["red"], ["blue"]]


def test_rows_of_the_declared_outputs_are_a_tensor_for_each():
    declared = [{"type": "string", "name": "label"}, {"type": "double", "name": "yes"}]
    body = b'[{"yes": 0.25, "label": "no"}, {"yes": null, "label": "yes"}]'
    header = {"parameters": {"content": "json"}, "outputs": [wire.tensor("output-0", wire.JSON, [1], body)]}
    schema = read({"inputs": [{"type": "double", "name": "x"}], "outputs": declared})
    label, yes = outputs.read(Answer(header, memoryview(body)), schema)
    assert (label.name, label.datatype, label.shape, label.values) == ("label", "BYTES", [2], ["no", "yes"])  # noqa: PD011
    assert (yes.name, yes.datatype, yes.values) == ("yes", "FP64", [0.25, None])  # noqa: PD011
    (whole,) = outputs.read(Answer(header, memoryview(body)), read({"outputs": declared[:1]}))
    assert (whole.datatype, whole.shape) == ("BYTES", [2])


def test_a_tensor_of_no_dimensions_is_one_by_the_protocol_too():
    data = struct.pack("<d", 2.5)
    header = {"parameters": {"content": "array"}, "outputs": [wire.tensor("output-0", "FP64", [], data)]}
    declared = {"type": "tensor", "name": "sum", "tensor-spec": {"dtype": "float64", "shape": []}}
    for outputs_of, shape in (([declared], []), ([], [1])):
        schema = read({"outputs": outputs_of})
        assert [one.shape for one in outputs.read(Answer(header, memoryview(data)), schema)] == [shape]
