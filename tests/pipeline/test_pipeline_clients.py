"""Real clients, and every platform's requests, against packages that are served: a model and its form."""

import http.client
import io
import json
import subprocess
import time
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import grpc
import joblib
import jsonschema
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from sklearn.ensemble import RandomForestClassifier
from tritonclient.utils import InferenceServerException

from engines import free_port
from models import IRIS
from running import wait_for

pytestmark = pytest.mark.network

NAMES = list(IRIS.data.columns)
FLOWERS = IRIS.data.iloc[[0, 75, 149]]
ROWS = FLOWERS.to_numpy()
ROUTINE = """
import time
from typing import Iterator

def count(words: int, pause: float = 0.0) -> Iterator[str]:
    for number in range(words):
        time.sleep(pause)
        yield f"word {number}"
"""


class Served(NamedTuple):
    """Where a package is served, and what its model says of the flowers."""

    port: int
    grpc_port: int
    predictions: list

    def curl(self, path, *arguments, data=None, kind="application/json", status=200):
        """Ask as curl does; return the body, JSON where it is."""
        command = ["curl", "-sS", "--max-time", "30", "-w", "\n%{http_code} %{content_type}", *arguments]
        if data is not None:
            command += ["--data-binary", "@-"] + (["-H", f"content-type: {kind}"] if kind else [])
        sent = data if isinstance(data, bytes) or data is None else json.dumps(data).encode()
        done = subprocess.run(
            [*command, f"http://127.0.0.1:{self.port}{path}"], input=sent, capture_output=True, check=True
        )
        body, _, told = done.stdout.rpartition(b"\n")
        code, _, answered = told.decode().partition(" ")
        assert int(code) == status, (path, code, body[:500])
        return json.loads(body) if answered == "application/json" and body[:1] in b"[{" else body


@contextmanager
def serving(lading, *references, predictions=None):
    port, grpc_port = free_port(), free_port()
    more = ["--grpc-port", grpc_port] if len(references) == 1 else []
    process = lading.start("serve", *references, "--port", port, *more)
    try:
        wait_for(f"http://127.0.0.1:{port}/v2/health/ready", process)
        if more:  # gRPC listens after HTTP
            with grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
                grpc.channel_ready_future(channel).result(60)
        yield Served(port, grpc_port, predictions)
    finally:
        process.terminate()
        process.communicate()
    assert process.returncode == 0


@pytest.fixture(scope="module")
def packages(lading, tmp_path_factory):
    """Serve a forest twice: as it is, and compiled."""
    folder = tmp_path_factory.mktemp("clients")
    model = RandomForestClassifier(5, random_state=0).fit(IRIS.data, IRIS.target)
    joblib.dump(model, folder / "model.joblib")
    FLOWERS.to_csv(folder / "inputs.csv", index=False)
    text = "name: flowers\nmodel: model.joblib\ncompile: {}\nexample: {{inputs: inputs.csv}}\n"
    with ExitStack() as stack:
        served = {}
        for way in ("off", "auto"):
            (folder / "lading.yaml").write_text(text.format(way))
            lading("pack", folder, "-t", f"flowers:{way}", "--no-verify")
            predictions = model.predict(FLOWERS).tolist()
            served[way] = stack.enter_context(serving(lading, f"flowers:{way}", predictions=predictions))
        yield served


@pytest.fixture(scope="module", params=["off", "auto"])
def served(request, packages):
    return packages[request.param]


@pytest.fixture(scope="module")
def counting(lading, tmp_path_factory):
    """Serve a routine that gives its answer in parts."""
    folder = tmp_path_factory.mktemp("counting")
    (folder / "score.py").write_text(ROUTINE)
    spec = "model: .\nentry: score.py:count\nexample: {inputs: {words: 1}}\n"
    (folder / "lading.yaml").write_text(spec)
    lading("pack", folder, "-t", "counting:1", "--no-verify")
    with serving(lading, "counting:1") as served:
        yield served


def triton_input(client, *, binary=None):
    tensor = client.InferInput("flowers", ROWS.shape, "FP64")
    if binary is None:
        tensor.set_data_from_numpy(ROWS)
    else:
        tensor.set_data_from_numpy(ROWS, binary_data=binary)
    return tensor


@pytest.mark.parametrize("coding", [None, "gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
def test_tritons_client_is_answered_over_http(served, binary, coding):
    client = tritonclient.http.InferenceServerClient(f"127.0.0.1:{served.port}")
    try:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("flowers")
        output = client.get_model_metadata("flowers")["outputs"][0]["name"]
        answer = client.infer(
            "flowers",
            [triton_input(tritonclient.http, binary=binary)],
            outputs=[tritonclient.http.InferRequestedOutput(output, binary_data=binary)],
            request_id="7",
            request_compression_algorithm=coding,
            response_compression_algorithm=coding,
        )
        assert answer.as_numpy(output).tolist() == served.predictions
        assert answer.get_response()["id"] == "7"
        columns = []
        for name in NAMES:
            column = tritonclient.http.InferInput(name, [len(FLOWERS)], "FP64")
            columns.append(column.set_data_from_numpy(FLOWERS[name].to_numpy(), binary_data=binary))
        assert client.infer("flowers", columns).as_numpy(output).tolist() == served.predictions
        short = tritonclient.http.InferInput("flowers", [1, 1], "FP64")
        short.set_data_from_numpy(ROWS[:1, :1], binary_data=binary)
        with pytest.raises(InferenceServerException, match="expected 4"):
            client.infer("flowers", [short])
    finally:
        client.close()


def test_tritons_client_is_answered_over_grpc(served):
    with tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{served.grpc_port}") as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("flowers")
        output = client.get_model_metadata("flowers").outputs[0].name
        answer = client.infer("flowers", [triton_input(tritonclient.grpc)], request_id="7")
        assert answer.as_numpy(output).tolist() == served.predictions
        assert answer.get_response().id == "7"
        short = tritonclient.grpc.InferInput("flowers", [1, 1], "FP64")
        short.set_data_from_numpy(ROWS[:1, :1])
        with pytest.raises(InferenceServerException, match="INVALID_ARGUMENT"):
            client.infer("flowers", [short])


def test_grpcs_own_health_probe_is_answered(served):
    with grpc.insecure_channel(f"127.0.0.1:{served.grpc_port}") as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert check(b"", timeout=20) == b"\x08\x01"  # SERVING
        reflection = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
        with pytest.raises(grpc.RpcError) as refused:
            list(reflection(iter([b"\x3a\x00"]), timeout=20))
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_what_kserves_client_sends_is_answered(served):
    """As kserve 0.21's InferenceRESTClient does, which reads `live` and `ready` in the body."""
    rows = ROWS.tolist()
    assert served.curl("/")["status"] == "alive"
    assert served.curl("/v1/models/flowers")["ready"] is True
    assert served.curl("/v1/models")["models"] == ["flowers"]
    answer = served.curl("/v1/models/flowers:predict", data={"instances": rows})
    assert answer == {"predictions": served.predictions}
    served.curl("/v1/models/flowers:explain", data={"instances": rows}, status=501)
    assert served.curl("/v2/health/live")["live"] is True
    assert served.curl("/v2/health/ready")["ready"] is True
    assert served.curl("/v2/models/flowers/ready") == {"name": "flowers", "ready": True}
    tensor = {"name": "x", "shape": [3, 4], "datatype": "FP64", "data": ROWS.ravel().tolist()}
    answer = served.curl("/v2/models/flowers/infer", data={"id": "7", "inputs": [tensor], "parameters": {}})
    assert (answer["id"], answer["outputs"][0]["data"]) == ("7", served.predictions)
    # KServe's first pages had no content type
    answer = served.curl("/v2/models/flowers/infer", data={"inputs": [tensor]}, kind=None)
    assert answer["outputs"][0]["data"] == served.predictions


def test_what_mlflows_scoring_client_sends_is_answered(served):
    """As mlflow 3.17's ScoringServerClient does: a ping, the version, a split frame or a tensor."""
    assert served.curl("/ping") == b"\n"
    assert served.curl("/version").strip()
    split = {"columns": NAMES, "index": [0, 75, 149], "data": ROWS.tolist()}
    for body in ({"dataframe_split": split}, {"inputs": ROWS.tolist()}, {"instances": ROWS.tolist()}):
        assert served.curl("/invocations", data=body) == {"predictions": served.predictions}
    refused = served.curl("/invocations", data={"inputs": [["a"] * 4]}, status=400)
    assert refused["error_code"] == "INVALID_PARAMETER_VALUE"


def test_what_sagemakers_serializers_send_is_answered(served):
    def predict(data, kind, accept=None):
        return served.curl(
            "/invocations", *(["-H", f"accept: {accept}"] if accept else []), data=data, kind=kind
        )

    lines = FLOWERS.to_csv(header=False, index=False).encode()
    assert predict(lines, "text/csv") == {"predictions": served.predictions}
    text = predict(lines, "text/csv", "text/csv").decode()
    assert [int(one) for one in text.split()] == served.predictions
    array = io.BytesIO()
    np.save(array, ROWS)
    answer = predict(array.getvalue(), "application/x-npy", "application/x-npy")
    assert np.load(io.BytesIO(answer)).tolist() == served.predictions
    several = io.BytesIO()
    np.savez(several, ROWS)
    assert predict(several.getvalue(), "application/x-npz") == {"predictions": served.predictions}
    rows = b"\n".join(json.dumps(row).encode() for row in ROWS.tolist())
    assert predict(rows, "application/jsonlines") == {"predictions": served.predictions}
    assert served.curl("/execution-parameters")["BatchStrategy"] == "MULTI_RECORD"


def test_what_azure_sends_is_answered(served):
    split = {"columns": NAMES, "index": [0, 75, 149], "data": ROWS.tolist()}
    for body in ({"input_data": split}, {"input_data": ROWS.tolist()}, {"data": ROWS.tolist()}):
        assert served.curl("/score", data=body) == served.predictions
    for version, root in (("2", "swagger"), ("3", "openapi"), ("3.1", "openapi")):
        document = served.curl(f"/swagger.json?version={version}")
        assert document[root].startswith(version)
        schemas = document.get("definitions") or document["components"]["schemas"]
        described = schemas["ServiceInput"]
        example = described.get("example") or described["examples"][0]
        assert example["input_data"]["columns"] == NAMES
        assert served.curl("/score", data=example) == served.predictions[:1]


def test_what_tensorflow_serving_torchserve_and_vertex_send_is_answered(served):
    rows = ROWS.tolist()
    wrapped = {"predictions": served.predictions}
    state = served.curl("/v1/models/flowers")["model_version_status"][0]
    assert state["state"] == "AVAILABLE"
    path = f"/v1/models/flowers/versions/{state['version']}:predict"
    body = {"signature_name": "serving_default", "instances": rows}
    assert served.curl(path, data=body, kind="application/x-www-form-urlencoded") == wrapped
    assert served.curl("/predictions/flowers", data=rows) == served.predictions
    deployed = "/v1/endpoints/123/deployedModels/456"
    served.curl(deployed)
    assert served.curl(f"{deployed}:predict", data={"instances": rows, "parameters": {}}) == wrapped


def test_what_cogs_clients_send_is_answered(served):
    row = FLOWERS.iloc[2].to_dict()
    assert served.curl("/health-check")["status"] == "READY"
    document = served.curl("/openapi.json")
    assert set(document["components"]["schemas"]["Input"]["properties"]) == set(NAMES)
    done = served.curl("/predictions", data={"input": row})
    answer = {"$ref": "#/components/schemas/PredictionResponse", "components": document["components"]}
    jsonschema.validate(done, answer)
    assert (done["status"], done["output"]) == ("succeeded", served.predictions[2])
    done = served.curl("/predictions/mine", "-X", "PUT", data={"input": row})
    assert (done["id"], done["status"]) == ("mine", "succeeded")
    later = served.curl("/predictions", "-H", "prefer: respond-async", data={"input": row}, status=202)
    assert later["status"] in {"starting", "processing"}
    assert served.curl("/predictions", data={"input": {"x": 1}}, status=422)["detail"]
    served.curl("/predictions/nobody/cancel", "-X", "POST", status=404)


def test_a_long_prediction_is_cancelled_and_another_is_streamed(counting):
    document = {"input": {"words": 1000, "pause": 0.05}}
    counting.curl("/predictions/long", "-X", "PUT", "-H", "prefer: respond-async", data=document, status=202)
    counting.curl("/predictions/long/cancel", "-X", "POST")
    deadline_s = time.monotonic() + 20
    while counting.curl("/health-check")["status"] != "READY":
        assert time.monotonic() < deadline_s
    events = counting.curl(
        "/predictions", "-H", "accept: text/event-stream", data={"input": {"words": 2}}
    ).decode()
    assert [one for one in events.splitlines() if one.startswith("event:")] == [
        "event: start", "event: output", "event: output", "event: completed",
    ]  # fmt: skip
    streamed = counting.curl("/invocations", "-H", "accept: text/event-stream", data={"words": 2}).decode()
    assert "word 1" in streamed


def ids(served, path, *arguments):
    """Return the names that an answer has in its headers."""
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    sent = ["-H", "x-request-id: mine", "-H", f"traceparent: {parent}"]
    head = served.curl(path, "-D", "-", "-o", "/dev/null", *sent, *arguments).decode().lower()
    headers = dict(line.split(": ", 1) for line in head.splitlines()[1:] if ": " in line)
    return headers["x-request-id"], headers["traceparent"].split("-")[1] == parent.split("-")[1]


def test_several_packages_behind_one_address_are_asked_as_one_is(lading, packages, counting):
    with serving(lading, "flowers:auto", "counting:1", predictions=packages["auto"].predictions) as served:
        check_large_bodies(served)
        for path in ("/v2/models/flowers", "/v2/health/ready", "/metrics"):
            assert ids(served, path) == ("mine", True), path
        refused = served.curl("/v2/models/nobody", "-D", "-", status=404)
        assert b"x-request-id: " in refused
        check_streams(served)


def check_large_bodies(served):
    """Ask for a hundred thousand rows in binary; nothing is lost on the way, compressed or not."""
    client = tritonclient.http.InferenceServerClient(f"127.0.0.1:{served.port}")
    try:
        rows = np.tile(ROWS, (20_000, 1))
        tensor = tritonclient.http.InferInput("flowers", rows.shape, "FP64").set_data_from_numpy(rows)
        for coding in (None, "gzip"):
            answer = client.infer("flowers", [tensor], request_compression_algorithm=coding)
            output = answer.get_response()["outputs"][0]["name"]
            assert answer.as_numpy(output).tolist() == served.predictions * 20_000
    finally:
        client.close()


def check_streams(served):
    """Read a stream as it comes, and leave it: the package's server is told."""
    path = "/models/counting/predictions"
    headers = {"accept": "text/event-stream", "content-type": "application/json"}
    body = json.dumps({"id": "left", "input": {"words": 100_000, "pause": 0.05}})
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    connection.request("POST", path, body, headers)
    response = connection.getresponse()
    lines = [response.readline() for _ in range(9)]
    assert lines[::3][:3] == [b"event: start\n", b"event: output\n", b"event: output\n"]
    served.curl(path, data={"id": "left", "input": {"words": 1}}, status=409)  # it is running
    response.close()
    connection.close()
    ended = b'lading_requests_total{route="/predictions",status="200"} 1'
    deadline_s = time.monotonic() + 20
    while ended not in served.curl("/models/counting/metrics"):
        assert time.monotonic() < deadline_s


def test_the_routes_and_port_of_a_platforms_variables_are_honoured(lading, packages):
    port = free_port()
    variables = ["AIP_HEALTH_ROUTE=/alive", "AIP_PREDICT_ROUTE=/ask", "AIP_STORAGE_URI="]
    options = [word for one in variables for word in ("--env", one)]
    process = lading.start(
        "run", "flowers:auto", "--engine", "sandbox", "--publish", f"127.0.0.1:{port}:8080", *options
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/alive", process)
        served = packages["auto"]._replace(port=port)
        answer = served.curl("/ask", data={"instances": ROWS.tolist()})
        assert answer == {"predictions": served.predictions}
    finally:
        process.terminate()
        process.communicate()
