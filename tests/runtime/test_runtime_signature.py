"""The tables of docs/signatures.md, row by row: what the front makes of a value, a request, a tensor."""

import datetime as dt
import json
import pickle
import struct

import pytest
from sklearn.preprocessing import FunctionTransformer

from enforcing import column, given, of_value, table, tensor, text
from lading.core import grammar
from lading.core.signature import NESTED, SCALARS
from lading_runtime.front import forms
from lading_runtime.front.messages import Refusal
from lading_runtime.front.schema import read
from lading_runtime.worker import inputs

A_AND_B = [{"name": "a", "type": "long"}, {"name": "b", "type": "string", "required": False}]


def rows(title):
    found = list(table(title))
    assert len(found) > 10, title
    return found


def test_values_of_columns_become_what_the_table_says():
    for kind, value, strict, by_rows, by_inputs in rows("Values of columns"):
        assert of_value(kind, value) == strict, (kind, value)
        expected = {"dataframe_split": by_rows, "inputs": by_inputs}
        for key, one in expected.items():
            made = of_value(kind, value, lenient=True, key=key)
            assert made == (strict if one == "=" else one), (kind, value, key)
    assert {row[0] for row in rows("Values of columns")} == {*SCALARS, *NESTED}


def test_requests_are_taken_or_refused_as_the_table_says():
    signature = grammar.read({"inputs": A_AND_B}).to_json()
    for what, body, strict, lenient in rows("Requests"):
        assert given(signature, body) == strict, what
        assert given(signature, body, lenient=True) == (strict if lenient == "=" else lenient), what


def test_tensors_become_what_the_table_says():
    for words, value, strict, lenient in rows("Tensors"):
        expected = {False: strict, True: strict if lenient == "=" else lenient}
        for mode, one in expected.items():
            made = given({"inputs": [tensor(words)]}, f'{{"inputs": {value}}}', lenient=mode)
            assert (made if made.isdigit() else text(json.loads(made)["input-0"])) == one, (words, value)


def test_a_tensor_of_no_dimensions_is_one_value():
    signature = {"inputs": [tensor("float32 []", "x"), tensor("int64 [-1]", "y")]}
    assert given(signature, '{"inputs": {"x": 1.5, "y": [1]}}') == '{"x": 1.5, "y": [1]}'
    assert given(signature, '{"inputs": {"x": [1.5], "y": [1]}}') == "400"
    alone = {"inputs": [tensor("float32 []", "x")]}
    assert given(alone, '{"inputs": 1.5}') == given(alone, '{"input_data": 1.5}') == '{"x": 1.5}'
    assert given(alone, '{"inputs": [1.5]}') == given(alone, '{"inputs": null}') == "400"
    assert given({"inputs": [tensor("float32 [-1]", "x")]}, '{"inputs": 1.5}') == "400"


def test_a_tensor_that_is_optional_may_be_missing():
    optional = {**tensor("int64 [-1]", "y"), "required": False}
    signature = {"inputs": [tensor("float32 [-1]", "x"), optional]}
    assert given(signature, '{"inputs": {"x": [1.5]}}') == '{"x": [1.5]}'
    assert given(signature, '{"inputs": {"x": [1.5], "y": [2]}}') == '{"x": [1.5], "y": [2]}'
    of_protocol = '{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1.5]}]}'
    assert given(signature, of_protocol) == '{"x": [1.5]}'
    assert given(signature, '{"inputs": {"y": [2]}}') == "400"
    assert given({"inputs": [optional, {**optional, "name": "z"}]}, '{"inputs": {}}') == "400"


def test_parameters_become_what_the_table_says():
    for words, value, expected in rows("Parameters"):
        kind, _, default = words.partition(", ")
        row = {"name": "p", "type": kind, "default": json.loads(default)}
        row["shape"] = [-1] if isinstance(row["default"], list) else None
        row |= {"properties": {"a": {"type": "long"}}} if kind == "object" else {}
        params = "" if value == "nothing" else f', "params": {{"p": {value}, "unknown": 1}}'
        for lenient in (False, True):
            signature = grammar.read({"inputs": A_AND_B, "params": [row]}).to_json()
            made = given(signature, f'{{"inputs": {{"a": [1]}}{params}}}', lenient=lenient)
            assert (made if made.isdigit() else text(json.loads(made)["params"]["p"])) == expected, (
                words,
                value,
            )


@pytest.fixture(scope="module")
def served(serve):
    """A model that answers what it is given, with a column of every type, each of which may be missing."""
    columns = [column(kind, required=False) for kind in (*SCALARS, *NESTED)]
    model = pickle.dumps(FunctionTransformer())
    more = {"bill_model": {"loader_options": {"file": "model.pkl", "method": "transform"}}}
    with serve(model, signature={"inputs": columns}, **more) as found:
        yield found


def test_the_real_server_answers_with_what_the_table_says(served):
    plain = {"boolean", "integer", "long", "double", "string", "any", "object", "array", "map"}
    for kind, value, strict, _, _ in rows("Values of columns"):
        if value == "null" and kind in NESTED:
            continue  # here they are optional, and null is what is not there
        body = f'{{"dataframe_split": {{"columns": ["{kind}"], "data": [[{value}]]}}}}'
        status, answer = served.post(body.encode())
        assert status == (400 if strict == "400" else 200), (kind, value, answer)
        if status == 400:
            # of a body that is no JSON there is no column to name
            assert f"column '{kind}', row 0" in answer["error"] or value == "1e400", answer
        elif kind in plain:
            (record,) = answer["predictions"]
            assert record[kind] == nulled(json.loads(strict)), (kind, value, answer)


def nulled(value):
    """Write null for what JSON has not."""
    return json.loads(json.dumps(value).replace("NaN", "null").replace("-Infinity", "null"))


def test_times_of_a_tensor_reach_the_model_as_times():
    schema = read({"inputs": [tensor("datetime64[ns] [-1, 2]")]})
    for lenient in (False, True):
        body = {"inputs": [["2026-01-02", "1999-12-31T23:59:59"]]}
        ((entry, buffer),) = forms.read(schema, body, lenient=lenient).tensors
        made = inputs.read(entry, memoryview(buffer))
        assert made.shape == (1, 2)
        assert made.astype("M8[Y]").tolist() == [[dt.date(2026, 1, 1), dt.date(1999, 1, 1)]]


def test_what_is_refused_is_told_as_it_was_sent():
    schema = read({"inputs": [column("binary")]})
    with pytest.raises(Refusal, match="row 1: got null, expected a base64 string"):
        forms.read(schema, {"dataframe_records": [{"binary": "aGk="}, {"binary": None}]}, lenient=True)


@pytest.mark.parametrize(
    "inputs",
    [
        [{"type": "double", "name": "age"}, {"type": "double", "name": "member"}],
        [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}],
    ],
)
def test_what_a_model_learnt_as_a_number_may_be_given_as_true_or_false(inputs):
    rows = {"inputs": [[7, True], [8.5, False]]}
    given = forms.read(read({"inputs": inputs}, truths=True), rows)
    numbers = [value for _, data in given.tensors for value in struct.unpack(f"<{len(data) // 8}d", data)]
    assert sorted(numbers) == [0.0, 1.0, 7.0, 8.5]
    with pytest.raises(Refusal, match="expected a number"):
        forms.read(read({"inputs": inputs}), rows)
    with pytest.raises(Refusal, match='got "x"'):
        forms.read(read({"inputs": inputs}, truths=True), {"inputs": [[True, "x"]]})
