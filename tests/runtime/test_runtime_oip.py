"""The Open Inference Protocol over HTTP, by hand and by Triton's own client."""

import json
import time

import numpy as np
import pytest

from lading_runtime.front import inputs
from lading_runtime.front.messages import Refusal
from lading_runtime.front.schema import read
from lading_runtime.front.tensors import Tensor

INPUT = {"name": "x", "shape": [2, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2, 6.0, 3.0, 5.0, 2.0]}
INFER = "/v2/models/iris/infer"
EXTENSIONS = ["binary_tensor_data", "model_repository", "model_configuration", "statistics"]


@pytest.fixture(scope="module")
def named(serve, named_model, iris_signature):
    with serve(named_model, signature=iris_signature, version="7") as served:
        yield served


@pytest.fixture(scope="module")
def bare(serve, bare_model):
    with serve(bare_model) as served:
        yield served


def test_server_and_model_describe_themselves(named, iris):
    assert json.loads(named.get("/v2")[1]) == {"name": "lading", "version": "0.1.0", "extensions": EXTENSIONS}
    assert json.loads(named.get("/v2/models")[1]) == {"models": ["iris"]}
    for path in ("/v2/models/iris", "/v2/models/iris/versions/7"):
        status, body, _ = named.get(path)
        assert status == 200
        assert json.loads(body) == {
            "name": "iris",
            "versions": ["7"],
            "platform": "lading_sklearn",
            "inputs": [{"name": name, "datatype": "FP64", "shape": [-1]} for name in iris.columns],
            "outputs": [{"name": "species", "datatype": "INT64", "shape": [-1]}],
            "properties": {"format": "sklearn", "loader": "pickle"},
        }


def test_a_model_without_a_signature_tells_its_width(bare):
    document = json.loads(bare.get("/v2/models/iris")[1])
    assert document["inputs"] == [{"name": "input-0", "datatype": "FP64", "shape": [-1, 4]}]


def test_of_a_routine_without_a_signature_no_inputs_are_claimed(serve):
    with serve(entry="score.py", files={"score.py": "def run(data):\n    return data"}) as served:
        document = json.loads(served.get("/v2/models/iris")[1])
    assert (document["inputs"], document["outputs"]) == ([], [])


def test_health(named):
    assert named.get("/v2/health/live")[:2] == (200, b'{"live":true}')
    assert named.get("/v2/health/ready")[:2] == (200, b'{"live":true,"ready":true}')
    assert named.get("/v2/models/iris/ready")[:2] == (200, b'{"name":"iris","ready":true}')


def test_another_version_is_not_found_and_another_name_is_answered(named):
    assert named.get("/v2/models/iris/versions/8")[0] == 404
    assert named.get("/v2/models/iris/versions/7/ready")[0] == 200
    assert named.post({"inputs": [INPUT]}, "/v2/models/iris/versions/8/infer")[0] == 404
    status, answer = named.post({"inputs": [INPUT]}, "/v2/models/tulip/infer")
    assert status == 200
    assert answer["model_name"] == "iris"


def test_another_name_is_not_found_where_the_settings_are_strict(serve):
    files = {"score.py": "def run(data):\n    return data"}
    with serve(entry="score.py", files=files, environ={"LADING_STRICT_MODEL_NAME": "1"}) as served:
        assert served.get("/v2/models/tulip")[0] == 404
        assert served.get("/v2/models/iris")[0] == 200


def test_one_matrix_is_predicted(named, bare):
    expected = {"name": "species", "datatype": "INT64", "shape": [2], "data": [0, 2]}
    status, answer = named.post({"id": "42", "inputs": [INPUT]}, INFER)
    assert (status, answer) == (
        200,
        {"model_name": "iris", "model_version": "7", "outputs": [expected], "id": "42"},
    )
    status, answer = bare.post({"inputs": [INPUT]}, INFER)
    assert answer == {
        "model_name": "iris",
        "model_version": "1",
        "outputs": [{**expected, "name": "output-0"}],
    }


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "text/plain", "application/octet-stream"]
)
def test_a_body_is_json_whatever_curl_says_it_is(bare, iris, kind):
    rows = iris.head(2).to_numpy()
    tensor = {"name": "x", "datatype": "FP64", "shape": [2, 4], "data": rows.tolist()}
    body = json.dumps({"inputs": [tensor]})
    status, answer, _ = bare.ask("POST", "/v2/models/iris/infer", body, {"content-type": kind})
    assert (status, json.loads(answer)["outputs"][0]["data"]) == (200, [0, 0])


def test_data_may_be_nested(bare):
    nested = {**INPUT, "data": np.reshape(INPUT["data"], (2, 4)).tolist()}
    assert bare.post({"inputs": [nested]}, INFER)[1]["outputs"][0]["data"] == [0, 2]


def test_a_tensor_per_column_is_found_by_name(named, iris):
    table = np.reshape(INPUT["data"], (2, 4))
    inputs = [
        {"name": name, "shape": [2], "datatype": "FP64", "data": table[:, i].tolist()}
        for i, name in enumerate(iris.columns)
    ]
    assert named.post({"inputs": inputs[::-1]}, INFER)[1]["outputs"][0]["data"] == [0, 2]


def test_only_the_outputs_asked_for_are_given(named):
    body = {"inputs": [INPUT], "outputs": [{"name": "species", "parameters": {"binary_data": False}}]}
    assert named.post(body, INFER)[1]["outputs"][0]["name"] == "species"
    status, answer = named.post({"inputs": [INPUT], "outputs": [{"name": "genus"}]}, INFER)
    assert status == 400
    assert "'species'" in answer["error"]


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        {"inputs": []},
        {"inputs": {}},
        {"inputs": [7]},
        {"inputs": [{}]},
        {"inputs": [{**INPUT, "name": 7}]},
        {"inputs": [{**INPUT, "datatype": "FP128"}]},
        {"inputs": [{**INPUT, "datatype": ["FP64"]}]},
        {"inputs": [{**INPUT, "datatype": "INT32"}]},
        {"inputs": [{**INPUT, "shape": [2, -4]}]},
        {"inputs": [{**INPUT, "shape": [2, 5]}]},
        {"inputs": [{**INPUT, "shape": [1 << 62, 1 << 62]}]},
        {"inputs": [{**INPUT, "shape": "2x4"}]},
        {"inputs": [{**INPUT, "shape": [8]}]},
        {"inputs": [{**INPUT, "shape": []}]},
        {"inputs": [{**INPUT, "shape": [0], "data": []}]},
        {"inputs": [{**INPUT, "data": None}]},
        {"inputs": [{**INPUT, "data": ["x"] * 8}]},
        {"inputs": [{**INPUT, "data": [[1.0], [2.0, 3.0]]}]},
        {"inputs": [INPUT, INPUT]},
        {"inputs": [INPUT, {**INPUT, "name": "y"}]},
        {"inputs": [INPUT], "outputs": 7},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_with_a_text(named, bare, document):
    for served in (named, bare):
        status, answer = served.post(document, INFER)
        assert status == 400
        assert isinstance(answer["error"], str)
        assert served.post({"inputs": [INPUT]}, INFER)[0] == 200


def test_a_routine_is_given_the_body_and_its_answer_is_a_tensor(serve):
    code = "def run(data):\n    return [len(one['data']) for one in data['inputs']]"
    with serve(entry="score.py", files={"score.py": code}) as served:
        answer = served.post({"inputs": [INPUT]}, INFER)[1]
    assert answer["outputs"] == [{"name": "output-0", "datatype": "INT64", "shape": [1], "data": [8]}]


def test_a_tensor_is_a_frame_without_names_for_a_function_that_wants_one(serve):
    code = "import pandas as pd\ndef predict(df: pd.DataFrame):\n    return df.sum(axis=1)"
    with serve(entry="score.py:predict", files={"score.py": code}) as served:
        status, answer = served.post({"inputs": [{**INPUT, "shape": [4, 2]}]}, INFER)
    assert (status, answer["outputs"][0]["data"]) == (200, pytest.approx([8.6, 1.6, 9.0, 7.0]))


def test_texts_come_back_as_bytes(serve):
    code = "def run(data):\n    return ['a', {'b': 1}]"
    with serve(entry="score.py", files={"score.py": code}) as served:
        answer = served.post({"inputs": [INPUT]}, INFER)[1]
    assert answer["outputs"][0] == {
        "name": "output-0",
        "datatype": "BYTES",
        "shape": [2],
        "data": ["a", '{"b":1}'],
    }


def test_tritons_own_client_is_answered(serve, bare_model, iris, free_port):
    client = pytest.importorskip("tritonclient.http", reason="uv pip install 'tritonclient[http]'")
    port = free_port()
    environ = {"LADING_UDS": "", "LADING_HOST": "127.0.0.1", "LADING_PORT": str(port)}
    with serve(bare_model, environ=environ, ready=False) as served:
        served.await_log("listening on")
        triton = client.InferenceServerClient(f"127.0.0.1:{port}")
        assert [one["state"] for one in triton.get_model_repository_index()] == ["READY"]
        triton.load_model("iris")
        with pytest.raises(client.InferenceServerException, match="the one model of this server"):
            triton.unload_model("iris")
        with pytest.raises(client.InferenceServerException, match="got model 'tulip', expected 'iris'"):
            triton.load_model("tulip")
        assert triton.get_model_config("iris")["input"] == [
            {"name": "input-0", "data_type": "TYPE_FP64", "dims": [-1, 4]}
        ]
        assert triton.is_server_live()
        assert triton.is_server_ready()
        assert triton.is_model_ready("iris")
        assert triton.get_server_metadata()["name"] == "lading"
        assert triton.get_model_metadata("iris")["inputs"][0]["shape"] == [-1, 4]
        rows = iris.to_numpy()
        tensor = client.InferInput("input-0", list(rows.shape), "FP64")
        tensor.set_data_from_numpy(rows, binary_data=False)
        asked = [client.InferRequestedOutput("output-0", binary_data=False)]
        for outputs in (asked, None):
            result = triton.infer("iris", [tensor], outputs=outputs, request_id="1")
            assert np.array_equal(result.as_numpy("output-0"), bare_model.predict(rows))
        tensor.set_data_from_numpy(rows, binary_data=True)
        for coding in (None, "gzip", "deflate"):
            result = triton.infer(
                "iris", [tensor], request_compression_algorithm=coding, response_compression_algorithm=coding
            )
            assert np.array_equal(result.as_numpy("output-0"), bare_model.predict(rows))
        statistics = triton.get_inference_statistics("iris")["model_stats"][0]
        assert statistics["inference_stats"]["success"]["count"] == 5
        tensor.set_shape([len(rows), 3])
        with pytest.raises(client.InferenceServerException, match=r"got 4800 bytes, expected 3600"):
            triton.infer("iris", [tensor])
        triton.close()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"shape": [2**63 - 1] * 100_000}, "expected a list of at most 32 lengths"),
        ({"shape": [2**63 - 1] * 32}, "got 8 values, expected more than there can be for shape"),
        ({"shape": [10**300]}, "expected a list of at most 32 lengths"),
        ({"shape": [0] * 32}, "got 8 values, expected 0 for shape"),
        ({"shape": [1] * 33}, "expected a list of at most 32 lengths"),
        ({"shape": "x" * 1_000_000}, "expected a list of at most 32 lengths"),
        ({"datatype": ["FP64"] * 100_000}, "got datatype ['FP64', "),
        ({"name": "x" * 1_000_000, "data": 7}, "got data 7, expected a list"),
    ],
)
def test_sizes_of_a_client_cost_nothing_and_are_printed_in_short(bare, change, reason):
    started = time.monotonic()
    status, answer = bare.post({"inputs": [{**INPUT, **change}]}, INFER)
    assert time.monotonic() - started < 2
    assert status == 400
    assert reason in answer["error"]
    assert len(answer["error"]) < 500


def test_lists_that_are_nested_too_deep_are_refused(bare):
    deep = 5.1
    for _ in range(40):
        deep = [deep]
    for path, document in (
        ("/invocations", {"instances": deep}),
        (INFER, {"inputs": [{**INPUT, "shape": [1], "data": deep}]}),
    ):
        status, answer = bare.post(document, path)
        assert (status, "more than 32 deep" in answer["error"]) == (400, True), answer


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ([{"name": {}}], "outputs[0]: got {'name': {}}, expected an object with a name"),
        ([{"name": "no such"}], "expected some of ['output-0']"),
        ([7], "outputs[0]: got 7"),
        (7, "outputs: got 7, expected a list of objects"),
        ([{"name": "output-0", "parameters": {"classification": 3}}], "classification is no extension"),
        (
            [{"name": "output-0", "parameters": {"shared_memory_region": "x"}}],
            "shared memory is no extension",
        ),
        (
            [{"name": "output-0", "parameters": {"binary_data": 1}}],
            "got binary_data 1, expected true or false",
        ),
    ],
)
def test_outputs_that_there_are_not_are_refused(bare, asked, reason):
    status, answer = bare.post({"inputs": [INPUT], "outputs": asked}, INFER)
    assert (status, reason in answer["error"]) == (400, True), answer


def one(name, shape, data):
    if isinstance(data[0], str):
        return Tensor(name, "BYTES", shape, values=data)
    return Tensor(name, "FP64", shape, np.array(data).tobytes(), data)


def test_one_tensor_that_a_column_is_named_after_is_that_column():
    fields = [("age", "double"), ("city", "string"), ("x", "double")]
    schema = read({"inputs": [{"name": name, "type": kind} for name, kind in fields]})
    with pytest.raises(Refusal, match=r"columns \['city', 'x'\] are missing"):
        inputs.read(schema, [one("age", [1], [7.0])])
    given = [one("age", [2], [7.0, 8.0]), one("city", [2, 1], ["a", "b"]), one("x", [2], [1.0, 2.0])]
    assert [entry["shape"] for entry, _ in inputs.read(schema, given).tensors] == [[2], [2], [2]]


@pytest.mark.parametrize("name", ["age", "input-0"])
def test_the_only_column_may_have_any_name_but_is_one_column(name):
    schema = read({"inputs": [{"name": "age", "type": "double"}]})
    for shape in ([2], [2, 1]):
        wanted = inputs.read(schema, [one(name, shape, [7.0, 8.0])])
        assert bytes(wanted.tensors[0][1]) == np.array([7.0, 8.0]).tobytes()
    with pytest.raises(Refusal):
        inputs.read(schema, [one(name, [2, 3], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])])


def test_the_only_tensor_has_the_name_that_the_signature_gives_it():
    spec = {"dtype": "float64", "shape": [-1]}
    schema = read({"inputs": [{"name": "x", "type": "tensor", "tensor-spec": spec}]})
    assert inputs.read(schema, [one("x", [1], [7.0])]).tensors
    with pytest.raises(Refusal, match="got tensor 'y', expected 'x'"):
        inputs.read(schema, [one("y", [1], [7.0])])
    unnamed = read({"inputs": [{"type": "tensor", "tensor-spec": spec}]})
    assert inputs.read(unnamed, [one("y", [1], [7.0])]).tensors
