"""Azure ML's `/score`, as `az ml online-endpoint invoke` and azureml-inference-server-http have it."""

import json
import re

import pytest

from lading_runtime.front import cors
from lading_runtime.front.messages import Request

ROW = [5.1, 3.5, 1.4, 0.2]
FORM = {"content-type": "application/x-www-form-urlencoded"}


def bodies(iris):
    rows = iris.to_numpy().tolist()
    split = {"columns": list(iris.columns), "index": list(range(len(rows))), "data": rows}
    return {
        "a split frame": {"input_data": split},
        "rows": {"input_data": rows},
        "records": {"input_data": iris.to_dict(orient="records")},
        "columns": {"input_data": iris.to_dict(orient="list")},
        "data": {"data": rows},
        "data of records": {"data": iris.to_dict(orient="records")},
        "a bare list": rows,
        "a bare list of records": iris.to_dict(orient="records"),
        "MLflow's own": {"dataframe_split": split},
        "instances": {"instances": rows, "params": {"unknown": 1}},
    }


def test_every_form_is_answered_with_bare_predictions(iris_server, named_model, iris):
    expected = (200, named_model.predict(iris).tolist())
    answers = {name: iris_server.post(body, "/score") for name, body in bodies(iris).items()}
    assert answers == dict.fromkeys(answers, expected)


def test_a_body_is_json_whatever_it_is_said_to_be(iris_server):
    status, body, headers = iris_server.ask("POST", "/score", json.dumps([ROW]), FORM)
    assert (status, body) == (200, b"[0]")
    assert float(headers["x-ms-run-fn-exec-ms"]) >= 0
    assert headers["x-ms-run-function-failed"] == "False"


def test_a_bare_list_is_taken_by_no_other_route(iris_server):
    assert iris_server.post([ROW])[0] == 400


@pytest.mark.parametrize("body", ['{"x": 1}', '{"data": [], "input_data": []}', "1", "{", ""])
def test_another_body_is_refused_with_a_message(iris_server, body):
    status, answer, headers = iris_server.ask("POST", "/score", body)
    assert status == 400
    assert json.loads(answer)["message"]
    assert headers["x-ms-run-function-failed"] == "False"


def test_a_routine_is_given_the_body_and_its_result_is_the_answer(echo_server):
    assert echo_server.post({"data": [1, 2]}, "/score") == (200, {"data": [1, 2]})


def test_a_routine_is_given_a_query_as_an_object(echo_server):
    status, body, _ = echo_server.get("/score?a=1&b=[1,2]&c=x&c=y")
    assert (status, json.loads(body)) == (200, {"a": 1, "b": [1, 2], "c": ["x", "y"]})


def test_a_routine_that_raises_is_said_to_have_failed(serve):
    with serve(entry="r.py", files={"r.py": "def run(data):\n    raise RuntimeError('no')\n"}) as served:
        status, _, headers = served.ask("POST", "/score", b"{}")
    assert (status, headers["x-ms-run-function-failed"]) == (500, "True")


@pytest.mark.parametrize(
    ("sent", "back"),
    [
        ({"x-ms-request-id": "a"}, {"x-ms-request-id": "a", "x-ms-client-request-id": "a"}),
        ({"x-ms-client-request-id": "b"}, {"x-ms-request-id": "b", "x-ms-client-request-id": "b"}),
        ({"x-request-id": "c"}, {"x-ms-request-id": "c", "x-ms-client-request-id": None}),
        ({"TraceId": "d"}, {"traceid": "d"}),
    ],
)
def test_ids_come_back_as_azures_server_returns_them(echo_server, sent, back):
    headers = echo_server.ask("POST", "/score", b"{}", sent)[2]
    assert {name: headers.get(name) for name in back} == back


@pytest.mark.parametrize("name", ["x-request-id", "x-ms-request-id", "x-ms-client-request-id"])
def test_an_id_that_is_too_long_is_refused(echo_server, name):
    status, body, _ = echo_server.ask("POST", "/score", b"{}", {name: "a" * 101})
    names = name if name == "x-request-id" else "x-ms-request-id and x-ms-client-request-id"
    assert (status, json.loads(body)) == (431, {"message": f"{names} must not exceed 100 characters"})
    assert echo_server.ask("POST", "/score", b"{}", {name: "a" * 100})[0] == 200


@pytest.mark.parametrize(
    ("query", "key", "version"),
    [
        ("", "swagger", "2.0"),
        ("?version=2", "swagger", "2.0"),
        ("?version=3", "openapi", "3.0.3"),
        ("?version=3.1", "openapi", "3.1.0"),
    ],
)
def test_the_swagger_document_comes_in_three_versions(iris_server, query, key, version):
    status, body, _ = iris_server.get(f"/swagger.json{query}")
    document = json.loads(body)
    assert (status, document[key]) == (200, version)
    assert "/score" in document["paths"]


def service_input(served, version, place):
    document = json.loads(served.get(f"/swagger.json?version={version}")[1])
    schemas = document[place] if place == "definitions" else document[place]["schemas"]
    for name in re.findall(r'"#/(?:definitions|components/schemas)/([^"]+)"', json.dumps(document)):
        assert name in schemas
    return schemas["ServiceInput"]


@pytest.mark.parametrize(
    ("version", "place"), [("2", "definitions"), ("3", "components"), ("3.1", "components")]
)
def test_the_swagger_document_has_the_models_own_columns_and_an_example_that_is_answered(
    iris_server, iris, version, place
):
    described = service_input(iris_server, version, place)
    frame = described["properties"]["input_data"]
    assert frame["format"] == "pandas.DataFrame:split"
    columns = frame["properties"]["columns"]
    names = list(iris.columns)
    assert columns.get("const", columns.get("enum", [None])[0]) in (names, names[0])
    example = described["examples"][0] if version == "3.1" else described["example"]
    assert example["input_data"]["columns"] == names
    assert iris_server.post(example, "/score")[0] == 200
    text = json.dumps(described)
    newer = ('"const"', '"examples"', '"prefixItems"', '["number", "null"]', '"oneOf"')
    assert any(one in text for one in newer) == (version == "3.1")


def test_a_typed_routines_parameters_are_in_the_swagger_document(serve):
    code = """
        import dataclasses
        from typing import Optional, Union

        @dataclasses.dataclass
        class Point:
            x: float
            note: Optional[str] = None

        def run(points: list[Point], way: Union[int, str] = 3) -> int:
            return len(points)
    """
    with serve(entry="score.py:run", files={"score.py": code}) as served:
        old = service_input(served, "2", "definitions")
        newer = service_input(served, "3", "components")
        document = json.loads(served.get("/swagger.json")[1])
    assert old["properties"]["points"]["items"] == {"$ref": "#/definitions/Routine.Point"}
    note = document["definitions"]["Routine.Point"]["properties"]["note"]
    assert note == {"type": "string", "x-nullable": True, "default": None}
    assert old["properties"]["way"] == {"type": "integer", "default": 3}
    assert [one["type"] for one in newer["properties"]["way"]["anyOf"]] == ["integer", "string"]
    assert document["definitions"]["ServiceOutput"] == {"type": "integer"}


def test_there_is_no_other_version_of_swagger(iris_server):
    status, body, _ = iris_server.get("/swagger.json?version=9")
    expected = "Swagger version [9] is not valid. Supported versions: [2, 3, 3.1]."
    assert (status, json.loads(body)["message"]) == (404, expected)


def test_options_are_answered(iris_server):
    assert iris_server.ask("OPTIONS", "/score")[:2] == (200, b"")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "POST body is empty. Expecting a JSON dictionary."),
        (b"1", "POST body should be a JSON dictionary."),
        (b'{"x": 1}', "A value is not provided for the 'input_data' parameter."),
        (
            b"{",
            "POST body could not be decoded as JSON: Expecting property name enclosed in double quotes: "  # noqa: ISC004
            "line 1 column 2 (char 1)",
        ),
    ],
)
def test_a_model_without_a_script_refuses_in_the_words_of_azures(iris_server, body, message):
    status, answer, _ = iris_server.ask("POST", "/score", body, {"content-type": "application/json"})
    assert (status, json.loads(answer)) == (400, {"message": message})


def test_what_does_not_fit_is_refused_by_column_and_row(iris_server, iris):
    split = {"columns": list(iris.columns), "index": [0, 1], "data": [[1, 2, 3, 4], [1, 2, 3, "x"]]}
    status, answer, headers = iris_server.ask("POST", "/score", json.dumps({"input_data": split}))
    assert (status, headers["x-ms-run-function-failed"]) == (400, "False")
    assert "row 1" in json.loads(answer)["message"]


def test_where_init_finds_no_file_the_log_says_which_there_are(serve):
    code = """
        import os
        def init():
            open(os.environ["AZUREML_MODEL_DIR"] + "/elsewhere/model.pkl")
        def run(raw_data): ...
    """
    with serve(b"", entry="score.py", files={"score.py": code}, ready=False) as served:
        assert served.process.wait(20) == 3
        assert "has 1 files:\n./model.pkl" in served.log


HANDED_ON = """
    from azureml.contrib.services.aml_response import AMLResponse

    def init(): ...

    def run(raw_data):
        if raw_data == "status":
            return AMLResponse("x", 99)
        if raw_data == "name":
            return AMLResponse("x", 200, {"X-A: b\\r\\nX": "c"})
        others = {"Transfer-Encoding": "chunked", "Content-Length": "7", "X-Own": "é"}
        return AMLResponse("x", "404 NOT FOUND", others)
"""


def test_a_response_says_nothing_of_how_it_is_sent(serve):
    with serve(entry="score.py", files={"score.py": HANDED_ON}) as served:
        status, body, headers = served.ask("POST", "/score", b"")
        assert (status, body, headers["content-length"], headers["x-own"]) == (404, b"x", "1", "é")
        assert "transfer-encoding" not in headers
        assert [served.ask("POST", "/score", one)[0] for one in (b"status", b"name")] == [500, 500]


DRIVEN = {
    "score.py": """
        import logging
        import main as driver_module

        def init():
            logging.getLogger("mine").info("init has begun")
            driver_module.begun = True

        def run(data):
            raise RuntimeError("the driver's is not called")
    """,
    "main.py": """
        import os
        from helper import SHOUT

        def run(anything: dict, request_headers: dict):
            root = os.environ["AML_APP_ROOT"]
            return [begun, type(anything).__name__, request_headers["x-of-mine"], SHOUT, root]
    """,
    "lib/helper.py": "SHOUT = 'a'",
    "swagger3.json": '{"openapi": "3.0.0", "info": {"title": "my own"}}',
}  # fmt: skip


def test_a_package_in_azures_words_is_served_as_there(serve):
    environ = {"AZUREML_ENTRY_SCRIPT": "score.py", "AZUREML_SOURCE_DIRECTORY": "lib"}
    with serve(entry="score.py", files=DRIVEN, environ=environ) as served:
        root = str(served.log_path.parent / "code")
        status, body, _ = served.ask("POST", "/score", b"{}", {"X-Of-Mine": "b"})
        assert (status, json.loads(body)) == (200, [True, "str", "b", "a", root])
        assert served.get("/")[:2] == (200, b"Healthy")
        assert json.loads(served.get("/swagger.json?version=3")[1])["info"]["title"] == "my own"
        assert json.loads(served.get("/swagger.json")[1])["swagger"] == "2.0"
        assert re.search(r"\d I \[\d+\] mine - init has begun", served.log)


def test_a_run_that_reads_json_itself_is_given_text(serve):
    code = """
        import json
        def run(data):
            return json.loads(data)["data"]
    """
    with serve(entry="score.py", files={"score.py": code}) as served:
        assert served.post({"data": [1]}, "/score") == (200, [1])
        assert served.post(b'{"data"', "/score")[0] == 400


def test_the_answer_to_a_run_that_takes_too_long_elsewhere_is_504(serve):
    code = "import time\ndef run(data):\n    time.sleep(data)\n    return 'done'\n"
    with serve(entry="score.py", files={"score.py": code}, environ={"SCORING_TIMEOUT_MS": "200"}) as served:
        pid = served.worker_pid()
        assert served.post(20)[0] == 504
        assert served.predictions(0.01) == "done"
        assert served.worker_pid() == pid, "it was interrupted, not ended"


@pytest.mark.parametrize(
    ("origins", "origin", "allowed", "vary"),
    [
        ("*", "https://a.example", "https://a.example", "Origin"),
        ("*", None, "*", None),
        ("https://a.example", "HTTPS://A.EXAMPLE", "HTTPS://A.EXAMPLE", None),
        ("https://a.example", None, "https://a.example", None),
        ("https://a.example", "https://a.example.evil", None, None),
        (r"https://.*\.a\.example$", "https://b.a.example", "https://b.a.example", "Origin"),
        (r"https://.*\.a\.example$", "https://b.a.example.evil", None, None),
        (r"https://.*\.a\.example$", None, None, None),
        ("https://b.example,https://a.example", None, "https://a.example", "Origin"),
    ],
)
def test_origins_are_matched_as_flask_cors_matches_them(origins, origin, allowed, vary):
    given = {b"origin": origin.encode()} if origin else {}
    found = cors.read({"AML_CORS_ORIGINS": origins}).headers(Request(given, b""))
    assert (found.get("access-control-allow-origin"), found.get("vary")) == (allowed, vary)
