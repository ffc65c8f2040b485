"""What `lading serve --lenient` makes of values, against what MLflow 3.17.2 made of them.

Each line of mlflow_casts.json is a column's type, a form, the column's values, and what the model was given:
null where MLflow refused, times as nanoseconds, bytes as base64, and NaN and infinities as text.
azureml_casts.json has the same of Azure ML's `input_data`, of inference-schema's PandasParameterType.
"""

import json
import math
from datetime import datetime
from pathlib import Path

import pytest
from sklearn.preprocessing import FunctionTransformer

from lading_runtime.front import forms
from lading_runtime.front.messages import Refusal
from lading_runtime.front.render import _values
from lading_runtime.front.schema import read

CASTS = json.loads(Path(__file__).with_name("mlflow_casts.json").read_text(encoding="utf-8"))


def cast(kind, form, values):
    """Return what the model is given, as the file has it; None where the values are refused."""
    schema = read({"inputs": [{"type": kind, "name": "c", "required": True}]})
    split = {"columns": ["c"], "data": [[one] for one in values]}
    data = {"c": values} if form == "inputs" else split
    try:
        ((entry, buffer),) = forms.read(schema, {form: data}, lenient=True).tensors
    except Refusal:
        return None
    return [_plain(kind, one) for one in _values(entry["datatype"], memoryview(buffer))]


def _plain(kind, value):
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else str(value)
    if kind == "datetime" and value is not None:
        whole, _, rest = value.partition(".")
        return round(datetime.fromisoformat(whole + "+00:00").timestamp()) * 10**9 + int(rest or 0)
    return value


# what is not as MLflow has it: lists are no values of a column, a null among texts is a null, and of times
# those with a zone are taken, those that are spelled as people spell them are not
DIFFERENT = {
    json.dumps(line)
    for line in [
        ["boolean", "inputs", [[1]]],
        ["string", "inputs", [[1]]],
        ["string", "dataframe_split", [None, "a"]],
        ["datetime", "dataframe_split", ["2020-01-01T00:00:00Z"]],
        ["datetime", "dataframe_split", ["2020-01-01T00:00:00+02:00"]],
        ["datetime", "dataframe_split", ["Jan 5 2020"]],
        ["datetime", "inputs", ["1"]],
        ["datetime", "inputs", ["20200105"]],
    ]
}


@pytest.mark.parametrize("kind", sorted({line[0] for line in CASTS}))
def test_values_are_cast_as_mlflows_server_casts_them(kind):
    for one, form, values, expected in CASTS:
        if one == kind and json.dumps([kind, form, values]) not in DIFFERENT:
            assert cast(kind, form, values) == expected, (form, values)


def test_the_differences_are_those_that_are_known():
    known = [line for line in CASTS if json.dumps(line[:3]) in DIFFERENT]
    assert len(known) == len(DIFFERENT)
    assert [line for line in known if cast(*line[:3]) == line[3]] == []


# what is not as inference-schema 1.8 has it with pandas 2: numbers are read as they are written, those that
# are too long too; lists are no texts; and of times what is said above
AZURES_OWN = {
    json.dumps(line)
    for line in [
        *([kind, [one]] for kind in ("double", "string") for one in (1.7, -1.7)),
        *([kind, [1 << 64]] for kind in ("float", "double")),
        ["string", [10**20]],
        ["string", [[1]]],
        ["string", [{"a": 1}]],
        *(["datetime", [one]] for one in (1 << 63, True, False, "Jan 5 2020")),
        *(["datetime", [f"2020-01-01T00:00:00{zone}"]] for zone in ("Z", "+02:00")),
    ]
}


def test_input_data_is_cast_as_azures_server_casts_it_whatever_is_asked():
    casts = json.loads(Path(__file__).with_name("azureml_casts.json").read_text(encoding="utf-8"))
    for kind, values, expected in casts:
        is_known = json.dumps([kind, values]) in AZURES_OWN
        assert (cast(kind, "input_data", values) != expected) == is_known, (kind, values)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("long", 1.7), ("boolean", "abc"), ("boolean", None), ("integer", 3e10), ("long", "1")],
)
def test_without_it_each_of_them_is_refused_by_column_and_row(kind, value):
    schema = read({"inputs": [{"type": kind, "name": "c", "required": True}]})
    with pytest.raises(Refusal, match="column 'c', row 1: "):
        forms.read(schema, {"dataframe_records": [{"c": 1 if kind != "boolean" else True}, {"c": value}]})


def test_a_tensors_values_are_cast_too():
    tensor = {"type": "tensor", "tensor-spec": {"dtype": "int32", "shape": [-1, 2]}}
    schema = read({"inputs": [tensor]})
    ((entry, buffer),) = forms.read(schema, {"inputs": [[1.7, "2"], [True, -3.9]]}, lenient=True).tensors
    assert (entry["shape"], _values("INT32", memoryview(buffer))) == ([2, 2], [1, 2, 1, -3])
    with pytest.raises(Refusal, match=r"1\.7"):
        forms.read(schema, {"inputs": [[1.7, 2]]})


def test_a_server_may_be_lenient(serve):
    signature = {"inputs": [{"type": kind, "name": kind, "required": True} for kind in ("long", "boolean")]}
    more = {"bill_model": {"loader_options": {"file": "model.pkl", "method": "transform"}}}
    environ = {"LADING_LENIENT": "1"}
    with serve(FunctionTransformer(), signature=signature, environ=environ, **more) as served:
        table = {"columns": ["long", "boolean"], "data": [[1.7, "abc"], [3, ""]]}
        expected = [{"long": 1, "boolean": True}, {"long": 3, "boolean": False}]
        assert served.predictions({"dataframe_split": table}) == expected


@pytest.mark.parametrize(
    ("data", "content", "expected"),
    [
        ([{"a": 1}], "array", [("input-0", "JSON", [1], [{"a": 1}])]),
        ([["a", 1], ["b", 2.5]], "array", [("input-0", "JSON", [2, 2], ["a", "1", "b", "2.5"])]),
        ({"a": [1, 2], "b": 3.5}, "tensors", [("a", "INT64", [2], [1, 2]), ("b", "FP64", [], [3.5])]),
    ],
)
def test_what_is_open_to_any_type_is_given_arrays_as_azures_script_makes_them(data, content, expected):
    made = forms.read(read(None), {"input_data": data}, is_open=True)
    assert made.content == content
    got = [
        (entry["name"], entry["datatype"], entry["shape"], list(_values(entry["datatype"], memoryview(one))))
        for entry, one in made.tensors
    ]
    assert got == expected
