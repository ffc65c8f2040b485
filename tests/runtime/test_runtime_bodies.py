"""Bodies at their edges: what is read of them, and what is said of those that cannot be."""

import json

import pytest

from lading_runtime.front import forms, inputs, media, routine_schema
from lading_runtime.front.decode import parse_csv
from lading_runtime.front.messages import Refusal
from lading_runtime.front.schema import read
from lading_runtime.front.tensors import Tensor


def columns(**kinds):
    return read({"inputs": [{"type": kind, "name": name, "required": True} for name, kind in kinds.items()]})


def nested(**spec):
    return read({"inputs": [{"name": "x", "required": True, **spec}]})


FOUR = columns(a="double", b="double", c="double", d="double")
MANY = columns(**{f"f{index}": "double" for index in range(300)})
ARRAY = nested(type="array", items={"type": "long"})
OBJECT = nested(type="object", properties={"k": {"type": "long", "required": True}})


def refusal(schema, document):
    with pytest.raises(Refusal) as caught:
        forms.read(schema, document)
    assert caught.value.status == 400
    return caught.value.message


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"instances": [1]}, "row 0: got 1, expected a list of 4 cells: ['a', 'b', 'c', 'd']"),
        ({"instances": [[1, 2, 3, 4], None]}, "row 1: got null, expected a list of 4 cells"),
        ({"instances": [[1, 2]]}, "row 0: got 2 cells, expected a list of 4 cells: ['a', 'b', 'c', 'd']"),
        ({"instances": [[]]}, "row 0: got 0 cells, expected a list of 4 cells"),
        ({"instances": "x"}, 'instances: got "x", expected a list'),
        ({"instances": None}, "instances: got null, expected a list"),
        ({"dataframe_records": [True]}, "row 0: got true, expected an object"),
        ({"inputs": {}}, "got an object without columns, expected a list"),
        ({"inputs": {"a": [1], "b": 2}}, "column 'b': got 2, expected a list"),
        ({"inputs": {"a": [1], "b": [2, 3]}}, "got columns of lengths {'a': 1, 'b': 2}"),
        ([], "got a list of 0, expected an object with one of"),
        (None, "got null, expected an object with one of"),
    ],
    ids=str,
)
def test_what_was_got_is_said_in_the_words_of_json(document, message):
    assert message in refusal(FOUR, document)


def test_an_object_as_instances_is_one_row_or_columns():
    for value in (1, [1, 2]):
        given = forms.read(FOUR, {"instances": dict.fromkeys("abcd", value)})
        assert given == forms.read(FOUR, {"inputs": dict.fromkeys("abcd", value)})


def test_an_object_that_is_null_is_not_called_missing():
    assert "at k: got null, expected a value (long)" in refusal(OBJECT, {"instances": [{"x": {"k": None}}]})
    assert "at k: missing, expected a value (long)" in refusal(OBJECT, {"instances": [{"x": {}}]})
    assert "row 0: got null, expected an object" in refusal(OBJECT, {"instances": [{"x": None}]})


@pytest.mark.parametrize(
    "document",
    [
        {"instances": [[1]]},
        {"dataframe_records": [{"f1": 1}]},
        {"inputs": {f"x{index}": [1] for index in range(300)}},
        {"dataframe_split": {"columns": [f"f{index // 2}" for index in range(300)], "data": []}},
    ],
    ids=str,
)
def test_of_hundreds_of_columns_a_few_are_named_and_all_are_counted(document):
    message = refusal(MANY, document)
    assert "in all]" in message
    assert len(message) < 400


@pytest.mark.parametrize("shape", [[0, 4], [0]])
@pytest.mark.parametrize("datatype", ["FP64", "FP32"])
def test_a_table_without_rows_is_the_models_to_judge(shape, datatype):
    empty = [{"name": "matrix", "datatype": "FP64", "shape": [0, 4], "parameters": {"binary_data_size": 0}}]
    ((entry, _),) = inputs.read(FOUR, [Tensor("x", datatype, shape, b"")]).tensors
    assert {**entry, "datatype": "FP64"} == empty[0]
    ((entry, _),) = forms.read(FOUR, {"instances": []}).tensors
    assert entry == empty[0]
    ((entry, _),) = forms.read(read(None, None, 4), {"instances": []}).tensors
    assert entry["shape"] == [0, 4]


def test_a_tensor_without_columns_is_refused_as_such():
    for schema in (FOUR, read(None, None, 4)):
        with pytest.raises(Refusal, match="got 0 columns, expected 4"):
            inputs.read(schema, [Tensor("x", "FP64", [3, 0], b"")])
    assert "row 0: got 1, expected a list of 4 cells" in refusal(read(None, None, 4), {"instances": [1, 2]})


def test_columns_of_which_none_is_the_models_are_refused():
    schema = read({"inputs": [{"type": "long", "name": "a", "required": False}]})
    assert (
        refusal(schema, {"dataframe_records": [{"z": 1}]}) == "got the columns ['z'], expected some of ['a']"
    )


def csv(body, schema=None, header=None, **more):
    return parse_csv(body.encode(), schema or read(None), header, **more)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("1,2,3,4\r\n5,6,7,8\r\n", (None, [[1, 2, 3, 4], [5, 6, 7, 8]])),
        ("\ufeffa,b,c,d\n\n1,2,3,4\n\n", (["a", "b", "c", "d"], [[1, 2, 3, 4]])),
        ('a,b,c,d\n"1",2,3,"4"', (["a", "b", "c", "d"], [[1, 2, 3, 4]])),
        ("1,,3,4\n", (None, [[1, None, 3, 4]])),
        ("nan,-inf,Infinity,1e5\n", None),
    ],
    ids=repr,
)
def test_csv_is_read_as_it_is_written(body, expected):
    for schema in (FOUR, read(None)):
        names, rows = csv(body, schema)
        if expected is not None:
            assert (names, rows) == expected
        else:
            assert (names, len(rows), str(rows[0])) == (None, 1, "[nan, -inf, inf, 100000.0]")


def test_a_quoted_cell_may_have_lines_of_its_own_and_be_long():
    text = "two\r\nlines" * 20_000
    assert csv(f'a,b\n"{text}",1\n') == (["a", "b"], [[text, 1]])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('a,b\n"1,2\n', "a quote that is not closed"),
        ('a,b\n"1"2,3\n', "line 2: got a body that is not CSV"),
        ("a,b\n1\n", "row 0: got 1 cells, expected 2"),
        ("a,b,a\n1,2,3\n", "line 1: got the columns ['a'] more than once"),
        ("a,b\n1,1e400\n", "column 'b', row 0: got '1e400', expected a number that a double can hold"),
        ("1,2\n-1e999,2\n", "column '0', row 1: got '-1e999', expected a number"),
        ("hello\n", "got one line, ['hello'], which was taken for a header"),
        ("", "got an empty CSV"),
        ("\n\r\n", "got an empty CSV"),
    ],
)
def test_csv_that_cannot_be_read_without_loss_is_refused(body, message):
    with pytest.raises(Refusal) as caught:
        csv(body)
    assert caught.value.status == 400
    assert message in caught.value.message


def test_csv_that_is_no_utf_8_is_refused_at_its_byte():
    with pytest.raises(Refusal, match="not UTF-8 at byte 2"):
        parse_csv(b"1,\xff", read(None), None)


def test_a_number_too_large_is_refused_of_a_typed_column_too():
    names, rows = csv("1,2,3,1e400\n", FOUR)
    assert "column 'd', row 0: got \"1e400\"" in refusal(FOUR, {"dataframe_split": {"data": rows}})
    assert names is None


def test_a_media_type_says_of_a_header_what_it_may():
    with pytest.raises(Refusal, match="got header='foo', expected 'present' or 'absent'") as caught:
        csv("1,2\n", header="foo")
    assert caught.value.status == 415
    assert csv("1,2\n3,4\n", header="present") == (["1", "2"], [[3, 4]])
    assert csv("a,b\nc,d\n", header="absent") == (None, [["a", "b"], ["c", "d"]])


def test_csv_of_hundreds_of_columns_is_refused_in_short():
    with pytest.raises(Refusal) as caught:
        csv(",".join(f"x{index}" for index in range(300)), MANY)
    assert "300 in all" in caught.value.message
    assert len(caught.value.message) < 400


def test_true_and_false_in_csv_are_truth_values_as_pandas_has_them():
    assert csv("a,b\nTRUE,x\nfalse,y\n,z\n")[1] == [[True, "x"], [False, "y"], [None, "z"]]
    assert csv("a\ntrue\nmaybe\n")[1] == [["true"], ["maybe"]]


def test_a_routines_texts_stay_texts_whatever_they_look_like():
    properties = {
        "zip": {"type": "string"},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "size": {"type": "integer"},
        "either": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
    }
    record = {"$defs": {"R": {"properties": properties}}, "properties": {"rows": {"type": "array"}}}
    for body in ({"properties": properties}, record):
        texts = routine_schema.texts({"schema": {"input": body}})
        assert texts == {"zip", "note"}
        rows = csv("zip,note,size,either\n0012,true,3,4\n", texts=texts)[1]
        assert rows == [["0012", "true", 3, 4]]


@pytest.mark.parametrize(
    ("accept", "default", "expected"),
    [
        ("application/json;q=0, */*", media.JSON, media.CSV),
        ("application/json;q=0, application/*", media.JSON, media.LINES),
        ("text/*", media.JSON, media.CSV),
        ("*/*", media.CSV, media.CSV),
        ("*/*;q=0", media.JSON, None),
        ("text/csv;q=nan", media.JSON, None),
        ("application/xml, text/csv; charset=utf-8", media.JSON, media.CSV),
    ],
)
def test_what_a_client_refuses_it_is_not_given(accept, default, expected):
    assert media.choose({b"accept": accept.encode()}, default) == expected


@pytest.mark.parametrize(
    ("asked", "answered", "is_told"),
    [
        ("text/csv", media.CSV, False),
        ("application/x-ndjson", media.LINES, False),
        ("Application/JSON; charset=utf-8", media.JSON, False),
        ("*/*", media.JSON, False),
        ("application/xml", media.JSON, True),
    ],
)
def test_what_is_answered_by_default_is_something_that_can_be(asked, answered, is_told, capfd):
    assert media.by_default(asked) == answered
    assert ("ignored 'application/xml'" in capfd.readouterr().err) == is_told


def cells(schema, document):
    return [json.loads(bytes(data)) for _, data in forms.read(schema, document).tensors]


BYTES = {"b64": "aGk="}


@pytest.mark.parametrize(
    "document",
    [
        {"instances": [BYTES]},
        {"instances": [{"x": BYTES}]},
        {"inputs": [BYTES]},
        {"inputs": {"x": [BYTES]}},
        {"inputs": BYTES},
        {"dataframe_split": {"columns": ["x"], "data": [[BYTES]]}},
    ],
    ids=str,
)
def test_bytes_may_be_written_as_tensorflow_serving_has_them(document):
    assert cells(columns(x="binary"), document) == [["aGk="]]
    assert cells(columns(x="string"), document) == [["hi"]]


def test_base64_may_have_lines_as_mlflows_own_has():
    assert cells(columns(x="binary"), {"instances": ["aG\nk=\n"]}) == [["aG\nk=\n"]]


def test_what_is_no_base64_is_refused_of_them_too():
    assert "expected a base64 string" in refusal(columns(x="binary"), {"instances": [{"b64": "!"}]})
    assert "expected a string" in refusal(columns(x="string"), {"instances": [{"b64": "/w=="}]})
    assert "expected a base64 string" in refusal(columns(x="binary"), {"instances": [{"b64": 3}]})


def test_a_signature_other_than_the_one_that_there_is_is_refused():
    body = {"instances": ["a"], "signature_name": "serving_default"}
    assert cells(columns(x="string"), body) == [["a"]]
    message = refusal(columns(x="string"), {**body, "signature_name": "classify"})
    assert message.startswith("signature_name: got \"classify\", expected 'serving_default'")
    assert "signature_name: got null" in refusal(FOUR, {"instances": [], "signature_name": None})


def test_one_row_may_come_without_lists_as_mlflow_has_it():
    two = columns(x="string", y="string")
    assert cells(two, {"inputs": {"x": "a", "y": "b"}}) == [["a"], ["b"]]
    assert cells(columns(x="string"), {"inputs": "a"}) == [["a"]]
    assert cells(ARRAY, {"inputs": {"x": [1, 2]}}) == [[[1, 2]]]
    assert cells(ARRAY, {"inputs": {"x": [[1, 2], [3]]}}) == [[[1, 2], [3]]]
    assert cells(ARRAY, {"instances": [[1, 2], [3, 4]]}) == [[[1, 2], [3, 4]]]
    assert cells(OBJECT, {"inputs": {"x": {"k": 1}}}) == [[{"k": 1}]]
    assert "got 3, expected a list" in refusal(two, {"inputs": 3})


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        ({"type": "array", "items": {"type": "any"}}, None),
        ({"type": "map", "values": {"type": "any"}}, None),
        ({"type": "map", "values": {"type": "long"}, "required": False}, {"a": None}),
        ({"type": "object", "properties": {"k": {"type": "long"}}, "required": False}, {}),
    ],
    ids=str,
)
def test_nothing_is_a_value_where_mlflow_says_so(spec, value):
    assert cells(nested(**spec), {"dataframe_records": [{"x": value}]}) == [[value]]
    strict = {**spec, "required": True, "items": {"type": "long"}, "values": {"type": "long"}}
    refusal(nested(**strict), {"dataframe_records": [{"x": value}]})


def test_unsigned_numbers_are_cast_by_numpy_where_it_may_be_lenient():
    schema = read({"inputs": [{"type": "tensor", "tensor-spec": {"dtype": "uint8", "shape": [-1, 2]}}]})
    ((entry, data),) = forms.read(schema, {"inputs": [[1.7, True]]}, lenient=True).tensors
    assert (entry["datatype"], bytes(data)) == ("UINT8", b"\x01\x01")
    assert "got 1.7" in refusal(schema, {"inputs": [[1.7, 1]]})
    with pytest.raises(Refusal, match="got 300"):
        forms.read(schema, {"inputs": [[300, 1]]}, lenient=True)


def test_a_number_that_is_none_is_no_time_where_it_may_be_lenient():
    schema = columns(x="datetime")
    body = {"dataframe_records": [{"x": float("nan")}, {"x": 1.0}]}
    ((_, data),) = forms.read(schema, body, lenient=True).tensors
    assert json.loads(bytes(data)) == [None, "1970-01-01T00:00:00.000000001"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "got the keys [], expected an object with 'inputs'"),
        ([], "got a list of 0, expected an object with 'inputs'"),
        ({"inputs": []}, "got inputs a list of 0, expected"),
        ({"inputs": [7]}, "inputs[0]: got 7, expected an object with name"),
        ({"inputs": [{"data": []}]}, "inputs[0]: got the keys ['data'], expected an object with name"),
        (
            {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": 7}]},
            "'x': got data 7, expected",
        ),
        ({"inputs": [{"name": "x", "datatype": "FP64", "shape": [1]}]}, "'x': got no data, expected a list"),
    ],
    ids=str,
)
def test_what_is_no_tensor_is_refused_with_what_was_got(iris_server, body, message):
    status, answer = iris_server.post(body, "/v2/models/iris/infer")
    assert status == 400
    assert message in answer["error"]
