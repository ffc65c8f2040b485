"""What a model is called: as whoever serves it says, everywhere; and as the package calls itself."""

import json
import tempfile
from pathlib import Path

import pytest
import tritonclient.grpc

ENVIRON = {"LADING_SERVED_NAME": "flowers", "LADING_SERVED_VERSION": "7", "LADING_INFERENCE_LOG": "-"}
STRICT = {"LADING_STRICT_MODEL_NAME": "1", "LADING_LOG_FORMAT": "json"}
ROW = [5.1, 3.5, 1.4, 0.2]


@pytest.fixture(scope="module")
def socket():
    with tempfile.TemporaryDirectory(prefix="lading-", dir="/tmp") as folder:
        yield str(Path(folder) / "g")


@pytest.fixture(scope="module")
def served(serve, bare_model, socket):
    with serve(bare_model, environ={**ENVIRON, **STRICT, "LADING_GRPC_UDS": socket}) as one:
        yield one


def test_every_answer_bears_the_name_that_it_is_served_under(served):
    told = json.loads(served.get("/v2/models/flowers/versions/7")[1])
    assert (told["name"], told["versions"]) == ("flowers", ["7"])
    (entry,) = json.loads(served.ask("POST", "/v2/repository/index")[1])
    assert (entry["name"], entry["version"]) == ("flowers", "7")
    tensor = {"name": "x", "datatype": "FP64", "shape": [1, 4], "data": ROW}
    status, answer = served.post({"inputs": [tensor]}, "/v2/models/flowers/infer")
    assert (status, answer["model_name"], answer["model_version"]) == (200, "flowers", "7")
    assert served.post({"instances": [ROW]}, "/v1/models/flowers:predict")[0] == 200
    assert json.loads(served.get("/v1/models")[1])["models"] == ["flowers"]
    info = json.loads(served.get("/openapi.json")[1])["info"]
    assert (info["title"], info["version"]) == ("flowers", "7")
    assert 'lading_build_info{name="flowers",version="7"' in served.get("/metrics")[1].decode()
    served.await_log('"outputs"')
    lines = [json.loads(line) for line in served.log.splitlines() if line.startswith("{")]
    assert {(line["model"], line["version"]) for line in lines} == {("flowers", "7")}


def test_a_package_answers_to_its_own_name_too(served):
    for path in ("iris", "iris/versions/1", "flowers/versions/7", "iris/versions/7"):
        assert served.get(f"/v2/models/{path}/ready")[0] == 200, path
    for path in ("roses", "flowers/versions/2", "flowers/versions/1", "iris/versions/2"):
        assert served.get(f"/v2/models/{path}/ready")[0] == 404, path


def test_grpc_on_a_unix_socket_knows_the_same_names(served, socket):
    served.await_log("gRPC listens on")
    with tritonclient.grpc.InferenceServerClient(f"unix:{socket}") as client:
        assert client.get_model_metadata("flowers").versions == ["7"]
        assert client.is_model_ready("iris", "1")
        assert [one.name for one in client.get_model_repository_index().models] == ["flowers"]


@pytest.mark.parametrize(
    ("prefix", "servers"),
    [
        ("/models/a", [{"url": "/models/a"}]),
        ("/x/", [{"url": "/x"}]),
        ("", None),
        ("//evil.example", None),
        ("/a\"'<b>", None),
    ],
)
def test_behind_a_proxy_the_document_says_where_its_routes_begin(served, prefix, servers):
    _, body, _ = served.ask("GET", "/openapi.json", headers={"x-forwarded-prefix": prefix})
    assert json.loads(body).get("servers") == servers
