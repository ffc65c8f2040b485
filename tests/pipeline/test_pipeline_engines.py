"""A package outside lading: in podman, in Docker Engine, under skopeo, and served on this machine."""

import json
import signal
import subprocess
import urllib.error
import urllib.request

import pytest

from engines import CONTAINERS_CONF, end, free_port
from models import rows, write_iris
from running import post, wait_for

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def iris(lading, tmp_path_factory):
    lading("pack", write_iris(tmp_path_factory.mktemp("iris") / "iris-model"), "-t", "iris:engines")
    return "iris:engines"


@pytest.fixture(scope="module")
def archive(lading, iris, tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "iris.tar"
    lading("export", iris, path, "--format", "docker-archive")
    return path


def run_container(command, port, image):
    """Run the image on a read-only root as the platforms do; return its predictions and its exit status."""
    flags = [
        "--rm",
        "--network=host",
        "--read-only",
        "--tmpfs=/tmp",
        "--cap-drop=ALL",
        f"--env=LADING_PORT={port}",
    ]
    process = subprocess.Popen([*command, "run", "--name=iris-test", *flags, image])
    try:
        wait_for(f"http://127.0.0.1:{port}/v2/health/ready", process)
        answer = post(f"http://127.0.0.1:{port}/invocations", rows(0, 60, 140))
        subprocess.run([*command, "stop", "--time=20", "iris-test"], check=True, capture_output=True)
        return answer, process.wait(30)
    finally:
        end(process)


def test_docker_engine_loads_and_runs_it(docker, archive, iris):
    assert iris in docker.call("load", "-i", archive)
    answer, status = run_container(docker.command, free_port(), iris)
    assert answer == {"predictions": [0, 1, 2]}
    assert status == 0


def test_docker_engine_sees_a_user_a_port_and_a_health_check(docker, archive, iris):
    docker.call("load", "-i", archive)
    settings = json.loads(docker.call("inspect", iris))[0]["Config"]
    assert settings["User"] == "65532:0"
    assert "8080/tcp" in settings["ExposedPorts"]
    assert settings["Healthcheck"]["Test"][0] == "CMD"


def test_podman_loads_and_runs_it(podman, archive, iris):
    podman.call("load", "-i", archive)
    limits = podman.run_flags[:-1]
    command = (*podman.command, "run", *limits)
    port = free_port()
    flags = [
        "--rm",
        "--network=host",
        "--read-only",
        "--tmpfs=/tmp",
        f"--env=LADING_PORT={port}",
        f"localhost/{iris}",
    ]
    process = subprocess.Popen([*command, "--name=iris-test", *flags])
    try:
        wait_for(f"http://127.0.0.1:{port}/v2/health/ready", process)
        assert post(f"http://127.0.0.1:{port}/invocations", rows(0, 60, 140)) == {"predictions": [0, 1, 2]}
        podman.call("stop", "--time=20", "iris-test")
        assert process.wait(30) == 0
    finally:
        end(process)


def test_skopeo_reads_the_layout(skopeo, lading, iris, tmp_path):
    lading("export", iris, tmp_path / "layout", "--format", "oci")
    seen = json.loads(skopeo.call("inspect", f"oci:{tmp_path}/layout:{iris}"))
    assert seen["Digest"] == lading.json("show", iris)["digest"]
    assert seen["Labels"]["org.opencontainers.image.title"] == "iris"


@pytest.mark.parametrize("kind", ["unshare", "bwrap", "podman", "docker"])
def test_every_sandbox_verifies_it(request, lading, iris, kind, tmp_path):
    env = {}
    if kind == "podman":
        request.getfixturevalue("podman")
        env["CONTAINERS_CONF"] = str(tmp_path / "containers.conf")
        (tmp_path / "containers.conf").write_text(CONTAINERS_CONF)
    elif kind == "docker":
        env["DOCKER_HOST"] = request.getfixturevalue("docker").command[-1]
    report = json.loads(lading("verify", iris, "--sandbox", kind, "--json", env=env))
    assert (report["sandbox"], report["matched"], report["passed"]) == (kind, 150, True)


def test_serving_answers_and_ends_well(lading, iris):
    port = free_port()
    process = lading.start("serve", iris, "--port", port)
    try:
        assert wait_for(f"http://127.0.0.1:{port}/v2/health/ready", process) == 200
        assert post(f"http://127.0.0.1:{port}/invocations", rows(0, 60, 140)) == {"predictions": [0, 1, 2]}
        with pytest.raises(urllib.error.HTTPError) as refused:
            post(
                f"http://127.0.0.1:{port}/invocations", {"dataframe_split": {"columns": ["a"], "data": [[1]]}}
            )
        assert refused.value.code == 400
        refused.value.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert "shutting down" in process.stdout.read()
    finally:
        end(process)
        process.stdout.close()


def test_a_taken_port_is_told_before_anything_starts(lading, iris):
    port = free_port()
    first = lading.start("serve", iris, "--port", port)
    try:
        wait_for(f"http://127.0.0.1:{port}/v2/health/ready", first)
        said = lading.fails(2, "serve", iris, "--port", port)
        assert f"127.0.0.1:{port}" in said
        assert "--port" in said
    finally:
        end(first)
        first.stdout.close()
