"""A package travels: pushed to a registry, pulled and run everywhere, under one digest."""

import json
import re
import subprocess

import pytest

from desk import AMD64, ARM64, Desk
from engines import PASSWORD, USER, WORDS, end, free_port
from lading.core.reference import Reference
from lading.pipeline.transfer import pull, push
from models import rows, write_iris
from running import LADING, Lading, post, wait_for

pytestmark = pytest.mark.network

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@pytest.fixture(scope="module")
def world(lading, tls_registry, tmp_path_factory):
    """Variables with which every tool trusts the registry and is logged in; the login is lading's."""
    folder = tmp_path_factory.mktemp("login")
    env = {"DOCKER_CONFIG": str(folder), "SSL_CERT_FILE": str(tls_registry.certificate)}
    command = [*LADING, "login", tls_registry.host, "-u", USER, "--password-stdin"]
    subprocess.run(command, input=PASSWORD, text=True, env={**lading.env, **env}, check=True)
    return env


@pytest.fixture(scope="module")
def package(lading, world, tls_registry, tmp_path_factory):
    """A package made here and pushed: its name in the registry, and its digest."""
    name = f"{tls_registry.host}/team/iris:1"
    lading("pack", write_iris(tmp_path_factory.mktemp("iris") / "iris-model"), "-t", "iris:travel")
    pushed = json.loads(lading("push", "iris:travel", name, "--json", env=world))
    assert pushed["attached"] >= 2
    return name, pushed["digest"]


def call(tool, env, *arguments):
    command = ["env", *(f"{key}={value}" for key, value in env.items()), *tool.command]
    return subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, check=True, timeout=200
    ).stdout


def predictions(tool, image):
    """Run a container as platforms do, on a read-only root; return its predictions."""
    port = free_port()
    limits = [one for one in tool.run_flags if not one.startswith("--network")]
    flags = [*limits, "--rm", "--network=host", "--read-only", "--tmpfs=/tmp", f"--env=LADING_PORT={port}"]
    process = subprocess.Popen([*tool.command, "run", "--name=travel", *flags, image])
    try:
        wait_for(f"http://127.0.0.1:{port}/v2/health/ready", process)
        answer = post(f"http://127.0.0.1:{port}/invocations", rows(0, 60, 140))
        tool.call("stop", "--time=20", "travel")
        assert process.wait(60) == 0
        return answer["predictions"]
    finally:
        end(process)


@pytest.mark.parametrize("name", ["podman", "docker"])
def test_an_engine_pulls_and_runs_it_under_the_same_digest(request, name, world, package):
    tool = request.getfixturevalue(name)
    image, digest = package
    call(tool, world, "pull", image)
    (known,) = json.loads(call(tool, world, "image", "inspect", image))[0]["RepoDigests"][:1]
    assert known.endswith(f"@{digest}")
    assert predictions(tool, f"{image.rpartition(':')[0]}@{digest}") == [0, 1, 2]


def test_lading_elsewhere_pulls_verifies_and_serves_it_under_the_same_digest(world, package, tmp_path):
    image, digest = package
    elsewhere = Lading(tmp_path / "elsewhere")
    assert json.loads(elsewhere("pull", image, "-t", "iris:here", "--json", env=world))["digest"] == digest
    shown = elsewhere.json("show", "iris:here")
    assert (shown["digest"], shown["report"]["passed"]) == (digest, True)
    assert json.loads(elsewhere("verify", "iris:here", "--json"))["matched"] == 150
    port = free_port()
    process = elsewhere.start("serve", "iris:here", "--port", port)
    try:
        wait_for(f"http://127.0.0.1:{port}/v2/health/ready", process)
        answer = post(f"http://127.0.0.1:{port}/invocations", rows(0, 60, 140))
        assert answer["predictions"] == [0, 1, 2]
    finally:
        end(process)
        process.stdout.close()


def test_skopeo_names_the_same_digest(skopeo, world, package):
    image, digest = package
    assert call(skopeo, world, "inspect", "--format", "{{.Digest}}", f"docker://{image}").strip() == digest


def test_a_second_model_sends_little_more_than_its_own_bytes(lading, world, package, tmp_path):
    lading("pack", write_iris(tmp_path / "other", seed=1), "-t", "iris:second", "--no-verify")
    image = package[0].replace("iris:1", "iris:2")
    pushed = json.loads(lading("push", "iris:second", image, "--json", env=world))
    assert pushed["moved_bytes"] < 100_000 < pushed["size_bytes"] / 100


@pytest.fixture
def several(registry, tiny_layer, tmp_path):
    """An image of two platforms in a registry: its name there, and its digest."""
    desk = Desk(tmp_path / "desk")
    index = desk.index(*(desk.image(*tiny_layer, platform) for platform in (AMD64, ARM64)))
    desk.store.tag(Reference.parse("hello:1"), index)
    return str(push(desk.context, "hello:1", f"{registry.host}/travel/several").reference), str(index.digest)


@pytest.mark.parametrize("name", ["podman", "docker"])
def test_what_an_engine_pulls_runs_and_pushes_again_comes_back(request, name, several, registry, tmp_path):
    tool = request.getfixturevalue(name)
    image, digest = several
    insecure = ["--tls-verify=false"] if name == "podman" else []
    tool.call("pull", *insecure, image)
    assert digest in str(json.loads(tool.call("image", "inspect", image))[0]["RepoDigests"])
    assert tool.run(f"{image.rpartition(':')[0]}@{digest}").encode() == WORDS
    again = f"{registry.host}/travel/from-{name}:1"
    tool.call("tag", image, again)
    said = tool.call("push", *insecure, *(["--digestfile", tmp_path / "digest"] if insecure else []), again)
    pushed = (tmp_path / "digest").read_text() if insecure else DIGEST.findall(said)[-1]
    assert str(pull(Desk(tmp_path / "reader").context, again).digest) == pushed
