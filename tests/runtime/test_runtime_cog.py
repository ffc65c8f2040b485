"""Cog's contract, as its clients and Replicate's director speak it (docs/http.md of replicate/cog)."""

import base64
import http.server
import json
import threading
import time

import pytest

from lading_runtime.front import webhooks

ROW = {
    "sepal length (cm)": 5.1,
    "sepal width (cm)": 3.5,
    "petal length (cm)": 1.4,
    "petal width (cm)": 0.2,
}
ASYNC = {"content-type": "application/json", "prefer": "respond-async"}
ROUTINE = """
    import time

    def run(data):
        if data.get("raise"):
            raise RuntimeError("out of paper")
        time.sleep(data.get("sleep", 0))
        return {"seen": data}
"""


@pytest.fixture(scope="module")
def routine(serve):
    environ = {"LADING_WORKERS": "1", "LADING_QUEUE_LENGTH": "2", "no_proxy": "127.0.0.1"}
    with serve(entry="r.py", files={"r.py": ROUTINE}, environ=environ) as served:
        yield served


@pytest.fixture
def listener():
    """A server that takes webhooks: what it has `seen`, and the `statuses` that it answers with, then 200."""
    seen, statuses = [], []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            seen.append(json.loads(body))
            self.send_response(statuses.pop(0) if statuses else 200)
            self.send_header("content-length", "0")
            self.send_header("location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    server.seen, server.statuses = seen, statuses
    server.url = f"http://127.0.0.1:{server.server_port}/hook"
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def until(condition, timeout_s=20):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def put(served, identity, document, headers=ASYNC):
    status, body, _ = served.ask("PUT", f"/predictions/{identity}", json.dumps(document), headers)
    return status, json.loads(body)


def test_a_row_is_predicted_with_all_that_cog_says_of_it(iris_server):
    status, answer = iris_server.post({"input": ROW}, "/predictions")
    assert (status, answer["status"], answer["output"], answer["error"]) == (200, "succeeded", 0, None)
    assert answer["input"] == ROW
    assert answer["metrics"]["predict_time"] > 0
    assert answer["created_at"] <= answer["started_at"] <= answer["completed_at"]


def test_an_input_may_be_columns_or_rows_too(iris_server):
    for given in (
        {name: [value, value] for name, value in ROW.items()},
        {"instances": [list(ROW.values())] * 2},
        {"dataframe_records": [ROW, ROW]},
    ):
        assert iris_server.post({"input": given}, "/predictions")[1]["output"] == [0, 0]


def test_a_routine_is_given_the_input_alone(routine):
    answer = routine.post({"input": {"a": 1}, "id": "x"}, "/predictions")[1]
    assert (answer["id"], answer["output"]) == ("x", {"seen": {"a": 1}})


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ([], ["body"]),
        ({"input": 1}, ["body", "input"]),
        ({"input": {}, "id": 1}, ["body", "id"]),
        ({"input": {}, "webhook": "file:///etc/passwd"}, ["body", "webhook"]),
        (
            {"input": {}, "webhook": "http://x/", "webhook_events_filter": ["a"]},
            ["body", "webhook_events_filter"],
        ),
        ({"input": {**ROW, "petal width (cm)": "x"}}, ["body", "input"]),
        ({"input": {"a": 1}}, ["body", "input"]),
    ],
)
def test_what_does_not_fit_is_422_with_a_detail(iris_server, document, where):
    status, answer = iris_server.post(document, "/predictions")
    assert (status, answer["detail"][0]["loc"]) == (422, where)
    assert answer["detail"][0]["msg"] == answer["error"]


def test_a_body_that_is_no_json_is_422(iris_server):
    assert iris_server.post(b"{", "/predictions")[0] == 422


def test_what_the_model_raises_is_200_and_failed(routine):
    status, answer = routine.post({"input": {"raise": True}}, "/predictions")
    assert (status, answer["status"], answer["output"]) == (200, "failed", None)
    assert "out of paper" in answer["error"]


def test_a_path_and_a_body_that_disagree_of_the_id_are_422(routine):
    assert put(routine, "a", {"id": "b", "input": {}})[0] == 422


def test_an_id_runs_once_and_who_asks_again_is_told_of_the_same(routine):
    status, answer = put(routine, "once", {"input": {"sleep": 0.4}})
    assert (status, answer["id"], answer["status"]) == (202, "once", "starting")
    assert put(routine, "once", {"input": {"sleep": 0.4}})[0] == 202
    assert routine.post({"input": {}, "id": "once"}, "/predictions")[0] == 409
    status, again = put(routine, "once", {"input": {}}, {})
    assert (status, again["status"], again["output"]) == (200, "succeeded", {"seen": {"sleep": 0.4}})
    assert again["created_at"] == answer["created_at"]


def test_a_running_prediction_can_be_canceled_and_no_other(routine):
    put(routine, "long", {"input": {"sleep": 0.3}})
    put(routine, "next", {"input": {"sleep": 0.3}})
    assert routine.ask("POST", "/predictions/next/cancel")[0] == 200
    until(lambda: routine.ask("POST", "/predictions/next/cancel")[0] == 404)
    assert routine.ask("POST", "/predictions/none/cancel")[0] == 404
    until(lambda: routine.ask("POST", "/predictions/long/cancel")[0] == 404)


def test_more_than_may_run_are_409_and_the_health_check_says_busy(routine):
    statuses = [put(routine, f"many{number}", {"input": {"sleep": 0.2}})[0] for number in range(5)]
    assert (statuses[0], statuses[-1], set(statuses)) == (202, 409, {202, 409})
    assert json.loads(routine.get("/health-check")[1])["status"] == "BUSY"
    until(lambda: json.loads(routine.get("/health-check")[1])["status"] == "READY")


def test_a_webhook_is_told_in_order(routine, listener):
    document = {"input": {"a": 1}, "webhook": listener.url}
    assert routine.ask("POST", "/predictions", json.dumps(document), ASYNC)[0] == 202
    until(lambda: len(listener.seen) == 3)
    assert [one["status"] for one in listener.seen] == ["starting", "processing", "succeeded"]
    assert [one["output"] for one in listener.seen] == [None, {"seen": {"a": 1}}, {"seen": {"a": 1}}]
    assert len({one["id"] for one in listener.seen}) == 1


def test_a_webhook_is_told_what_it_asks_for_and_again_until_it_takes_it(routine, listener):
    listener.statuses += [500, 429]
    document = {"input": {"raise": 1}, "webhook": listener.url, "webhook_events_filter": ["completed"]}
    assert routine.post(document, "/predictions")[1]["status"] == "failed"
    until(lambda: len(listener.seen) == 3)
    assert {one["status"] for one in listener.seen} == {"failed"}


def test_a_webhook_that_points_elsewhere_is_not_followed(routine, listener):
    listener.statuses += [302]
    document = {"input": {}, "webhook": listener.url, "webhook_events_filter": ["completed"]}
    routine.post(document, "/predictions")
    until(lambda: listener.seen)
    routine.post({**document, "webhook_events_filter": ["start"]}, "/predictions")
    until(lambda: len(listener.seen) == 2)
    assert [one["status"] for one in listener.seen] == ["succeeded", "starting"]


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a/",
        "file:///a",
        "http://",
        "//a/b",
        "http://a:x/",
        "http://a\n/",
        "gopher://a",
        "a",
        1,
        None,
        {},
    ],
)
def test_what_is_no_url_of_http_is_refused(url):
    with pytest.raises(ValueError, match=r"expected|[Pp]ort"):
        webhooks.check(url)


def test_the_health_check_is_always_200(iris_server):
    status, body, _ = iris_server.get("/health-check")
    document = json.loads(body)
    assert (status, document["status"], document["setup"]["status"]) == (200, "READY", "succeeded")
    assert document["setup"]["started_at"] <= document["setup"]["completed_at"]


def test_the_health_check_says_that_the_model_is_loading(serve):
    text = "import time\ndef init():\n    time.sleep(30)\ndef run(data):\n    return data\n"
    with serve(
        entry="r.py", files={"r.py": text}, environ={"LADING_BIND_AFTER_S": "0"}, ready=False
    ) as served:
        served.await_log("listening")
        status, body, _ = served.get("/health-check")
        assert (status, json.loads(body)["status"]) == (200, "STARTING")
        assert served.post({"input": {}}, "/predictions")[0] == 503


def test_the_root_says_where_everything_is(iris_server):
    document = json.loads(iris_server.get("/")[1])
    assert document["predictions_url"] == "/predictions"
    assert document["healthcheck_url"] == "/health-check"
    assert document["predictions_cancel_url"] == "/predictions/{prediction_id}/cancel"


def test_a_stream_of_events_is_not_acceptable_to_a_model_that_gives_none(iris_server):
    headers = {"content-type": "application/json", "accept": "text/event-stream"}
    assert iris_server.ask("POST", "/predictions", json.dumps({"input": ROW}), headers)[0] == 406


@pytest.mark.parametrize("path", ["/predictions/any", "/predictions/any/1"])
def test_torchserves_route_takes_any_body_and_answers_with_bare_predictions(iris_server, path):
    assert iris_server.post([list(ROW.values())], path) == (200, [0])
    assert iris_server.post({"instances": [ROW]}, path) == (200, [0])


def test_nobody_ends_the_server_unless_the_settings_allow_it(iris_server, serve):
    assert iris_server.ask("POST", "/shutdown")[0] == 404
    environ = {"LADING_COG_SHUTDOWN": "1", "LADING_WEBHOOKS": "0"}
    with serve(entry="r.py", files={"r.py": ROUTINE}, environ=environ) as served:
        document = {"input": {}, "webhook": "http://localhost/"}
        assert served.post(document, "/predictions")[0] == 422
        assert served.ask("POST", "/shutdown")[0] == 200
        assert served.process.wait(15) == 0


STREAM = """
    import time
    from typing import Iterator

    def predict(words: int, pause: float = 0.0) -> Iterator[str]:
        for number in range(words):
            time.sleep(pause)
            yield f"word {number}"
        if words > 3:
            raise RuntimeError("out of words")
"""


@pytest.fixture(scope="module")
def generator(serve):
    environ = {"LADING_WORKERS": "1", "no_proxy": "127.0.0.1"}
    with serve(entry="s.py:predict", files={"s.py": STREAM}, environ=environ) as served:
        yield served


def events(served, method, path, given):
    headers = {"content-type": "application/json", "accept": "text/event-stream"}
    status, body, answered = served.ask(method, path, json.dumps({"input": given}), headers)
    assert (status, answered["content-type"]) == (200, "text/event-stream")
    pairs = [one.split("\ndata: ") for one in body.decode().strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data)) for name, data in pairs]


def test_a_generators_parts_are_events_as_cog_has_them(generator):
    (started, first), one, two, (ended, last) = events(generator, "POST", "/predictions", {"words": 2})
    assert (started, first["status"]) == ("start", "processing")
    assert [one, two] == [("output", {"chunk": f"word {number}", "index": number}) for number in range(2)]
    assert (ended, last["status"], last["output"]) == ("completed", "succeeded", ["word 0", "word 1"])
    assert last["id"] == first["id"]


def test_a_generator_that_fails_midway_says_so_in_its_last_event(generator):
    *_, (ended, last) = events(generator, "PUT", "/predictions/fails", {"words": 4})
    assert (ended, last["status"], len(last["output"])) == ("completed", "failed", 4)
    assert "out of words" in last["error"]


def test_an_argument_that_does_not_fit_is_422_whether_it_is_waited_for_or_not(generator):
    for headers in ({"content-type": "application/json"}, ASYNC):
        body = json.dumps({"input": {"to": "many"}}).encode()
        status, answer, _ = generator.ask("POST", "/predictions", body, headers)
        assert (status, json.loads(answer)["detail"][0]["loc"]) == (422, ["body", "input"])


def test_without_a_stream_a_generators_parts_are_a_list(generator, listener):
    document = {"input": {"words": 3, "pause": 0.1}, "webhook": listener.url}
    answer = generator.post(document, "/predictions")[1]
    assert answer["output"] == ["word 0", "word 1", "word 2"]
    until(lambda: listener.seen and listener.seen[-1]["status"] == "succeeded")
    assert listener.seen[-1]["output"] == answer["output"]
    assert 3 <= len(listener.seen) <= 5


def test_who_comes_again_with_an_id_is_told_all_events(generator):
    assert put(generator, "again", {"input": {"words": 3, "pause": 0.1}})[0] == 202
    names = [name for name, _ in events(generator, "PUT", "/predictions/again", {"words": 0})]
    assert names == ["start", "output", "output", "output", "completed"]


PREDICTOR = """
    from typing import List, Optional
    from cog import BasePredictor, ConcatenateIterator, Input, Path, Secret

    class Predictor(BasePredictor):
        def setup(self):
            self.greeting = "hello"

        def predict(
            self,
            name: str = Input(description="Whom to greet", min_length=2, max_length=9, regex="[a-z]+"),
            times: int = Input(description="How often", default=1, ge=1, le=3),
            tone: str = Input(default="plain", choices=["plain", "loud"]),
            words: List[str] = Input(default=[], choices=["a", "b"]),
            note: Optional[Path] = Input(description="A file", default=None),
            key: Optional[Secret] = Input(default=None),
        ) -> str:
            assert isinstance(key, (Secret, type(None))), key
            text = note.read_text() if note else ""
            return f"{self.greeting} {name} {text}" * times + "!" * (tone == "loud")

    class Runner:
        def run(self, prompt: str = Input(description="What to say")) -> ConcatenateIterator[str]:
            yield from prompt
"""


@pytest.fixture(scope="module")
def predictor(serve):
    with serve(entry="predict.py:Predictor", files={"predict.py": PREDICTOR}) as served:
        yield served


def test_what_input_says_is_in_the_document(predictor):
    schema = json.loads(predictor.get("/openapi.json")[1])["components"]["schemas"]["Input"]
    assert schema["required"] == ["name"]
    properties = schema["properties"]
    assert properties["name"] == {
        "type": "string",
        "minLength": 2,
        "maxLength": 9,
        "pattern": "^(?:[a-z]+)",
        "description": "Whom to greet",
    }
    assert properties["times"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 3,
        "description": "How often",
        "default": 1,
    }
    assert properties["tone"] == {"type": "string", "enum": ["plain", "loud"], "default": "plain"}
    assert properties["words"]["items"] == {"type": "string", "enum": ["a", "b"]}
    assert properties["note"]["description"] == "A file"
    assert properties["key"]["anyOf"][0]["format"] == "password"


def test_inputs_are_as_input_says(predictor):
    note = base64.b64encode(b"how are you ").decode()
    asked = {"name": "anna", "times": 2, "tone": "loud", "note": note, "key": "hush", "words": ["a"]}
    for given, output in ((asked, "hello anna how are you " * 2 + "!"), ({"name": "bo"}, "hello bo ")):
        status, answer = predictor.post({"input": given}, "/predictions")
        assert (status, answer["status"], answer["output"]) == (200, "succeeded", output)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "name: missing"),
        ({"name": "a"}, "name: got 'a', expected at least 2 characters"),
        ({"name": "anna-maria"}, "expected at most 9 characters"),
        ({"name": "ANNA"}, "expected a text that matches"),
        ({"name": "bo", "times": 4}, "times: got 4, expected a whole number <= 3"),
        ({"name": "bo", "tone": "soft"}, "tone: got 'soft', expected one of 'plain', 'loud'"),
        ({"name": "bo", "words": ["a", "c"]}, "words: got 'c', expected one of 'a', 'b'"),
    ],
)
def test_what_input_does_not_allow_is_refused(predictor, given, told):
    status, answer = predictor.post({"input": given}, "/predictions")
    assert (status, told in answer["detail"][0]["msg"]) == (422, True), answer


def test_a_class_with_run_streams_what_it_says(serve):
    with serve(entry="predict.py:Runner", files={"predict.py": PREDICTOR}) as served:
        answer = served.post({"input": {"prompt": "abc"}}, "/predictions")[1]
        assert answer["output"] == ["a", "b", "c"]
        operation = json.loads(served.get("/openapi.json")[1])["paths"]["/invocations"]["post"]
        assert "text/event-stream" in operation["responses"]["200"]["content"]
        assert served.post({"input": {"prompt": 3}}, "/predictions")[0] == 422
