"""KServe's first protocol, as its clients speak it, and its CloudEvents, as their own library writes them."""

import base64
import json

import pytest
from cloudevents.conversion import to_binary, to_structured
from cloudevents.http import CloudEvent, from_http

PREDICT = "/v1/models/iris:predict"
ROW = [5.1, 3.5, 1.4, 0.2]
EVENT = {"type": "org.example.rows", "source": "/clients/1"}


def test_the_list_of_models_is_kserves_and_openais(iris_server):
    status, body, _ = iris_server.get("/v1/models")
    document = json.loads(body)
    assert status == 200
    assert document["models"] == ["iris"]
    assert (document["object"], document["data"][0]["id"], document["data"][0]["object"]) == (
        "list",
        "iris",
        "model",
    )


@pytest.mark.parametrize("path", ["/v1/models/any-name", "/v1/models/any-name/versions/1"])
def test_a_model_is_ready_for_kserves_client_and_tensorflows(iris_server, path):
    status, body, _ = iris_server.get(path)
    document = json.loads(body)
    assert status == 200
    assert (document["name"], document["ready"]) == ("any-name", True)
    assert document["model_version_status"] == [
        {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    ]


def test_another_version_is_not_found(iris_server):
    assert iris_server.get("/v1/models/iris/versions/7")[0] == 404
    assert iris_server.post({"instances": [ROW]}, "/v1/models/iris/versions/7:predict")[0] == 404


def test_the_root_says_alive_as_kserves_client_asks(iris_server):
    assert json.loads(iris_server.get("/")[1])["status"].lower() == "alive"


@pytest.mark.parametrize("path", [PREDICT, "/v1/models/a%20b:predict", "/v1/models/m/versions/1:predict"])
def test_rows_are_predicted_one_for_one(iris_server, named_model, iris, path):
    expected = named_model.predict(iris).tolist()
    assert iris_server.post({"instances": iris.to_numpy().tolist()}, path) == (200, {"predictions": expected})


def test_rows_may_be_objects_and_the_key_inputs(iris_server, named_model, iris):
    expected = (200, {"predictions": named_model.predict(iris).tolist()})
    assert iris_server.post({"instances": iris.to_dict(orient="records")}, PREDICT) == expected
    assert iris_server.post({"inputs": iris.to_numpy().tolist()}, PREDICT) == expected


@pytest.mark.parametrize(
    "content_type",
    [None, "application/x-www-form-urlencoded", "application/octet-stream", "application/ld+json"],
)
def test_a_body_is_json_whatever_it_is_said_to_be(iris_server, content_type):
    headers = {"content-type": content_type} if content_type else {}
    status, body, _ = iris_server.ask("POST", PREDICT, json.dumps({"instances": [ROW]}), headers)
    assert (status, json.loads(body)) == (200, {"predictions": [0]})


@pytest.mark.parametrize(
    "document",
    [{}, {"instances": 1}, {"instances": [[1, 2]]}, {"instances": [], "data": []}, [ROW], "x", {"rows": []}],
)
def test_another_body_is_refused_with_an_error_that_is_a_string(iris_server, document):
    status, answer = iris_server.post(document, PREDICT)
    assert status == 400
    assert isinstance(answer["error"], str)


def test_there_is_no_explainer(iris_server):
    status, answer = iris_server.post({"instances": [ROW]}, "/v1/models/iris:explain")
    assert status == 501
    assert "explainer" in answer["error"]


def test_a_routine_is_given_the_body_and_may_write_the_wrapper_itself(echo_server):
    assert echo_server.post({"instances": [1, 2]}, PREDICT) == (200, {"predictions": {"instances": [1, 2]}})
    body = {"model": "a", "predictions": [3]}
    assert echo_server.post(body, PREDICT) == (200, body)


@pytest.mark.parametrize("write", [to_binary, to_structured])
def test_an_event_is_answered_with_an_event_of_its_kind(iris_server, write):
    headers, body = write(CloudEvent(EVENT, {"instances": [ROW]}))
    headers.setdefault("content-type", "application/json")
    status, answer, answer_headers = iris_server.ask("POST", PREDICT, body, headers)
    event = from_http(answer_headers, answer)
    assert (status, event.data) == (200, {"predictions": [0]})
    assert event["type"] == "io.kserve.inference.response"
    assert event["source"] == "io.kserve.inference.iris"
    assert ("ce-id" in answer_headers) == (write is to_binary)


def test_an_events_data_may_be_base64(iris_server):
    data = base64.b64encode(json.dumps({"instances": [ROW]}).encode()).decode()
    event = {"specversion": "1.0", "id": "1", **EVENT, "data_base64": data}
    headers = {"content-type": "application/cloudevents+json; charset=utf-8"}
    status, body, _ = iris_server.ask("POST", PREDICT, json.dumps(event), headers)
    assert (status, json.loads(body)["data"]) == (200, {"predictions": [0]})


def test_an_events_data_may_be_csv(iris_server):
    text = ",".join(map(str, ROW))
    event = {"specversion": "1.0", "id": "1", **EVENT, "datacontenttype": "text/csv", "data": text}
    headers = {"content-type": "application/cloudevents+json"}
    status, body, _ = iris_server.ask("POST", PREDICT, json.dumps(event), headers)
    assert (status, json.loads(body)["data"]) == (200, {"predictions": [0]})
    attributes = {f"ce-{name}": value for name, value in {"specversion": "1.0", "id": "1", **EVENT}.items()}
    status, body, _ = iris_server.ask("POST", PREDICT, text, {**attributes, "content-type": "text/csv"})
    assert (status, json.loads(body)) == (200, {"predictions": [0]})


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"content-type": "application/cloudevents+json"}, '{"specversion": "1.0", "data": {}}', 400),
        ({"content-type": "application/cloudevents+json"}, "[]", 400),
        ({"ce-specversion": "9", "ce-id": "1", "ce-type": "t", "ce-source": "s"}, "{}", 400),
        ({"ce-specversion": "1.0", "ce-id": "1", "ce-type": "t", "ce-source": "s"}, "", 400),
        ({"content-type": "application/cloudevents-batch+json"}, "[]", 415),
        ({"ce-specversion": "1.0", "ce-id": "1"}, "{}", 400),
        ({"ce-specversion": "1.0", "ce-id": "1", "ce-type": "t", "ce-source": "s"}, "{", 400),
    ],
)
def test_an_event_that_is_none_is_refused(iris_server, headers, body, status):
    assert iris_server.ask("POST", PREDICT, body, headers)[0] == status


def test_a_routine_is_given_an_events_data(echo_server):
    headers, body = to_structured(CloudEvent(EVENT, {"text": "a"}))
    answer = json.loads(echo_server.ask("POST", PREDICT, body, headers)[1])
    assert answer["data"] == {"predictions": {"text": "a"}}
