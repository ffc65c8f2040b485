"""Several packages behind one address, each in its own environment; swapped while they are asked."""

import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
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
def process(lading, packed, port):
    started = lading.start("serve", "left:1", "right:1", "--port", port)
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


def test_routes_without_a_name_are_of_the_first_model_or_of_none(served, triton):
    triton.unload_model("left")
    with pytest.raises(urllib.error.HTTPError, match="404") as refused:
        post(f"{served}/invocations", 1)
    assert "'left', which answers where no name is given, is not loaded" in refused.value.read().decode()
    triton.load_model("left")
    assert post(f"{served}/invocations", 1)["predictions"]["packaging"] == "23.2"


def test_a_version_is_swapped_while_it_is_asked_and_no_request_fails(served):
    seen, failures, is_over = [], [], threading.Event()

    def ask(data):
        while not is_over.is_set():
            try:
                seen.append(answer(served, "left", data)["version"])
            except OSError as error:
                failures.append(error)

    threads = [threading.Thread(target=ask, args=(data,)) for data in (1, 2, 3, "sleep")]
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


def test_servers_that_die_are_started_anew(served, process):
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


def urllib_status(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_package_that_is_not_there_ends_it_before_it_listens(lading, packed):
    assert "is not in the store" in lading.fails(8, "serve", "left:1", "nobody:1", "--port", free_port())
    assert "is named twice" in lading.fails(2, "serve", "left:1", "left:1", "--port", free_port())


def test_a_package_that_does_not_load_is_named_with_what_it_wrote_last(lading, packed, tmp_path):
    (tmp_path / "score.py").write_text(
        "raise RuntimeError('out of paper')\ndef run(data):\n    return data\n"
    )
    (tmp_path / "lading.yaml").write_text("model: .\nentry: score.py\nexample: {inputs: [1]}\n")
    lading("pack", tmp_path, "-t", "broken:1", "--no-verify")
    done = lading.run("serve", "left:1", "broken:1", "--port", free_port())
    assert done.returncode == 6
    error = done.stderr.rpartition("error: broken:1: ")[2]
    assert "did not load: RuntimeError: out of paper" in error
