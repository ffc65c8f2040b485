"""Which of several packages answers, and what loading and unloading do to the others."""

import asyncio
import json
import socket
import threading
import time
from contextlib import asynccontextmanager, suppress

import pytest
import uvloop

from lading_runtime.front.messages import Refusal
from lading_runtime.router import upstream as upstream_room
from lading_runtime.router.app import Router
from lading_runtime.router.control import Control
from lading_runtime.router.fleet import Fleet
from lading_runtime.router.upstream import Upstream


def facts(reference, own_name="own", own_version="1", **more):
    name, _, version = reference.rpartition("/")[2].partition(":")
    own = {"own_name": own_name, "own_version": own_version}
    return {
        "reference": reference,
        "name": name,
        "version": version,
        "socket": reference,
        "grpc_socket": "",
        **own,
        **more,
    }


def fleet(*references, path="", **more):
    return Fleet([facts(one, **more) for one in references], Control(path))


def references(served):
    return [one.reference for one in served.members]


@asynccontextmanager
async def ordered(tmp_path, *references, **more):
    """A fleet whose orders are obeyed."""

    async def obey(reader, writer):
        order = json.loads(await reader.readline())
        answer = facts(order["reference"]) if order["do"] == "load" else {}
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()
        writer.close()

    path = str(tmp_path / "control")
    async with await asyncio.start_unix_server(obey, path):
        served = fleet(*references, path=path, **more)
        yield served
        await asyncio.gather(*served._ending)


def test_the_first_answers_for_what_names_no_version():
    served = fleet("np:2", "np:1", "other:1")
    assert served.default.version == served.find("np").version == "2"
    assert served.find("np", "1").reference == "np:1"


def test_a_version_is_the_tags_and_the_packages_own_only_under_its_own_name():
    alone = fleet("np:2", own_name="np")
    with pytest.raises(Refusal, match="got version '1' of model 'np', expected one of: np 2"):
        alone.find("np", "1")
    served = fleet("np:2", "np:7", "b:1")
    assert served.find("np", "2").version == "2"
    with pytest.raises(Refusal, match="got version '1'"):
        served.find("np", "1")
    one = fleet("np:2")
    assert one.find("own", "1").reference == "np:2"


def test_a_version_that_is_named_before_a_verb_is_found():
    router = Router(fleet("np:1", "np:2"))
    for version in ("1", "2"):
        upstream, path = router._meant("POST", f"/v1/models/np/versions/{version}:predict")
        assert (upstream.version, path) == (version, "/v1/models/np:predict")
    upstream, path = router._meant("GET", "/v1/models/np/versions/2")
    assert (upstream.version, path) == ("2", "/v1/models/np")


@pytest.mark.parametrize(
    ("before", "name", "parameters", "after"),
    [
        (["np:1", "np:2"], "np", {"version": "1"}, ["np:1", "np:2"]),
        (["np:1", "np:2", "b:1"], "np", {"version": "2"}, ["np:2", "np:1", "b:1"]),
        (["a:1", "np:1", "b:1"], "np", {"version": "2"}, ["a:1", "np:2", "b:1"]),
        (["np:1", "np:2"], "np:3", {}, ["np:3", "np:2"]),
        (["np:1"], "b:1", {}, ["np:1", "b:1"]),
        (["r:5000/a/np:1"], "np", {"version": 2}, ["r:5000/a/np:2"]),
        (["np:1"], "np", {"reference": "r:5000/a/np:1"}, ["r:5000/a/np:1"]),
        (["np:1"], "b", {"version": "1"}, ["np:1", "b:1"]),
    ],
)
def test_a_version_that_is_loaded_leaves_others_where_they_are(tmp_path, before, name, parameters, after):
    async def load():
        async with ordered(tmp_path, *before) as served:
            await served.load(name, parameters)
            assert references(served) == after

    asyncio.run(load())


def test_a_version_is_unloaded_by_itself_where_it_is_named(tmp_path):
    async def unload():
        async with ordered(tmp_path, "np:1", "np:2", "np:3") as served:
            await served.unload("np", {"version": 1})
            assert references(served) == ["np:2", "np:3"]
            with pytest.raises(Refusal, match="got version '1' of model 'np'"):
                await served.unload("np", {"version": "1"})
            await served.unload("np:3", {})
            assert references(served) == ["np:2"]
            await served.unload("np", {})
            assert not served.members

    asyncio.run(unload())


class Server(threading.Thread):
    """A package's server on a Unix socket, which does with each request what it is told to."""

    def __init__(self, path, *doings):
        super().__init__(daemon=True)
        self.path = str(path)
        self.doings = list(doings)
        self.asked = []
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(self.path)
        self._listening.listen()
        self.start()

    def run(self):
        while self.doings:
            try:
                connection, _ = self._listening.accept()
            except OSError:  # nobody asks any more
                return
            with connection:
                while self.doings and (doing := self.doings.pop(0)) != "close":
                    self.asked.append(connection.recv(1 << 16))
                    if doing == "die":
                        break
                    if doing == "hang":
                        connection.recv(1)
                        break
                    head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(doing)}\r\n\r\n"
                    connection.sendall(head.encode() + doing)

    def end(self):
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self.join()
        self._listening.close()


@pytest.fixture
def server(tmp_path):
    """Start servers, which end with the test."""
    started = []

    def start(*doings):
        started.append(Server(tmp_path / str(len(started)), *doings))
        return started[-1]

    yield start
    for one in started:
        one.end()


def asked(server, *steps):
    """Ask a server one thing after another; return its answers, or why there is none."""
    upstream = Upstream(facts("np:1", socket=server.path))

    async def ask():
        answers = []
        for method, body in steps:
            try:
                answers.append((await upstream.ask(method, b"/", {}, body)).body)
            except Refusal as refusal:
                answers.append(refusal.status)
            time.sleep(0.05)  # noqa: ASYNC251 - what comes meanwhile is not seen before something is asked
        await upstream.close()
        return answers

    return uvloop.run(ask())


def test_what_a_server_has_read_is_not_asked_again_unless_asking_changes_nothing(server):
    posted = server(b"1", "die", b"2")
    assert asked(posted, ("POST", b""), ("POST", b"")) == [b"1", 500]
    assert len(posted.asked) == 2
    got = server(b"1", "die", b"2")
    assert asked(got, ("GET", b""), ("GET", b"")) == [b"1", b"2"]


def test_a_connection_that_was_closed_before_a_request_was_read_is_replaced(server):
    closing = server(b"1", "close", b"2")
    assert asked(closing, ("POST", b"x"), ("POST", b"y")) == [b"1", b"2"]


def routed(method, path, *servers, headers=None):
    """Ask a router of several servers."""
    named = [facts(f"m{at}:1", socket=one.path) for at, one in enumerate(servers)]
    router = Router(Fleet(named, Control("")))

    async def ask():
        answer = await router.answer(router.find(method, path), method, headers or {}, b"", 0.0)
        for one in router.fleet.members:
            await one.close()
        await asyncio.sleep(0.01)  # in which connections really close
        return answer

    return uvloop.run(ask())


def test_a_server_that_hangs_holds_up_no_question_about_models(server, monkeypatch):
    monkeypatch.setattr(upstream_room, "TOLD_S", 1.0)
    hung = server("hang")
    refused = routed("GET", b"/v2/models/m0/ready", hung)
    assert (refused.status, b"did not answer within 1 s" in refused.body) == (503, True)
    hung, well = server("hang"), server(b"# TYPE a gauge\na 1\n")
    told = routed("GET", b"/metrics", hung, well)
    assert (told.status, told.body) == (200, b'# TYPE a gauge\na{model="m1",version="1"} 1\n')


OPEN = b"# TYPE a counter\na_total 1\n# EOF\n"
PLAIN = b"# TYPE a_total counter\na_total 1\n"


def test_metrics_are_openmetrics_where_that_is_asked_for_and_all_know_it(server):
    wants = {b"accept": b"application/openmetrics-text; version=1.0.0"}
    line = 'a_total{model="m%d",version="1"} 1\n'
    told = routed("GET", b"/metrics", server(OPEN), server(OPEN), headers=wants)
    assert told.body.decode() == "# TYPE a counter\n" + line % 0 + line % 1 + "# EOF\n"
    assert told.content_type.startswith(b"application/openmetrics-text")
    old = server(PLAIN, PLAIN)
    told = routed("GET", b"/metrics", old, server(OPEN, PLAIN), headers=wants)
    assert told.body.decode() == "# TYPE a_total counter\n" + line % 0 + line % 1
    assert told.content_type.startswith(b"text/plain")
