"""One connection, on a real socket and a real loop: laws of the protocol, and clients that behave badly."""

import asyncio
import json
import re
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from itertools import pairwise
from pathlib import Path

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from lading_runtime.bill import Bill
from lading_runtime.front.app import App, Target
from lading_runtime.front.channel import Answer
from lading_runtime.front.decode import parse_json
from lading_runtime.front.listener import Listener
from lading_runtime.front.messages import Refusal, Response
from lading_runtime.front.metrics import Metrics
from lading_runtime.front.model import Model
from lading_runtime.front.protocol import Connection
from lading_runtime.front.settings import Settings
from lading_runtime.front.watch import Watch

BILL = Bill("iris", "1", "0.1.0", {"loader": "pickle", "path": "/"}, "", {}, None, b"{}")
CLOSE = b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
OWN = re.compile(rb"(?:date|x-request-id): [^\r]*\r\n")
BODY_LIMIT_BYTES = 5000
LARGE_BYTES = 2 << 20


class Sums:
    """A backend that adds up a matrix's numbers, and waits where the first one is negative."""

    is_ready = True
    state = "ready"
    load_s = 0.0

    def __init__(self):
        self.facts = {}
        self.waiting = []
        self.asked = asyncio.Event()

    async def predict(self, wanted):
        (_, data), *_ = wanted.tensors
        numbers = struct.unpack(
            f"<{len(data) // 8}{'q' if wanted.tensors[0][0]['datatype'] == 'INT64' else 'd'}", data
        )
        if numbers and numbers[0] < 0:
            future = asyncio.get_running_loop().create_future()
            self.waiting.append(future)
            self.asked.set()
            await future
        entry = {"name": "o", "datatype": "FP64", "shape": [1], "parameters": {"binary_data_size": 8}}
        header = {"parameters": {"content": "array"}, "outputs": [entry]}
        return Answer(header, memoryview(struct.pack("<d", sum(numbers))))

    def gauges(self):
        return {}

    def processes(self):
        return {}


class Streams(App):
    """An application with one more route, whose answer comes in pieces."""

    def find(self, method, url):
        if url == b"/large":
            return Target("/large", self.large, (), "/large", b"", is_open=False)
        if url != b"/stream":
            return super().find(method, url)
        return Target("/stream", self.stream, (), "/stream", b"", is_open=False)

    async def large(self, _, __):
        return Response(b"x" * LARGE_BYTES)

    async def stream(self, _, request):
        async def pieces():
            try:
                for index in range(int(request.headers.get(b"x-pieces", b"3"))):
                    yield b"%d" % index * 1000
                if b"x-fails" in request.headers:
                    message = "in the midst of it"
                    raise ValueError(message)
                if b"x-waits" in request.headers:
                    await asyncio.sleep(60)
            finally:
                self.ended = True

        return Response(b"", content_type=b"text/event-stream", stream=pieces())


class Edge:
    """A listener whose connections are one end of a socket pair each."""

    def __init__(self, **more):
        self.loop = uvloop.new_event_loop()
        self.errors = []
        self.loop.set_exception_handler(lambda _, context: self.errors.append(context))
        self.settings = Settings(body_limit_bytes=BODY_LIMIT_BYTES, **more)
        self.backend = Sums()
        self.metrics = Metrics()
        self.listener = Listener(self.settings, self.loop)
        model = Model(BILL, self.settings, self.backend, self.metrics)
        self.app = Streams(model, Watch(model, {}))

    async def connect(self):
        ours, theirs = socket.socketpair()
        ours.settimeout(0)
        theirs.settimeout(0)
        await self.loop.connect_accepted_socket(lambda: Connection(self.app, self.listener), theirs)
        return ours

    async def read(self, ours):
        """Return all that comes until the server closes."""
        received = b""
        with suppress(ConnectionError):
            while chunk := await asyncio.wait_for(self.loop.sock_recv(ours, 1 << 16), 10):
                received += chunk
        return received

    async def talk(self, pieces, *, ends=False):
        """Send pieces, each read before the next one; return the answers, without what differs each time."""
        ours = await self.connect()
        with ours:
            with suppress(ConnectionError):
                for piece in pieces:
                    await self.loop.sock_sendall(ours, piece)
                    await asyncio.sleep(0)
                if ends:
                    ours.shutdown(socket.SHUT_WR)
            received = await self.read(ours)
        await self.settle()
        return OWN.sub(b"", received)

    async def settle(self):
        for _ in range(200):
            if not self.listener.connections:
                break
            await asyncio.sleep(0.005)
        assert not self.listener.connections
        assert self.listener.held_bytes == 0
        assert self.metrics.in_flight == 0
        assert not self.errors

    def run(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    def close(self):
        self.run(self.listener.close(1.0))
        self.loop.close()


@pytest.fixture(scope="module")
def edge():
    made = Edge()
    yield made
    made.close()


@pytest.fixture
def hasty():
    made = Edge(head_timeout_s=0.2, body_timeout_s=0.2, keep_alive_s=1, connection_limit=2)
    yield made
    made.close()


def post(body, path=b"/invocations", more=b""):
    return b"POST %s HTTP/1.1\r\nhost: x\r\n%scontent-length: %d\r\n\r\n%s" % (path, more, len(body), body)


def chunked(pieces):
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in (*pieces, b""))
    return b"POST /invocations HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + chunks


INSTANCES = b'{"instances": [[1.5, 2]]}'
REQUESTS = st.sampled_from(
    [
        post(INSTANCES),
        chunked([INSTANCES[:5], INSTANCES[5:]]),
        chunked([INSTANCES[i : i + 1] for i in range(len(INSTANCES))]),
        post(b"{"),
        post(b"x" * (BODY_LIMIT_BYTES + 1)),
        chunked([b"x" * 2000] * 4),
        b"GET /ping HTTP/1.1\r\nhost: x\r\n\r\n",
        b"HEAD /ping HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /nowhere?a=b HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET http://elsewhere/ping?x HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /%70ing HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
        b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n",
        post(INSTANCES, more=b"connection: upgrade\r\nupgrade: h2c\r\n"),
        post(INSTANCES, path=b"/v2/health/live"),
    ]
)


@settings(max_examples=150, deadline=None)
@given(requests=st.lists(REQUESTS, max_size=6), cuts=st.lists(st.integers(0, 1500), max_size=8))
def test_where_requests_are_split_does_not_matter(edge, requests, cuts):
    sent = b"".join(requests) + CLOSE
    places = sorted({min(cut, len(sent)) for cut in (0, *cuts, len(sent))})
    pieces = [sent[start:end] for start, end in pairwise(places)]
    whole = edge.run(edge.talk([sent]))
    assert edge.run(edge.talk(pieces)) == whole
    assert len(re.findall(rb"HTTP/1.1 [1-5]\d\d ", whole)) == len(requests) + 1


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(st.binary(max_size=50), st.sampled_from([b"\r\n", b" HTTP/1.1", b"GET /", b"\r\n\r\n"]))
    )
)
def test_any_bytes_are_answered_with_a_refusal_or_not_at_all(edge, pieces):
    answer = edge.run(edge.talk(pieces, ends=True))
    assert not answer or re.match(rb"HTTP/1.1 (2|4)\d\d ", answer)


@settings(max_examples=150, deadline=None)
@given(
    request=REQUESTS,
    place=st.integers(0, 200),
    removed=st.integers(0, 3),
    inserted=st.sampled_from([b"", b"\r", b"\n", b"\0", b" ", b":", b"\t", b"0", b"\xff", b"\r\n"]),
)
def test_no_damage_to_a_request_is_a_defect_of_ours(edge, request, place, removed, inserted):
    damaged = request[:place] + inserted + request[place + removed :]
    answer = edge.run(edge.talk([damaged, CLOSE], ends=True))
    assert not re.search(rb"HTTP/1.1 5\d\d ", answer)


def test_a_tiny_chunk_costs_no_more_than_its_bytes_and_trailers_are_no_headers(edge):
    request = chunked([INSTANCES])[:-2] + b"host: y\r\nx: z\r\n\r\n"
    answer = edge.run(edge.talk([request, CLOSE]))
    assert answer.count(b'{"predictions":[3.5]}') == 1
    assert answer.count(b"HTTP/1.1 200 ") == 2


@pytest.mark.parametrize(
    "lines",
    [
        b"content-length: 3\r\ntransfer-encoding: chunked\r\n",
        b"transfer-encoding: chunked\r\ncontent-length: 3\r\n",
        b"content-length: 3\r\ncontent-length: 3\r\n",
        b"content-length: 3\r\ncontent-length: 30\r\n",
        b"content-length: +3\r\n",
        b"content-length: 0x3\r\n",
        b"content-length: 3 3\r\n",
        b"content-length: 3, 3\r\n",
        b"content-length : 3\r\n",
        b"content-length: 99999999999999999999999\r\n",
        b"transfer-encoding: gzip\r\n",
        b"transfer-encoding: gzip, chunked\r\n",
        b"transfer-encoding: chunked, identity\r\n",
        b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        b"transfer-encoding: xchunked\r\n",
        b"transfer-encoding:\x0bchunked\r\n",
        b"x: a\r\n folded: b\r\n",
        b"x: a\nb: c\r\n",
        b"x: a\0b\r\n",
        b"host: y\r\n",
        b"no colon\r\n",
        b": nameless\r\n",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused_and_nothing_behind_it_is_answered(edge, lines):
    request = b"POST /invocations HTTP/1.1\r\nhost: x\r\n" + lines + b"\r\n"
    answer = edge.run(edge.talk([request + b"0\r\n\r\n" + CLOSE]))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in answer


def test_http_1_1_without_a_host_is_refused_and_http_1_0_is_answered(edge):
    assert edge.run(edge.talk([b"GET /ping HTTP/1.1\r\n\r\n"])).startswith(b"HTTP/1.1 400 ")
    answer = edge.run(edge.talk([b"GET /ping HTTP/1.0\r\n\r\n"]))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answer
    assert edge.run(edge.talk([b"GET /ping\r\n\r\n"])).startswith(b"HTTP/1.1 400 "), "HTTP/0.9"
    chunks = b"POST /invocations HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    assert edge.run(edge.talk([chunks])).startswith(b"HTTP/1.1 400 ")


def test_a_stream_is_chunked_and_to_http_1_0_it_ends_with_the_connection(edge):
    whole = b"0" * 1000 + b"1" * 1000 + b"2" * 1000
    answer = edge.run(edge.talk([b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n", CLOSE]))
    assert b"transfer-encoding: chunked\r\n" in answer
    assert answer.count(b"\r\n3e8\r\n") == 3
    assert b"\r\n0\r\n\r\nHTTP/1.1 200 OK" in answer
    head, body = edge.run(edge.talk([b"GET /stream HTTP/1.0\r\n\r\n"])).split(b"\r\n\r\n", 1)
    assert body == whole
    assert b"transfer-encoding" not in head
    assert b"content-length" not in head


def test_a_stream_that_fails_ends_without_its_end(edge, capsys):
    answer = edge.run(edge.talk([b"GET /stream HTTP/1.1\r\nhost: x\r\nx-fails: 1\r\n\r\n"]))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert not answer.endswith(b"0\r\n\r\n")
    assert "in the midst of it" in capsys.readouterr().err


def test_a_client_that_goes_takes_its_stream_and_its_waiting_request_along(edge):
    async def leave():
        ours = await edge.connect()
        await edge.loop.sock_sendall(ours, b"GET /stream HTTP/1.1\r\nhost: x\r\nx-waits: 1\r\n\r\n")
        assert await edge.loop.sock_recv(ours, 100)
        edge.app.ended = False
        ours.close()
        await edge.settle()
        await asyncio.sleep(0.01)
        assert edge.app.ended
        ours = await edge.connect()
        await edge.loop.sock_sendall(
            ours, post(b'{"instances": [[-1.5]]}') + post(b'{"instances": [[-2.5]]}')
        )
        await edge.backend.asked.wait()
        ours.close()
        await edge.settle()
        assert [one.cancelled() for one in edge.backend.waiting] == [True]
        assert edge.metrics.requests[("/invocations", 499)] >= 1

    edge.run(leave())


def test_answers_keep_the_order_of_requests_though_the_first_has_to_wait(edge):
    async def ask():
        edge.backend.waiting.clear()
        edge.backend.asked.clear()
        ours = await edge.connect()
        bodies = (b'{"instances": [[-1.5]]}', b'{"instances": [[7.5]]}')
        await edge.loop.sock_sendall(ours, b"".join(map(post, bodies)) + CLOSE)
        await edge.backend.asked.wait()
        await asyncio.sleep(0.02)
        edge.backend.waiting.pop().set_result(None)
        answer = await edge.read(ours)
        ours.close()
        return answer

    answers = re.findall(rb'\{"predictions":\[([^\]]*)\]\}', edge.run(ask()))
    assert answers == [b"-1.5", b"7.5"]


def test_a_client_that_sends_without_reading_is_not_answered_without_end(hasty):
    async def flood():
        ours = await hasty.connect()
        request = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n"
        sent = 0
        with suppress(ConnectionError, asyncio.TimeoutError):
            while sent < 64 << 20:
                await asyncio.wait_for(hasty.loop.sock_sendall(ours, request * 1000), 0.5)
                sent += len(request) * 1000
        assert sent < 8 << 20
        await hasty.settle()
        ours.close()

    hasty.run(flood())


def test_answers_that_nobody_reads_hold_so_much_and_those_who_read_are_spared():
    made = Edge(buffer_limit_bytes=5 * LARGE_BYTES)
    asked = b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n"

    async def crowd():
        silent = [await made.connect() for _ in range(20)]
        reader = await made.connect()
        for one in silent:
            await made.loop.sock_sendall(one, asked * 3)
            await made.loop.sock_sendall(reader, asked)
            received = 0
            while received < LARGE_BYTES:
                received += len(await made.loop.sock_recv(reader, 1 << 20))
        assert made.listener.is_full() is False
        held = [one._transport.get_write_buffer_size() for one in made.listener.connections]
        assert sum(held) <= 5 * LARGE_BYTES
        assert 3 <= len(held) <= 7
        for one in (*silent, reader):
            one.close()
        await made.settle()
        assert made.listener.unread_bytes == 0

    made.run(crowd())
    made.close()


def test_requests_that_wait_for_others_count_as_what_is_held():
    made = Edge(buffer_limit_bytes=20_000)

    async def flood():
        made.backend.asked.clear()
        ours = await made.connect()
        wait = post(b'{"instances": [[-1.5]]}')
        await made.loop.sock_sendall(ours, wait + post(b" " * 3000 + INSTANCES) * 10 + CLOSE)
        await made.backend.asked.wait()
        await asyncio.sleep(0.05)
        assert 0 < made.listener.held_bytes <= 20_000
        made.backend.waiting.pop().set_result(None)
        answer = await made.read(ours)
        ours.close()
        await made.settle()
        return answer

    answer = made.run(flood())
    made.close()
    assert answer.count(b"HTTP/1.1 200 ") == 2 + 6
    assert answer.count(b"HTTP/1.1 503 ") == 4


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /ping HTTP/1.1\r\nx-slow: ", 408),
        (b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{", 408),
        (b"POST /invocations HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5;x=y", 408),
    ],
)
def test_a_client_that_trickles_is_given_up(hasty, sent, status):
    async def trickle():
        ours = await hasty.connect()
        with ours:
            await hasty.loop.sock_sendall(ours, sent)
            reading = asyncio.ensure_future(hasty.read(ours))
            while not reading.done():
                with suppress(ConnectionError):
                    await hasty.loop.sock_sendall(ours, b"a")
                await asyncio.sleep(0.03)
            answer = reading.result()
        await hasty.settle()
        return answer

    answer = hasty.run(asyncio.wait_for(trickle(), 10))
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"connection: close" in answer


def test_connections_beyond_the_limit_are_told_to_come_again(hasty):
    async def crowd():
        first = [await hasty.connect() for _ in range(2)]
        third = await hasty.connect()
        answer = await hasty.read(third)
        for one in (*first, third):
            one.close()
        await hasty.settle()
        assert (await hasty.talk([CLOSE])).startswith(b"HTTP/1.1 200 ")
        return answer

    answer = hasty.run(crowd())
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1\r\n" in answer


def test_what_all_bodies_hold_together_is_bounded():
    edge = Edge(buffer_limit_bytes=6000)

    async def fill():
        head = b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 5000\r\n\r\n"
        ours = [await edge.connect() for _ in range(3)]
        for one in ours:
            for _ in range(4):
                await edge.loop.sock_sendall(one, head if _ == 0 else b" " * 1500)
                await asyncio.sleep(0.01)
        answers = [await asyncio.wait_for(edge.loop.sock_recv(ours[-1], 1000), 5)]
        assert edge.listener.held_bytes <= 6000
        for one in ours:
            one.close()
        await edge.settle()
        return answers

    assert edge.run(fill())[0].startswith(b"HTTP/1.1 503 ")
    edge.close()


def test_a_head_has_few_headers(edge):
    for count, status in ((120, 200), (200, 431)):
        lines = b"".join(b"x-%d: a\r\n" % index for index in range(count))
        answer = edge.run(edge.talk([b"GET /ping HTTP/1.1\r\nhost: x\r\n" + lines + b"\r\n" + CLOSE]))
        assert answer.startswith(b"HTTP/1.1 %d " % status)


def test_a_refusal_before_the_body_does_not_ask_for_it(edge):
    for path, length, status in ((b"/nowhere", 3, 404), (b"/invocations", 10**9, 413)):
        head = b"POST %s HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n"
        answer = edge.run(edge.talk([head % (path, length)]))
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert b"connection: close" in answer


def test_rows_and_tensors_are_bounded():
    edge = Edge(row_limit=3, tensor_limit_bytes=50)
    for body, status, word in (
        ([[1.0]] * 3, 200, ""),
        ([[1.0]] * 4, 413, "LADING_ROW_LIMIT"),
        ([[1.0] * 7], 413, "LADING_TENSOR_LIMIT_BYTES"),
    ):
        request = post(json.dumps({"instances": body}).encode())
        answer = edge.run(edge.talk([request + CLOSE]))
        assert answer.startswith(b"HTTP/1.1 %d " % status), answer
        assert word in answer.decode()
    edge.close()


JSON_VALUES = st.recursive(
    st.one_of(st.integers(), st.text(alphabet='[]{}"\\a', max_size=30)),
    lambda one: st.one_of(
        st.lists(one, max_size=4), st.dictionaries(st.text(alphabet="[{x", max_size=3), one, max_size=3)
    ),
)


def depth(value):
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@given(value=JSON_VALUES, limit=st.integers(1, 6), padding=st.sampled_from([b"", b" " * 2000]))
def test_json_is_refused_exactly_where_it_is_nested_too_deeply(value, limit, padding):
    text = padding + json.dumps(value).encode()
    if depth(value) <= limit:
        assert parse_json(text, limit) == value
    else:
        with pytest.raises(Refusal, match="LADING_DEPTH_LIMIT"):
            parse_json(text, limit)


def test_every_answer_of_a_server_that_is_shutting_down_is_the_last_of_its_connection():
    edge = Edge()

    async def drain():
        idle, busy, late = [await edge.connect() for _ in range(3)]
        await edge.loop.sock_sendall(busy, post(b'{"instances": [[-1.5]]}'))
        await edge.loop.sock_sendall(late, post(INSTANCES)[:-3])
        await edge.backend.asked.wait()
        closing = asyncio.ensure_future(edge.listener.close(5.0))
        assert await edge.read(idle) == b""
        await edge.loop.sock_sendall(late, post(INSTANCES)[-3:])
        edge.backend.waiting[0].set_result(None)
        answers = [await edge.read(busy), await edge.read(late)]
        await closing
        await edge.settle()
        for one in (idle, busy, late):
            one.close()
        return answers

    for answer in edge.run(drain()):
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"connection: close" in answer
    edge.loop.close()


def resident_kib(pid):
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:")[1].split()[0])


def test_a_thousand_slow_clients_take_little_memory_and_nobody_s_turn(serve):
    environ = {
        "LADING_BODY_TIMEOUT_S": "3",
        "LADING_BUFFER_LIMIT_BYTES": "10000000",
        "LADING_BODY_LIMIT_BYTES": "1000000",
    }
    code = "def run(data):\n    return len(data)"
    head = b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 900000\r\n\r\n"
    with serve(entry="score.py", files={"score.py": code}, environ=environ) as served, ExitStack() as stack:
        before = resident_kib(served.process.pid)
        clients = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(1000)]
        for round_ in range(4):
            for one in clients:
                if round_ == 0:
                    one.connect(served.uds)
                with suppress(OSError):
                    one.sendall(head if round_ == 0 else b" " * 15_000)
            assert served.post("abc") == (200, {"predictions": 3})
        assert resident_kib(served.process.pid) - before < 60_000
        for one in clients:
            one.settimeout(10)
            with suppress(ConnectionError):
                answer = one.recv(1000)
                assert not answer or answer[9:12] in {b"408", b"503"}
        assert served.post("abc") == (200, {"predictions": 3})
        assert served.stop() == 0


def test_a_request_whose_client_has_gone_never_reaches_the_model(serve):
    code = """
        import time
        def run(data):
            print("ran", data["name"])
            time.sleep(data["sleep_s"])
            return data["name"]
    """
    environ = {"LADING_WORKERS": "1"}
    with serve(entry="score.py", files={"score.py": code}, environ=environ) as served:
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(served.post, {"name": "first", "sleep_s": 1.0})
            served.await_log("ran first")
            with socket.socket(socket.AF_UNIX) as gone:
                gone.connect(served.uds)
                gone.sendall(
                    post(b'{"name": "gone", "sleep_s": 0}', more=b"content-type: application/json\r\n")
                )
                time.sleep(0.1)
            assert served.post({"name": "last", "sleep_s": 0}) == (200, {"predictions": "last"})
            assert first.result() == (200, {"predictions": "first"})
        assert "ran last" in served.log
        assert "ran gone" not in served.log


def test_a_server_that_is_replaced_fails_no_request(serve):
    code = "def run(data):\n    return data"
    with serve(entry="score.py", files={"score.py": code}, environ={"LADING_LAME_DUCK_S": "0.7"}) as served:

        def ask():
            count = 0
            while True:
                connection = served.connect()
                try:
                    connection.connect()
                except OSError:  # it listens no more, as a proxy knows by then
                    connection.close()
                    return count
                is_last = False
                while not is_last:
                    connection.request(
                        "POST", "/invocations", str(count), {"content-type": "application/json"}
                    )
                    response = connection.getresponse()
                    assert (response.status, json.loads(response.read())) == (200, {"predictions": count})
                    is_last = response.getheader("connection") == "close"
                    count += 1
                    time.sleep(0.002)
                connection.close()

        with ThreadPoolExecutor(4) as pool:
            asking = [pool.submit(ask) for _ in range(4)]
            time.sleep(0.4)
            assert served.stop() == 0
            assert all(one.result() > 10 for one in asking)


def test_json_of_more_lists_than_rows_can_need_is_refused_before_it_is_read():
    body = b"[" + b",".join([b"[]"] * 4_000_001) + b"]"
    with pytest.raises(Refusal, match="LADING_ROW_LIMIT") as caught:
        parse_json(body)
    assert caught.value.status == 413
    text = "[{" * 2_000_001
    assert parse_json(json.dumps(text).encode()) == text
