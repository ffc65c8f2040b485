"""The edges of HTTP: sizes, heads, methods, and connections that behave oddly."""

import asyncio
import json
import socket
import time
from contextlib import suppress
from types import SimpleNamespace

import pytest

from lading_runtime.front.app import ROUTES, App
from lading_runtime.front.metrics import Metrics
from lading_runtime.front.settings import Settings
from lading_runtime.front.watch import Watch

JSON = {"content-type": "application/json"}
LIMIT_BYTES = 300_000


@pytest.fixture(scope="module")
def echo(serve):
    environ = {"LADING_BODY_LIMIT_BYTES": str(LIMIT_BYTES), "LADING_KEEP_ALIVE_S": "1"}
    environ |= {"LADING_HEAD_TIMEOUT_S": "1", "LADING_BODY_TIMEOUT_S": "1", "LADING_DEPTH_LIMIT": "50"}
    code = "def run(data):\n    return len(data)"
    with serve(entry="score.py", files={"score.py": code}, environ=environ) as served:
        yield served


def raw(served, data, timeout_s=10):
    """Send bytes, return all that comes back until the server closes."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout_s)
        connection.connect(served.uds)
        with suppress(BrokenPipeError):
            connection.sendall(data)
        received = b""
        with suppress(ConnectionResetError):
            while chunk := connection.recv(1 << 16):
                received += chunk
        return received


def text_of(size_bytes):
    return b'"' + b"x" * (size_bytes - 2) + b'"'


def test_a_body_at_the_limit_is_answered_and_one_beyond_is_refused(echo):
    for chunked in (False, True):
        for size, expected in ((LIMIT_BYTES, 200), (LIMIT_BYTES + 1, 413), (LIMIT_BYTES * 40, 413)):
            connection = echo.connect()
            body = text_of(size)
            parts = (body[start : start + 50_000] for start in range(0, size, 50_000))
            connection.request(
                "POST", "/invocations", parts if chunked else body, JSON, encode_chunked=chunked
            )
            response = connection.getresponse()
            answer = json.loads(response.read())
            connection.close()
            assert response.status == expected
            if expected == 413:
                assert str(LIMIT_BYTES) in answer["error"]
                assert answer["error_code"] == "REQUEST_TOO_LARGE"


def test_json_that_is_nested_too_deeply_is_refused(echo):
    assert echo.post(b"[" * 50 + b"]" * 50)[0] == 200
    status, answer = echo.post(b"[" * 51 + b"]" * 51)
    assert status == 400
    assert "LADING_DEPTH_LIMIT" in answer["error"]


def test_a_connection_can_be_used_again_after_a_refusal(echo):
    connection = echo.connect()
    for body, expected in ((text_of(LIMIT_BYTES * 10), 413), (b"{", 400), (b'"abc"', 200)):
        connection.request("POST", "/invocations", body, JSON)
        response = connection.getresponse()
        response.read()
        assert response.status == expected
    connection.close()


def test_expect_100_continue_is_honoured(echo):
    head = b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(echo.uds)
        connection.sendall(head)
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b'"a"')
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("path", sorted(one for one in ROUTES.table if "{" not in one))
def test_every_route_answers_get_and_head_or_names_the_method_it_takes(echo, path):
    status, body, headers = echo.get(path)
    if "GET" in ROUTES.table[path]:
        assert status == 200
        head_status, head_body, head_headers = echo.ask("HEAD", path)
        assert (head_status, head_body) == (200, b"")
        assert head_headers["content-type"] == headers["content-type"]
    else:
        assert (status, headers["allow"]) == (405, "POST")
        assert json.loads(body)["error_code"] == "METHOD_NOT_ALLOWED"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "POST"])
def test_another_method_is_refused_with_405(echo, method):
    status, body, headers = echo.ask(method, "/ping")
    assert (status, headers["allow"]) == (405, "GET")
    assert "error" in json.loads(body)


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v2/models/",
        "/v2/models//infer",
        "/v2/models/a/b",
        "/v2/models/a/versions",
        "/invocations/",
        "//",
    ],
)
def test_a_route_that_is_none_is_refused_with_404(echo, path):
    status, body, _ = echo.get(path)
    assert status == 404
    assert "error" in json.loads(body)


def test_a_query_is_no_part_of_the_route(echo):
    assert echo.get("/ping?x=1")[0] == 200


@pytest.mark.parametrize(
    "head",
    [
        b"GET /ping HTTP/1.1\r\nhost: x\r\nx-long: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET /ping HTTP/1.1\r\nhost: x\r\n" + b"x-many: a\r\n" * 10_000 + b"\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /ping HTTP/1.1\r\nx-endless: " + b"a" * 1_000_000,
    ],
    ids=["long", "many", "url", "endless"],
)
def test_a_head_that_is_too_large_is_refused_with_431(echo, head):
    answer = raw(echo, head)
    # a client that is still sending may be cut off before it reads
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431 "), answer[:100]
    assert echo.get("/ping")[0] == 200


def test_a_head_of_a_usual_size_is_answered(echo):
    assert echo.ask("GET", "/ping", headers={"x-large": "a" * 30_000})[0] == 200


@pytest.mark.parametrize(
    "request_text",
    [
        b"nonsense\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n1",
        b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n1",
        b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /invocations HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_not_http_is_refused_with_400_and_the_connection_closed(echo, request_text):
    assert raw(echo, request_text).startswith(b"HTTP/1.1 400 ")
    assert echo.get("/ping")[0] == 200


def test_pipelined_requests_are_answered_in_order(echo):
    one = b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s"
    requests = b"".join(one % (size, text_of(size)) for size in (2, 5, 90_000, 3))
    answers = raw(echo, requests + b"GET /ping HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    bodies = [part.split(b"\r\n\r\n", 1)[1] for part in answers.split(b"HTTP/1.1 ")[1:]]
    assert [part[:25].rstrip() for part in bodies] == [
        b'{"predictions":0}',
        b'{"predictions":3}',
        b'{"predictions":89998}',
        b'{"predictions":1}',
        b"",
    ]


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
def test_a_client_that_offers_another_protocol_is_answered_in_http_1(echo, protocol):
    headers = {
        **JSON,
        "connection": "Upgrade, HTTP2-Settings",
        "upgrade": protocol,
        "http2-settings": "AAMAAABk",
    }
    connection = echo.connect()
    for size in (5, 100_000, 7):
        connection.request("POST", "/invocations", text_of(size), headers)
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())) == (200, {"predictions": size - 2})
        connection.request("GET", "/ping", headers=headers)
        assert connection.getresponse().read() == b"\n"
    connection.close()


@pytest.mark.parametrize("sent", [b"", b"GET /ping HT", b"GET /ping HTTP/1.1\r\nhost: x\r\n\r\n"])
def test_a_connection_that_asks_no_more_is_closed_after_the_keep_alive_time(echo, sent):
    started = time.monotonic()
    raw(echo, sent)
    assert 0.7 < time.monotonic() - started < 5


def test_a_body_that_does_not_arrive_is_given_up(echo):
    head = b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n"
    assert raw(echo, head + b"123").startswith(b"HTTP/1.1 408 ")


def test_a_client_that_goes_away_leaves_nothing_behind(echo):
    for _ in range(20):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(echo.uds)
            connection.sendall(b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n123")
    deadline = time.monotonic() + 10
    while echo.metric("lading_requests_in_flight") > 1:
        assert time.monotonic() < deadline
    assert echo.post("fine") == (200, {"predictions": 4})


def test_a_defect_of_ours_is_a_counted_500_of_json_with_its_traceback_in_the_log(capsys):
    bill = SimpleNamespace(name="iris", version="1")
    facts = {"settings": Settings(), "metrics": Metrics(), "is_draining": False, "digest": ""}
    model = SimpleNamespace(bill=bill, **facts)  # does not say whether it is ready
    app = App(model, Watch(model, {}))
    response = asyncio.run(app.answer(app.find("GET", b"/"), "GET", {}, b"", 0.0))
    assert response.status == 500
    assert json.loads(response.body)["error_code"] == "INTERNAL_ERROR"
    assert model.metrics.requests == {("/", 500): 1}
    assert model.metrics.in_flight == 0
    assert "AttributeError" in capsys.readouterr().err


def rows(count, cells="[5.1, 3.5, 1.4, 0.2]"):
    return b'{"instances": [%s]}' % b",".join([cells.encode()] * count)


@pytest.fixture(scope="module")
def limited(serve, bare_model):
    environ = {
        "LADING_BODY_LIMIT_BYTES": str(2 << 20),
        "LADING_ROW_LIMIT": "1000",
        "LADING_DEPTH_LIMIT": "10",
        "LADING_TENSOR_LIMIT_BYTES": "20000",
    }
    with serve(bare_model, environ=environ) as served:
        yield served


@pytest.mark.parametrize(
    ("body", "more", "status", "told"),
    [
        (rows(1), {"x": "a" * (64 << 10)}, 431, "the head is too large"),
        (rows(1), {f"x{number}": "" for number in range(128)}, 431, "128 headers"),
        (rows(1) + b" " * (2 << 20), {}, 413, "LADING_BODY_LIMIT_BYTES"),
        (rows(1001), {}, 413, "LADING_ROW_LIMIT"),
        (rows(220_000, "[[]]"), {}, 413, "4 times the rows allowed (LADING_ROW_LIMIT)"),
        (rows(1, "[" * 10 + "]" * 10), {}, 400, "LADING_DEPTH_LIMIT"),
        (rows(700), {}, 413, "LADING_TENSOR_LIMIT_BYTES"),
    ],
)
def test_each_limit_is_answered_with_the_status_that_is_documented(limited, body, more, status, told):
    headers = {"content-type": "application/json", **more}
    got, answer, _ = limited.ask("POST", "/invocations", body, headers)
    assert (got, told in json.loads(answer)["error"]) == (status, True), answer[:300]
    assert limited.predictions(json.loads(rows(1))) == [0]
