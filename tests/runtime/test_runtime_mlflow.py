"""MLflow's forms, against what scikit-learn itself predicts."""

import base64
import gzip
import io
import json

import numpy as np
import pytest

from lading_runtime.front.forms import read_one, read_unified
from lading_runtime.front.messages import Refusal
from lading_runtime.front.schema import read

JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def named(iris_server):
    return iris_server


@pytest.fixture(scope="module")
def bare(serve, bare_model):
    with serve(bare_model) as served:
        yield served


def split(frame):
    return {"dataframe_split": json.loads(frame.to_json(orient="split", double_precision=15))}


def test_a_split_frame_is_predicted_as_scikit_learn_does(named, named_model, iris):
    assert named.predictions(split(iris)) == named_model.predict(iris).tolist()


def test_columns_are_found_by_name_in_any_order_and_others_dropped(named, named_model, iris):
    shuffled = iris[iris.columns[::-1]].assign(other="x")
    assert named.predictions(split(shuffled)) == named_model.predict(iris).tolist()


def test_records_are_predicted_as_scikit_learn_does(named, named_model, iris):
    records = {"dataframe_records": iris.to_dict(orient="records")}
    assert named.predictions(records) == named_model.predict(iris).tolist()


@pytest.mark.parametrize("form", ["instances", "inputs"])
def test_lists_are_predicted_as_scikit_learn_does(named, named_model, iris, form):
    rows = {form: iris.to_numpy().tolist()}
    assert named.predictions(rows) == named_model.predict(iris).tolist()


@pytest.mark.parametrize("form", ["instances", "inputs"])
def test_lists_are_predicted_by_a_model_without_names(bare, bare_model, iris, form):
    rows = {form: iris.to_numpy().tolist()}
    assert bare.predictions(rows) == bare_model.predict(iris.to_numpy()).tolist()


def test_instances_may_be_records_and_inputs_may_be_columns(named, named_model, iris):
    expected = named_model.predict(iris).tolist()
    assert named.predictions({"instances": iris.to_dict(orient="records")}) == expected
    assert named.predictions({"inputs": iris.to_dict(orient="list")}) == expected


def test_a_model_without_names_takes_frames_and_ignores_their_names(bare, bare_model, iris):
    assert bare.predictions(split(iris)) == bare_model.predict(iris.to_numpy()).tolist()
    assert "UserWarning" not in bare.log


def test_whole_numbers_and_fractions_may_be_mixed(named, bare):
    assert named.predictions({"instances": [[5, 3.5, 1.4, 0], [6, 3, 5, 2]]}) == [0, 2]
    assert bare.predictions({"instances": [[5, 3.5, 1.4, 0], [6, 3, 5, 2]]}) == [0, 2]
    split_rows = {"dataframe_split": {"columns": list("abcd"), "data": [[5, 3.5, 1.4, 0], [6, 3, 5, 2]]}}
    assert bare.predictions(split_rows) == [0, 2]


def csv(named, text, content_type="text/csv"):
    status, body, _ = named.ask("POST", "/invocations", text.encode(), {"content-type": content_type})
    return status, json.loads(body)


def test_csv_with_a_header_and_without_one(named, named_model, iris):
    expected = named_model.predict(iris).tolist()
    for header in (True, False):
        text = io.StringIO()
        iris.to_csv(text, index=False, header=header)
        assert csv(named, text.getvalue()) == (200, {"predictions": expected})
    reordered = iris[iris.columns[::-1]].to_csv(index=False)
    assert csv(named, reordered, "text/csv; charset=utf-8") == (200, {"predictions": expected})


def test_csv_whose_first_line_is_neither_names_nor_numbers_is_refused_naming_both(named):
    status, answer = csv(named, "a,b,c,d\n5.1,3.5,1.4,0.2\n")
    assert status == 400
    assert "'a'" in answer["message"]
    assert "'sepal length (cm)'" in answer["message"]


def test_the_media_type_may_say_whether_csv_has_a_header(named):
    assert csv(named, "5.1,3.5,1.4,0.2\n", "text/csv; header=absent") == (200, {"predictions": [0]})
    assert csv(named, "5.1,3.5,1.4,0.2\n6,3,5,2\n", "text/csv; header=present")[0] == 400


@pytest.mark.parametrize("text", ["", "\n\n", "1,2\n1,2,3\n", "1,2,3\n", "5.1,3.5,1.4,x\n"])
def test_csv_that_does_not_fit_is_refused(named, text):
    status, answer = csv(named, text)
    assert status == 400, answer


def test_csv_that_is_not_utf_8_is_refused(named):
    status, _, _ = named.ask("POST", "/invocations", b"\xff\xfe1,2", {"content-type": "text/csv"})
    assert status == 400


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("Application/JSON;charset=UTF-8", 200),
        ("application/ld+json", 200),
        (None, 200),
        ("application/json; charset=latin-1", 415),
        ("application/x-www-form-urlencoded", 415),
        ("text/plain", 415),
    ],
)
def test_content_types(named, content_type, status):
    headers = {"content-type": content_type} if content_type else {}
    body = b'{"instances":[[5.1,3.5,1.4,0.2]]}'
    assert named.ask("POST", "/invocations", body, headers)[0] == status


def test_a_compressed_body_is_refused_with_415(named):
    body = gzip.compress(b'{"instances":[[5.1,3.5,1.4,0.2]]}')
    status, answer, _ = named.ask("POST", "/invocations", body, {**JSON, "content-encoding": "gzip"})
    assert status == 415
    assert b"gzip" in answer


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"nonsense",
        b"[]",
        b"17",
        b"null",
        b"{}",
        b'{"instances":[[1,2,3,4]],"inputs":[[1,2,3,4]]}',
        b'{"instances":null}',
        b'{"instances":7}',
        b'{"instances":{}}',
        b'{"instances":[]}',
        b'{"instances":[[]]}',
        b'{"instances":[[1,2,3]]}',
        b'{"instances":[[1,2,3,4],[1,2,3]]}',
        b'{"instances":[[1,2,3,4],7]}',
        b'{"instances":[1,2,3,4]}',
        b'{"instances":[{"a":1},7]}',
        b'{"instances":[[[1,2,3,4]]]}',
        b'{"inputs":{"a":1}}',
        b'{"inputs":{}}',
        b'{"dataframe_split":[]}',
        b'{"dataframe_split":{"columns":["a"]}}',
        b'{"dataframe_split":{"columns":7,"data":[]}}',
        b'{"dataframe_split":{"columns":["a","a"],"data":[[1,2]]}}',
        b'{"dataframe_split":{"columns":[["a"]],"data":[[1]]}}',
        b'{"dataframe_split":{"columns":["a"],"data":[]}}',
        b'{"dataframe_records":[1]}',
        b'{"dataframe_records":{}}',
        b'{"instances":[[1e400,1,1,1]]}',
        b'{"instances":[["a",1,1,1]]}',
        b'{"instances":[[null,1,1,' + b"1" * 5000 + b"]]}",
        b"[" * 200_000,
        b'{"instances":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"a":' * 100_000,
    ],
    ids=lambda body: body[:24].decode("latin-1"),
)
def test_what_makes_no_sense_is_refused_with_the_reason(named, body):
    status, answer = named.post(body)
    assert status == 400
    assert set(answer) == {"error", "error_code", "message"}
    assert answer["error"] == answer["message"]
    assert answer["error_code"] in {"BAD_REQUEST", "INVALID_PARAMETER_VALUE"}
    assert len(answer["message"]) < 1000
    assert named.predictions({"instances": [[5.1, 3.5, 1.4, 0.2]]}) == [0]


def test_nan_and_infinity_are_understood_and_null_is_nan(named, bare):
    for cell in ("NaN", "null"):
        body = f'{{"instances":[[{cell},3.5,1.4,0.2]]}}'.encode()
        assert named.post(body)[0] == 200, "a forest takes missing values"
        status, answer = bare.post(body)
        assert status == 400, "a logistic regression does not, and says so"
        assert "NaN" in answer["message"]
    assert bare.post(b'{"instances":[[Infinity,3.5,1.4,0.2]]}')[0] == 400


def test_a_lone_surrogate_is_refused(named):
    body = b'{"dataframe_records": [{"\\ud800": 1}]}'
    status, answer = named.post(body)
    assert (status, answer["error"]) == (400, "got a lone surrogate in a string, expected Unicode")


def test_missing_columns_are_named(named):
    frame = {"columns": ["sepal length (cm)", "other"], "data": [[1.0, 2.0]]}
    status, answer = named.post({"dataframe_split": frame})
    assert status == 400
    assert "'petal width (cm)'" in answer["message"]
    assert "'other'" in answer["message"]


def test_the_names_a_model_was_fitted_with_count_where_there_is_no_signature(serve, named_model, iris):
    with serve(named_model) as served:
        shuffled = iris[iris.columns[::-1]]
        assert served.predictions(split(shuffled)) == named_model.predict(iris).tolist()
        assert served.post({"dataframe_split": {"columns": ["a"], "data": [[1]]}})[0] == 400


ALL_TYPES = ("boolean", "integer", "long", "float", "double", "string", "binary", "datetime")
FITTING = {
    "boolean": True,
    "integer": 7,
    "long": 1 << 40,
    "float": 0.5,
    "double": 0.1,
    "string": "é",
    "binary": base64.b64encode(b"\x00\xff").decode(),
    "datetime": "2026-01-02T03:04:05",
}


@pytest.fixture(scope="module")
def typed(serve):
    """A model that tells what it was given."""
    import cloudpickle

    class Describe:
        def predict(self, data):
            return [[f"{data[name].dtype}", repr(data[name].iloc[0])] for name in data.columns]

    signature = {"inputs": [{"type": kind, "name": kind, "required": True} for kind in ALL_TYPES]}
    signature["inputs"].append(
        {"type": "array", "items": {"type": "long"}, "name": "list", "required": False}
    )
    with serve(cloudpickle.dumps(Describe()), signature=signature) as served:
        yield served


def test_every_type_of_a_signature_arrives_as_it_is_declared(typed):
    seen = dict(zip(ALL_TYPES, typed.predictions({"dataframe_records": [FITTING]}), strict=False))
    assert {name: dtype for name, (dtype, _) in seen.items()} == {
        "boolean": "bool",
        "integer": "int32",
        "long": "int64",
        "float": "float32",
        "double": "float64",
        "string": "str",
        "binary": "object",
        "datetime": "datetime64[ns]",
    }
    assert seen["binary"][1] == repr(b"\x00\xff")
    assert seen["string"][1] == repr("é")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("long", 1.7),
        ("boolean", "abc"),
        ("boolean", None),
        ("integer", 3e10),
        ("integer", 1 << 31),
        ("long", None),
        ("double", "1"),
        ("double", True),
        ("float", 1e39),
        ("string", 1),
        ("binary", "%"),
        ("datetime", "soon"),
        ("list", [1, 2.5]),
        ("list", 7),
    ],
)
def test_a_lossy_cast_is_refused_naming_column_and_row(typed, column, value):
    rows = [FITTING, {**FITTING, column: value}]
    status, answer = typed.post({"dataframe_records": rows})
    assert status == 400
    assert f"column '{column}', row 1: " in answer["message"]


def test_a_record_without_a_required_column_is_refused_naming_both(typed):
    rows = [FITTING, {key: value for key, value in FITTING.items() if key != "double"}]
    status, answer = typed.post({"dataframe_records": rows})
    assert status == 400
    assert answer["message"] == "column 'double', row 1: missing, expected a value (double)"


def test_a_matrix_cell_is_found_by_column_and_row_too(named):
    status, answer = named.post({"instances": [[1, 2, 3, 4], [1, 2, "x", 4]]})
    assert status == 400
    assert answer["message"].startswith("column 'petal length (cm)', row 1: got \"x\"")


def test_a_tensor_signature_is_kept_to(serve, bare_model):
    tensor = {"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 4]}}
    with serve(bare_model, signature={"inputs": [tensor]}) as served:
        assert served.predictions({"inputs": [[5.1, 3.5, 1.4, 0.2]]}) == [0]
        assert served.predictions({"instances": [[6, 3, 5, 2]]}) == [2]
        for wrong in ([[1.0, 2.0, 3.0]], [1.0, 2.0, 3.0, 4.0], [["a", 1, 1, 1]], [[[1.0, 2.0, 3.0, 4.0]]]):
            assert served.post({"inputs": wrong})[0] == 400


TENSOR = {"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 4]}}
CELLS = {"a": 5.1, "b": 3.5, "c": 1.4, "d": 0.2}


def test_a_tensor_without_a_name_may_come_as_a_table(serve, bare_model):
    with serve(bare_model, signature={"inputs": [TENSOR]}) as served:
        for good in (
            {"dataframe_records": [CELLS, CELLS]},
            {"instances": [CELLS, dict(reversed(CELLS.items()))]},
            {"dataframe_split": {"columns": list(CELLS), "data": [list(CELLS.values())] * 2}},
            {"inputs": {name: [value, value] for name, value in CELLS.items()}},
        ):
            assert served.predictions(good) == [0, 0]
        for wrong in (
            {"dataframe_records": []},
            {"dataframe_records": [{}]},
            {"dataframe_records": [{**CELLS, "a": {}}]},
            {"dataframe_records": [{**CELLS, "a": "text"}]},
            {"dataframe_records": [{"a": 1.0, "b": 2.0}]},
            {"dataframe_records": [CELLS, {**CELLS, "e": 1}]},
            {"dataframe_split": {"columns": ["a", "b"], "data": [[1.0, 2.0]]}},
            {"dataframe_split": {"columns": ["a"], "data": []}},
            {"inputs": {"a": [5.1]}},
            {"inputs": {**{name: [value] for name, value in CELLS.items()}, "a": ["text"]}},
            {"inputs": CELLS},
        ):
            status, answer = served.post(wrong)
            assert status == 400, answer
            assert "None" not in answer["error"]


def test_tensors_with_names_may_come_as_a_table():
    signature = {"inputs": [{**TENSOR, "name": "x"}, {**TENSOR, "name": "y"}]}
    schema = read(signature)
    table = {"columns": ["y", "x"], "data": [[[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]]}
    columns = read_one(schema, "inputs", {"x": [[5.0, 6.0, 7.0, 8.0]], "y": [[1.0, 2.0, 3.0, 4.0]]})
    assert read_one(schema, "dataframe_split", table) == columns
    records = [dict(zip(table["columns"], table["data"][0], strict=True))]
    assert read_one(schema, "dataframe_records", records) == columns
    with pytest.raises(Refusal, match=r"tensors \['x'\] are missing"):
        read_one(schema, "dataframe_records", [{"y": [1.0]}])


@pytest.mark.parametrize("form", ["dataframe_records", "inputs"])
def test_columns_without_names_are_kept_to_in_every_form(form):
    schema = read({"inputs": [{"type": "double"}, {"type": "long"}]})

    def parse(first, second, **more):
        record = {"a": first, "b": second, **more}
        return read_one(schema, form, [record] if form != "inputs" else {k: [v] for k, v in record.items()})

    assert [entry["datatype"] for entry, _ in parse(1, 2).tensors] == ["FP64", "INT64"]
    for wrong in ({"first": "text", "second": 2}, {"first": 1, "second": 2, "c": 3}):
        with pytest.raises(Refusal):
            parse(**wrong)


@pytest.mark.parametrize("form", ["inputs", "instances"])
def test_objects_are_values_of_the_one_column_that_has_no_name(form):
    item = {"type": "object", "properties": {"role": {"type": "string", "required": True}}}
    found = read_one(read({"inputs": [item]}), form, [{"role": "x"}, {"role": "y"}])
    assert json.loads(bytes(found.tensors[0][1])) == [{"role": "x"}, {"role": "y"}]


def test_records_of_ever_other_keys_are_refused():
    records = [{f"k{index}": 1} for index in range(50_000)]
    with pytest.raises(Refusal, match="50000 different keys in 50000 records"):
        read_one(read(None), "dataframe_records", records)


def test_probabilities_are_what_scikit_learn_gives_to_the_last_bit(serve, bare_model, iris):
    options = {"loader_options": {"file": "model.pkl", "method": "predict_proba"}}
    with serve(bare_model, bill_model=options) as served:
        got = served.predictions({"instances": iris.to_numpy().tolist()})
    assert np.array_equal(got, bare_model.predict_proba(iris.to_numpy()))


@pytest.mark.parametrize("rows", [1000, 20_000])
def test_large_tables_come_through_whole(bare, bare_model, iris, rows):
    table = np.resize(iris.to_numpy(), (rows, 4))
    assert bare.predictions({"instances": table.tolist()}) == bare_model.predict(table).tolist()


@pytest.mark.parametrize("key", ["messages", "prompt", "input"])
def test_a_language_models_body_is_handed_on_and_answered_without_a_wrapper(echo_server, key):
    body = {key: "hello", "temperature": 0.5}
    assert echo_server.post(body) == (200, body)
    assert echo_server.post({"text": key}) == (200, {"predictions": {"text": key}})


def test_a_language_models_body_is_one_row_for_a_model_that_takes_tables():
    columns = [{"type": "string", "name": "prompt", "required": True}]
    params = [{"name": "temperature", "type": "double", "default": 1.0, "shape": None}]
    schema = read({"inputs": columns, "params": params})
    wanted = read_unified(schema, {"prompt": "hi", "temperature": 0.5, "other": 1})
    assert wanted.params == {"temperature": 0.5}
    assert [(entry["name"], data) for entry, data in wanted.tensors] == [("prompt", b'["hi"]')]


@pytest.mark.parametrize(
    "content_type",
    ["application/json; format=pandas-split", "text/csv; label_size=0", "application/json; charset=latin-1"],
)
def test_a_media_types_parameter_that_would_change_the_body_is_refused(iris_server, content_type):
    status, body, _ = iris_server.ask("POST", "/invocations", b"{}", {"content-type": content_type})
    assert status == 415
    assert "error_code" in json.loads(body)


def test_the_version_is_a_bare_string(iris_server):
    assert iris_server.get("/version")[1] == b"0.1.0"
