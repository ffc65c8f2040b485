"""Generators, streamed as server-sent events, and async routines, whose requests run side by side."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

JSON = {"content-type": "application/json"}
EVENTS = {**JSON, "accept": "text/event-stream"}
GATHERED = {**JSON, "accept": "application/json"}

GENERATOR = """
    import os, time

    def count(to: int, pause: float = 0.0, fail_at: int = -1, size: int = 0):
        try:
            for index in range(to):
                if index == fail_at:
                    raise KeyError("midway")
                if index == 77:
                    os._exit(3)
                yield {"index": index, "text": "x" * size} if size else index
                time.sleep(pause)
        except GeneratorExit:
            print("closed at", index)
            raise
"""
ASYNC = """
    import asyncio

    class Model:
        async def load(self):
            await asyncio.sleep(0)
            self.event = asyncio.Event()
            self.running = self.most = 0

        async def predict(self, what: str, to: int = 3):
            if what == "block":
                import time
                time.sleep(60)
            if what == "die":
                import os
                os._exit(7)
            if what == "noted":
                print("noted once")
                what = "hang"
            self.running += 1
            self.most = max(self.most, self.running)
            try:
                if what == "wait":
                    await self.event.wait()
                if what == "free":
                    self.event.set()
                if what == "hang":
                    await asyncio.sleep(60)
                if what == "fail":
                    raise KeyError("own reason")
                return [what, self.most]
            except asyncio.CancelledError:
                print("cancelled", what)
                raise
            finally:
                self.running -= 1

    async def count(to: int, pause: float = 0.0):
        try:
            for index in range(to):
                yield index
                await asyncio.sleep(pause)
        finally:
            print("closed at", index)
"""


@pytest.fixture(scope="module")
def generator(serve):
    with serve(
        entry="score.py:count", files={"score.py": GENERATOR}, environ={"LADING_REQUEST_TIMEOUT_S": "2"}
    ) as served:
        yield served


@pytest.fixture(scope="module")
def side_by_side(serve):
    with serve(entry="score.py:Model", files={"score.py": ASYNC}, environ={"LADING_WORKERS": "1"}) as served:
        yield served


@pytest.fixture(scope="module")
def async_generator(serve):
    with serve(entry="score.py:count", files={"score.py": ASYNC}, environ={"LADING_WORKERS": "1"}) as served:
        yield served


@pytest.fixture(params=["generator", "async_generator"])
def streamed(request):
    return request.getfixturevalue(request.param)


def events(body):
    """Split events of a stream: their type, and what their data say."""
    found = []
    for block in body.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append((fields.get("event"), json.loads(fields["data"])))
    return found


def start(served, document, path="/invocations"):
    """Begin a stream, and return its connection and response."""
    connection = served.connect()
    connection.request("POST", path, json.dumps(document).encode(), EVENTS)
    return connection, connection.getresponse()


@pytest.mark.parametrize("path", ["/invocations", "/score", "/v1/models/x:predict"])
def test_what_a_generator_gives_is_sent_as_events(streamed, path):
    status, body, headers = streamed.ask("POST", path, b'{"to": 40}', EVENTS)
    assert (status, headers["content-type"]) == (200, "text/event-stream")
    assert events(body) == [(None, index) for index in range(40)]


def test_a_route_for_anything_streams_unless_json_is_asked_for(streamed):
    assert streamed.ask("POST", "/invocations", b'{"to": 1}', JSON)[1] == b"data: 0\n\n"
    status, body, _ = streamed.ask("POST", "/invocations", b'{"to": 3}', GATHERED)
    assert (status, json.loads(body)) == (200, {"predictions": [0, 1, 2]})
    rows = json.dumps({"instances": [{"to": 1}, {"to": 2}]}).encode()
    status, body, _ = streamed.ask("POST", "/v1/models/x:predict", rows, JSON)
    assert (status, json.loads(body)) == (200, {"predictions": [[0], [0, 1]]})


def test_an_event_is_sent_when_it_is_there(streamed):
    connection, response = start(streamed, {"to": 2, "pause": 2.0})
    begun = time.monotonic()
    assert response.read1() == b"data: 0\n\n"
    assert time.monotonic() - begun < 1.8, "the second was waited for"
    assert response.read() == b"data: 1\n\n"
    connection.close()


def test_what_fails_at_once_has_a_status_and_what_fails_midway_an_event(generator):
    status, body, _ = generator.ask("POST", "/invocations", b'{"to": "x"}', EVENTS)
    assert status == 400
    assert "to: got 'x', expected a whole number" in json.loads(body)["error"]
    assert generator.ask("POST", "/invocations", b'{"to": 2, "fail_at": 0}', EVENTS)[0] == 500
    _, body, _ = generator.ask("POST", "/invocations", b'{"to": 2, "fail_at": 1}', EVENTS)
    (_, first), (kind, problem) = events(body)
    assert (first, kind, problem["error"]) == (0, "error", "the model failed: KeyError: 'midway'")
    generator.await_log('raise KeyError("midway")')


def test_a_client_that_leaves_closes_the_generator(streamed):
    connection, response = start(streamed, {"to": 1000, "pause": 0.01})
    response.read1()
    connection.sock.close()
    response.close()
    streamed.await_log("closed at", timeout_s=5)
    status, body, _ = streamed.ask("POST", "/invocations", b'{"to": 1}', GATHERED)
    assert (status, json.loads(body)) == (200, {"predictions": [0]})
    assert streamed.metric("lading_worker_restarts_total") == 0


def test_a_slow_reader_is_waited_for_and_one_that_stops_is_left(generator):
    """Of a long stream only so much is made as is read; the worker is free again within the time limit."""
    connection, response = start(generator, {"to": 70, "size": 100_000})
    response.read1()
    deadline = time.monotonic() + 10
    while generator.ask("POST", "/invocations", b'{"to": 1}', GATHERED)[0] != 200:
        assert time.monotonic() < deadline
    response.close()
    connection.close()
    assert generator.metric("lading_worker_restarts_total") == 0


def test_a_part_that_takes_too_long_or_a_worker_that_dies_ends_the_stream(serve):
    environ = {"LADING_REQUEST_TIMEOUT_S": "0.5", "LADING_WORKERS": "1"}
    with serve(entry="score.py:count", files={"score.py": GENERATOR}, environ=environ) as served:
        _, body, _ = served.ask("POST", "/invocations", b'{"to": 8, "pause": 0.2}', EVENTS)
        assert [one for _, one in events(body)] == list(range(8)), "each part has the time anew"
        _, body, _ = served.ask("POST", "/invocations", b'{"to": 2, "pause": 9}', EVENTS)
        (_, first), (kind, problem) = events(body)
        assert (first, kind) == (0, "error")
        assert "longer than 0.5 s" in problem["error"]
        served.await_ready()
        assert served.ask("POST", "/invocations", b'{"to": 1}', GATHERED)[0] == 200
        _, body, _ = served.ask("POST", "/invocations", b'{"to": 100}', EVENTS)
        *parts, (kind, problem) = events(body)
        assert [one for _, one in parts] == list(range(77))
        assert (kind, "ended with status 3" in problem["error"]) == ("error", True)


def test_a_routine_without_hints_streams_too(serve):
    code = "def run(data):\n    yield from data"
    with serve(entry="score.py", files={"score.py": code}) as served:
        assert served.ask("POST", "/score", b"[1, 2]", EVENTS)[1] == b"data: 1\n\ndata: 2\n\n"
        assert served.ask("POST", "/score", b"[1, 2]", GATHERED)[1] == b"[1, 2]"


def test_a_routine_that_is_no_generator_answers_one_event(serve):
    with serve(entry="score.py", files={"score.py": "def run(data):\n    return data"}) as served:
        assert served.ask("POST", "/invocations", b'{"a": 1}', EVENTS)[1] == b'data: {"a": 1}\n\n'


def test_requests_of_an_async_routine_wait_for_each_other(side_by_side):
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(side_by_side.post, {"what": "wait"}) for _ in range(7)]
        side_by_side.await_metric("lading_requests_running", 7)
        assert side_by_side.predictions({"what": "free"})[0] == "free"
        answers = [one.result() for one in waiting]
    assert [status for status, _ in answers] == [200] * 7
    assert max(answer["predictions"][1] for _, answer in answers) >= 7


def test_what_an_async_routine_raises_is_its_own_requests(side_by_side):
    status, answer = side_by_side.post({"what": "fail"})
    assert (status, answer["error"]) == (500, "the model failed: KeyError: 'own reason'")
    assert side_by_side.post({"what": 3})[0] == 400
    assert side_by_side.predictions({"what": "x"})[0] == "x"
    assert side_by_side.metric("lading_worker_restarts_total") == 0


def test_an_async_request_that_takes_too_long_is_cancelled_alone(serve):
    environ = {"LADING_REQUEST_TIMEOUT_S": "0.5", "LADING_WORKERS": "1"}
    with serve(entry="score.py:Model", files={"score.py": ASYNC}, environ=environ) as served:
        assert served.post({"what": "hang"})[0] == 504
        served.await_log("cancelled hang")
        assert served.predictions({"what": "x"})[0] == "x"
        assert served.metric("lading_worker_restarts_total") == 0
        assert served.post({"what": "block"})[0] == 504
        served.await_log("another one starts")
        served.await_ready()
        assert served.predictions({"what": "y"})[0] == "y"


def test_what_was_beside_an_async_request_that_ends_the_worker_is_not_run_twice(side_by_side):
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(side_by_side.post, {"what": "noted"}) for _ in range(2)]
        side_by_side.await_metric("lading_requests_running", 2)
        side_by_side.await_log("noted once")
        assert side_by_side.post({"what": "die"})[0] == 500
        for status, answer in [one.result() for one in waiting]:
            assert (status, "beside it; it may have been done" in answer["error"]) == (500, True)
    side_by_side.await_ready()
    assert side_by_side.predictions({"what": "x"}) == ["x", 1], "nothing else runs in the new worker"


def test_a_blocked_worker_of_an_async_routine_is_replaced_within_a_second_of_the_time_limit(serve):
    environ = {"LADING_REQUEST_TIMEOUT_S": "4", "LADING_WORKERS": "1"}
    with serve(entry="score.py:Model", files={"score.py": ASYNC}, environ=environ) as served:
        assert served.post({"what": "block"})[0] == 504
        begun = time.monotonic()
        served.await_log("another one starts")
        assert time.monotonic() - begun < 3, "and not another four"


def test_streams_of_an_async_routine_run_side_by_side(async_generator):
    begun = time.monotonic()
    threads = [
        threading.Thread(
            target=async_generator.ask, args=("POST", "/invocations", b'{"to": 5, "pause": 0.1}', EVENTS)
        )
        for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - begun < 4
