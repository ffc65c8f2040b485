"""Several packages behind one address, each in its own environment; swapped while they are asked."""

import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import grpc
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

from engines import free_port
from running import post, wait_for

ROUTINE = """
import importlib.metadata
import time

def run(data):
    if data == "sleep":
        time.sleep(1.0)
    return {"version": "%s", "packaging": importlib.metadata.version("packaging")}
"""


@pytest.fixture(scope="module")
def packed(lading, tmp_path_factory):
    """Two models whose libraries clash, and a second version of one."""
    folder = tmp_path_factory.mktemp("models")
    for name, library in (("left:1", "23.2"), ("left:2", "23.2"), ("right:1", "24.2")):
        place = folder / name.replace(":", "-")
        place.mkdir()
        (place / "score.py").write_text(ROUTINE % name)
        spec = f"model: .\nentry: score.py\nrequirements: [packaging=={library}]\n"
        (place / "lading.yaml").write_text(spec + "example: {inputs: [1]}\n")
        lading("pack", place, "-t", name, "--no-verify")
    return folder


@pytest.fixture(scope="module")
def port():
    return free_port()


@pytest.fixture(scope="module")
def grpc_port():
    return free_port()


@pytest.fixture(scope="module")
def process(lading, packed, port, grpc_port):
    started = lading.start("serve", "left:1", "right:1", "--port", port, "--grpc-port", grpc_port)
    yield started
    started.send_signal(signal.SIGTERM)
    assert started.wait(30) == 0
    started.stdout.close()


@pytest.fixture(scope="module")
def served(process, port):
    url = f"http://localhost:{port}"
    assert wait_for(f"{url}/v2/health/ready", process) == 200
    return url


@pytest.fixture
def triton(served):
    client = tritonclient.http.InferenceServerClient(served.removeprefix("http://"))
    yield client
    client.close()


@pytest.fixture
def caller(served, grpc_port):
    with tritonclient.grpc.InferenceServerClient(f"localhost:{grpc_port}") as client:
        yield client


def call(client, model, **more):
    """Ask over gRPC; return which package says that it answers, and what it calls itself."""
    tensor = tritonclient.grpc.InferInput("data", [1], "INT64").set_data_from_numpy(np.array([1]))
    found = client.infer(model, [tensor], client_timeout=30, **more)
    about = found.get_response()
    said = b"".join(found.as_numpy(one.name).tolist()[0] for one in about.outputs).decode()
    return said, about.model_name, about.model_version


def answer(url, model, data=1):
    return post(f"{url}/models/{model}/invocations", data)["predictions"]


def test_two_models_with_clashing_libraries_answer_side_by_side(served):
    assert answer(served, "left")["packaging"] == "23.2"
    assert answer(served, "right")["packaging"] == "24.2"
    assert post(f"{served}/invocations", 1)["predictions"]["packaging"] == "23.2"  # the first answers for all


def test_tritons_client_sees_loads_and_unloads_models(served, triton):
    assert triton.is_server_ready()
    assert {(one["name"], one["state"]) for one in triton.get_model_repository_index()} >= {
        ("right", "READY")
    }
    triton.unload_model("right")
    assert not triton.is_model_ready("right")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        answer(served, "right")
    index = {one["name"]: one for one in triton.get_model_repository_index()}
    assert (index["right"]["state"], index["right"]["reason"]) == ("UNAVAILABLE", "unloaded")
    assert answer(served, "left")["version"].startswith("left")
    triton.load_model("right")
    assert triton.is_model_ready("right")
    assert answer(served, "right")["packaging"] == "24.2"
    with pytest.raises(InferenceServerException, match="is not in the store"):
        triton.load_model("nobody")


def test_a_model_is_called_as_its_tag_says_whoever_asks(served, triton):
    assert triton.get_model_metadata("left")["versions"] == ["1"]
    for path in ("left", "left/versions/1", "left-1"):  # which the package calls itself
        told = json.load(urllib.request.urlopen(f"{served}/v2/models/{path}", timeout=30))
        assert (told["name"], told["versions"]) == ("left", ["1"]), path
    tensor = {"name": "data", "shape": [1], "datatype": "INT64", "data": [1]}
    infer = post(f"{served}/v2/models/left/versions/1/infer", {"inputs": [tensor]})
    assert (infer["model_name"], infer["model_version"]) == ("left", "1")
    assert {one["name"] for one in triton.get_inference_statistics()["model_stats"]} == {"left", "right"}
    with pytest.raises(InferenceServerException, match="got version '7'"):
        triton.get_model_metadata("left", "7")
    assert post(f"{served}/predictions/right/1", 1)["packaging"] == "24.2"  # TorchServe's


def test_a_document_says_where_its_routes_begin(served):
    for path, servers in (("/models/right", [{"url": "/models/right"}]), ("", None)):
        with urllib.request.urlopen(f"{served}{path}/openapi.json", timeout=30) as response:
            document = json.load(response)
        assert document.get("servers") == servers
        assert document["info"]["title"] == ("right" if path else "left")


def test_calls_of_grpc_reach_the_model_that_they_name(served, caller):
    assert caller.is_server_live()
    assert caller.is_server_ready()
    assert caller.is_model_ready("right", "1")
    assert caller.get_model_metadata("right").name == "right"
    said, name, version = call(caller, "right", request_id="7")
    assert ("24.2" in said, name, version) == (True, "right", "1")
    assert "23.2" in call(caller, "left", model_version="1")[0]
    index = caller.get_model_repository_index().models
    assert ("right", "1", "READY") in {(one.name, one.version, one.state) for one in index}
    for model, version in (("nobody", ""), ("left", "7")):
        with pytest.raises(InferenceServerException, match=r"NOT_FOUND.*expected one of: left 1, right 1"):
            call(caller, model, model_version=version)


def test_models_are_loaded_and_unloaded_over_grpc(served, caller, grpc_port):
    caller.unload_model("right")
    with pytest.raises(InferenceServerException, match="NOT_FOUND"):
        call(caller, "right")
    with grpc.insecure_channel(f"localhost:{grpc_port}") as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert check(b"", timeout=30) == check(b"\x0a\x04left", timeout=30) == b"\x08\x01"
        with pytest.raises(grpc.RpcError) as refused:
            check(b"\x0a\x05right", timeout=30)
        assert refused.value.code() == grpc.StatusCode.NOT_FOUND
    caller.load_model("right")
    assert "24.2" in call(caller, "right")[0]
    with pytest.raises(InferenceServerException, match=r"NOT_FOUND.*is not in the store"):
        caller.load_model("nobody")


def test_routes_without_a_name_are_of_the_first_model_or_of_none(served, triton):
    triton.unload_model("left")
    with pytest.raises(urllib.error.HTTPError, match="404") as refused:
        post(f"{served}/invocations", 1)
    assert "'left', which answers where no name is given, is not loaded" in refused.value.read().decode()
    triton.load_model("left")
    assert post(f"{served}/invocations", 1)["predictions"]["packaging"] == "23.2"


def test_a_version_is_swapped_while_it_is_asked_and_no_request_fails(served, caller):
    seen, called, failures, is_over = [], set(), [], threading.Event()

    def ask(data):
        while not is_over.is_set():
            try:
                seen.append(answer(served, "left", data)["version"])
            except OSError as error:
                failures.append(error)

    def ask_over_grpc():
        while not is_over.is_set():
            try:
                said, _, version = call(caller, "left")
                called.add(version)
                assert f"left:{version}" in said
            except (InferenceServerException, AssertionError) as error:
                failures.append(error)

    threads = [threading.Thread(target=ask, args=(data,)) for data in (1, 2, 3, "sleep")]
    threads += [threading.Thread(target=ask_over_grpc)]
    for thread in threads:
        thread.start()
    for version in ("2", "1", "2"):
        body = {"parameters": {"version": version}}
        request = urllib.request.Request(
            f"{served}/v2/repository/models/left/load", json.dumps(body).encode()
        )
        with urllib.request.urlopen(request, timeout=60) as loaded:
            assert json.load(loaded)["version"] == version
        assert answer(served, "left")["version"] == f"left:{version}"
        time.sleep(0.3)
    is_over.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert {"left:1", "left:2"} == set(seen)
    assert called == {"1", "2"}


def test_metrics_say_which_model_each_line_is_of(served):
    answer(served, "right")
    with urllib.request.urlopen(f"{served}/metrics", timeout=30) as response:
        lines = response.read().decode().splitlines()
    assert any(line.startswith('lading_requests_total{model="right",version="1"') for line in lines)
    assert len([line for line in lines if line.startswith("# TYPE lading_ready ")]) == 1


def below(pid):
    """List a process and all below it."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(one for child in children for one in below(int(child)))]


def test_servers_that_die_are_started_anew(served, caller, process):
    for pid in below(process.pid):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:  # it has ended meanwhile
            continue
        if b"lading_runtime" in words and b"serve" in words:
            os.kill(pid, signal.SIGKILL)
    with pytest.raises(urllib.error.HTTPError, match=r"50[03]"):
        answer(served, "right")
    deadline_s = time.monotonic() + 60
    while urllib_status(f"{served}/v2/health/ready") != 200:
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    assert answer(served, "right")["packaging"] == "24.2"
    assert answer(served, "left")["packaging"] == "23.2"
    assert "24.2" in call(caller, "right")[0]


def test_a_router_that_is_killed_is_told_of(lading, packed):
    port = free_port()
    started = lading.start("serve", "right:1", "--repository", "--port", port)
    assert wait_for(f"http://localhost:{port}/v2/health/ready", started) == 200
    for pid in below(started.pid):
        if b"lading_runtime.router" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
            os.kill(pid, signal.SIGKILL)
    output, _ = started.communicate(timeout=60)
    assert started.returncode == 137
    assert "the router, which listens for all packages, has ended with status 137" in output


def urllib_status(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_package_that_is_not_there_ends_it_before_it_listens(lading, packed):
    assert "is not in the store" in lading.fails(8, "serve", "left:1", "nobody:1", "--port", free_port())
    assert "is named twice" in lading.fails(2, "serve", "left:1", "left:1", "--port", free_port())
    same = free_port()
    assert "is the port of HTTP" in lading.fails(2, "serve", "left:1", "--port", same, "--grpc-port", same)
    lading("tag", "right:1", "elsewhere/left:1")
    clash = lading.fails(2, "serve", "left:1", "elsewhere/left:1", "--port", free_port())
    assert "elsewhere/left:1: would be served as left 1, as left:1 is" in clash


def test_a_package_that_does_not_load_is_named_with_what_it_wrote_last(lading, packed, triton, tmp_path):
    (tmp_path / "score.py").write_text(
        "raise RuntimeError('out of paper')\ndef run(data):\n    return data\n"
    )
    (tmp_path / "lading.yaml").write_text("model: .\nentry: score.py\nexample: {inputs: [1]}\n")
    lading("pack", tmp_path, "-t", "broken:1", "--no-verify")
    done = lading.run("serve", "left:1", "broken:1", "--port", free_port())
    assert done.returncode == 6
    error = done.stderr.rpartition("error: broken:1: ")[2]
    assert "did not load: RuntimeError: out of paper" in error
    assert "the last that it wrote: " in error
    with pytest.raises(InferenceServerException) as refused:
        triton.load_model("broken:1")
    told = "its server ended with status 3: the model did not load: RuntimeError: out of paper"
    assert told in str(refused.value)
    assert "score.py" not in str(refused.value)
    assert "the last that it wrote" not in str(refused.value)
