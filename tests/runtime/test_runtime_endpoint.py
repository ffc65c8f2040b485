"""Whose turn it is at an endpoint, who is let in, who waits, and who is told of what failed."""

import asyncio
import collections
import hashlib
from contextlib import asynccontextmanager

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from lading_runtime.endpoint.app import Endpoint, Keys, Split
from lading_runtime.front.messages import Refusal

SHARES = st.dictionaries(st.sampled_from(["blue", "green", "red"]), st.integers(0, 100))


@given(SHARES)
def test_of_as_many_turns_as_there_are_shares_each_has_its_own(shares):
    split = Split(shares)
    total = sum(shares.values())
    turns = collections.Counter(split.turn() for _ in range(total))
    if total:
        assert all(abs(turns[name] - share) <= 1 for name, share in shares.items())
        assert all(turns[name] == 0 for name, share in shares.items() if not share)
    else:
        assert split.turn() is None


def test_who_has_one_of_the_keys_is_let_in():
    keys = Keys()
    with pytest.raises(Refusal):
        keys.check({b"authorization": b"Bearer first"})
    keys.digests = [hashlib.sha256(one).hexdigest() for one in (b"first", b"second")]
    keys.check({b"authorization": b"Bearer first"})
    keys.check({b"authorization": b"bearer second"})
    for wrong in (b"Bearer third", b"Basic first", b"first", b""):
        with pytest.raises(Refusal) as refused:
            keys.check({b"authorization": wrong})
        assert refused.value.status == 401


class Server:
    """An instance that answers with its name, as soon as it may, and notes what it was asked."""

    def __init__(self, name, status=200):
        self.name = name
        self.status = status
        self.heads = []
        self.may = asyncio.Event()
        self.may.set()
        self.facts = {"id": name}

    async def answer(self, reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.heads.append(head)
                await self.may.wait()
                body = self.name.encode()
                writer.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n" % (self.status, len(body)) + body)
        except asyncio.IncompleteReadError:
            writer.close()


@asynccontextmanager
async def serving(*servers, tcp=False):
    begun = []
    for number, one in enumerate(servers):
        if tcp:
            listening = await asyncio.start_server(one.answer, "127.0.0.1", 0)
            one.facts |= {"host": "127.0.0.1", "port": listening.sockets[0].getsockname()[1]}
        else:
            path = f"{serving.folder}/{number}"
            listening = await asyncio.start_unix_server(one.answer, path)
            one.facts |= {"socket": path}
        begun.append(listening)
    yield
    for one in begun:
        one.close()


def told(deployments, traffic=None, mirror=None):
    documents = {
        name: {
            "timeout_s": more.get("timeout_s", 5.0),
            "concurrency": more.get("concurrency", 1),
            "instance_count": len(servers),
            "scoring": more.get("scoring", "/score"),
            "instances": [one.facts for one in servers],
        }
        for name, (servers, more) in deployments.items()
    }
    return {"keys": [], "traffic": traffic or {}, "mirror": mirror or {}, "deployments": documents}


async def ask(app, url=b"/score", **headers):
    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return await app.answer(app.find("POST", url), "POST", named, b"", 0.0)


@pytest.fixture
def run(tmp_path):
    serving.folder = tmp_path

    def run(work):
        loop = uvloop.new_event_loop()
        try:
            return loop.run_until_complete(work())
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    return run


def test_traffic_is_split_and_a_header_pins_a_deployment(run):
    async def work():
        blue, green = Server("blue"), Server("green")
        async with serving(blue, green, tcp=True):
            app = Endpoint(Keys(), [].append)
            app.apply(told({"blue": ([blue], {}), "green": ([green], {})}, {"blue": 90, "green": 10}))
            answers = collections.Counter([(await ask(app)).body for _ in range(100)])
            assert answers == {b"blue": 90, b"green": 10}
            pinned = await ask(app, azureml_model_deployment=b"green", authorization=b"Bearer k")
            assert (pinned.body, pinned.headers["azureml-model-deployment"]) == (b"green", "green")
            assert b"Bearer k" not in green.heads[-1]
            unknown = await ask(app, azureml_model_deployment=b"red")
            assert unknown.status == 404
            app.apply(told({"blue": ([blue], {})}))
            assert (await ask(app)).status == 404
            app.apply(told({}))

    run(work)


def test_mirrored_traffic_is_a_copy_that_nobody_waits_for(run):
    async def work():
        blue, green = Server("blue"), Server("green")
        async with serving(blue, green):
            app = Endpoint(Keys(), [].append)
            many = {"concurrency": 9}
            app.apply(told({"blue": ([blue], {}), "green": ([green], many)}, {"blue": 100}, {"green": 50}))
            green.may.clear()
            for _ in range(10):
                assert (await ask(app)).body == b"blue"
            await ask(app, azureml_model_deployment=b"blue")  # what is pinned is not mirrored
            for _ in range(100):
                await asyncio.sleep(0.01)
                if len(green.heads) == 5:
                    break
            assert (len(blue.heads), len(green.heads)) == (11, 5)
            green.may.set()
            app.apply(told({}))
            await asyncio.sleep(0.05)

    run(work)


def test_what_is_too_much_is_refused_and_what_is_too_slow_given_up(run):
    async def work():
        blue = Server("blue")
        async with serving(blue):
            app = Endpoint(Keys(), [].append)
            app.apply(told({"blue": ([blue], {"timeout_s": 0.3})}, {"blue": 100}))
            blue.may.clear()
            answers = await asyncio.gather(*(ask(app) for _ in range(4)))
            assert sorted(one.status for one in answers) == [408, 408, 429, 429]
            blue.may.set()
            assert (await ask(app)).status == 200
            app.apply(told({}))

    run(work)


def test_an_error_of_the_model_is_told_from_one_of_the_endpoint(run):
    async def work():
        blue = Server("blue", status=400)
        async with serving(blue):
            app = Endpoint(Keys(), [].append)
            app.apply(told({"blue": ([blue], {"scoring": "/v2/models/m/infer"})}, {"blue": 100}))
            answer = await ask(app, b"/score?a=1")
            assert (answer.status, answer.body) == (424, b"blue")
            assert answer.headers["ms-azureml-model-error-statuscode"] == "400"
            assert blue.heads[-1].startswith(b"POST /v2/models/m/infer?a=1 ")
            await ask(app, b"/swagger.json")
            assert blue.heads[-1].startswith(b"POST /swagger.json ")
            app.apply(told({}))

    run(work)


def test_an_instance_that_is_gone_is_passed_over_and_one_that_leaves_is_drained(run):
    async def work():
        first, second, gone = Server("first"), Server("second"), Server("gone")
        gone.facts |= {"socket": f"{serving.folder}/nowhere"}
        async with serving(first, second):
            drained = []
            app = Endpoint(Keys(), drained.append)
            app.apply(told({"blue": ([gone, first, second], {})}, {"blue": 100}))
            answers = {(await ask(app)).body for _ in range(6)}
            assert answers == {b"first", b"second"}
            first.may.clear()
            second.may.clear()
            asked = asyncio.ensure_future(ask(app))
            await asyncio.sleep(0.1)
            app.apply(told({"blue": ([], {})}, {"blue": 100}))
            assert len(drained) == 2  # the third is being asked
            first.may.set()
            second.may.set()
            assert (await asked).status == 200
            assert set(drained) == {"first", "second", "gone"}
            app.apply(told({"blue": ([], {"timeout_s": 0.1})}, {"blue": 100}))
            assert (await ask(app)).status == 503

    run(work)
