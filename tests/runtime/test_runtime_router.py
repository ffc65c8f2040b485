"""Which of several packages answers, and what loading and unloading do to the others."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from lading_runtime.front.messages import Refusal
from lading_runtime.router.app import Router
from lading_runtime.router.control import Control
from lading_runtime.router.fleet import Fleet


def facts(reference, own_name="own", own_version="1", **more):
    name, _, version = reference.partition(":")
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
