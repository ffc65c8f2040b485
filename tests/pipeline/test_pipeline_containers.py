"""`lading run`: a package in podman, Docker Engine and the sandbox; its ports, variables, log and end."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from engines import CONTAINERS_CONF, end, free_port, require
from models import rows, write_iris
from running import LADING, Lading, post

pytestmark = pytest.mark.network
SECRET = "correct-horse"
KEY = "-----BEGIN KEY-----\nbattery-staple\n-----END KEY-----"


@pytest.fixture(scope="module")
def iris(lading, tmp_path_factory):
    lading("pack", write_iris(tmp_path_factory.mktemp("iris") / "iris-model"), "-t", "iris:run")
    return "iris:run"


class Host:
    """This machine with one engine that has a storage of its own; `env` is what its client honours."""

    def __init__(self, engine, env):
        self.engine = engine
        self.env = env

    def call(self, *arguments):
        command = [self.engine, *arguments]
        env = {**os.environ, **self.env}
        return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def podman_host(engine_folder):
    require("podman", "podman")
    require("runc", "runc")
    folder = engine_folder / "run"
    folder.mkdir()
    (folder / "containers.conf").write_text(CONTAINERS_CONF)
    storage = f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/root"\nrunroot = "{folder}/run"\n'
    (folder / "storage.conf").write_text(storage)
    env = {
        "CONTAINERS_CONF": f"{folder}/containers.conf",
        "CONTAINERS_STORAGE_CONF": f"{folder}/storage.conf",
    }
    yield Host("podman", env)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def host(request):
    if request.param == "podman":
        return request.getfixturevalue("podman_host")
    if request.param == "docker":
        return Host("docker", {"DOCKER_HOST": request.getfixturevalue("docker").command[-1]})
    return Host("sandbox", {})


class Run:
    """`lading run` in the background; what it says is in a file."""

    def __init__(self, lading, host, log, *arguments):
        self.log = log
        command = [*LADING, "run", *map(str, arguments), "--engine", host.engine, "--verbose"]
        with log.open("wb") as file:
            env = {**lading.env, **host.env, "TOKEN": SECRET, "KEY": KEY}
            self.process = subprocess.Popen(command, env=env, stdout=file, stderr=file)

    def wait_for(self, words, timeout_s=120.0):
        deadline_s = time.monotonic() + timeout_s
        while words not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline_s, self.log.read_text()
            time.sleep(0.05)

    def stop(self, number):
        self.process.send_signal(number)
        return self.process.wait(60)


def command_lines():
    texts = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            texts.append(path.read_bytes())
        except OSError:
            continue
    return b"\n".join(texts)


@pytest.mark.parametrize("host", ["podman", "docker", "sandbox"], indirect=True)
def test_it_runs_answers_logs_and_ends_well(lading, iris, host, tmp_path):
    port = free_port()
    settings = tmp_path / "settings.env"
    settings.write_text("# of the server\nLADING_LOG_LEVEL=debug\nTOKEN\n")
    wanted = (iris, "-p", f"127.0.0.1:{port}:8080", "-e", "KEY", "--env-file", settings)
    first = Run(lading, host, tmp_path / "first", *wanted)
    try:
        first.wait_for("loaded in")  # the log is followed while it runs
        assert post(f"http://127.0.0.1:{port}/invocations", rows(0, 60, 140)) == {"predictions": [0, 1, 2]}
        assert SECRET.encode() not in command_lines()
        assert b"battery-staple" not in command_lines()
        if host.engine != "sandbox":
            program = "import json, os; print(json.dumps([os.environ['TOKEN'], os.environ['KEY']]))"
            (container,) = host.call("ps", "--quiet").split()
            said = host.call("exec", container, "/opt/lading/env/bin/python", "-c", program)
            assert json.loads(said) == [SECRET, KEY]
        assert first.stop(signal.SIGTERM) == 0
    finally:
        end(first.process)
    text = first.log.read_text()
    assert f"{host.engine}: http://127.0.0.1:{port}" in text
    assert "shutting down" in text
    assert SECRET not in text
    second = Run(lading, host, tmp_path / "second", *wanted)
    try:
        second.wait_for("loaded in")
        assert second.stop(signal.SIGINT) == 0
    finally:
        end(second.process)
    assert "shutting down" in second.log.read_text()
    if host.engine != "sandbox":
        # the engine was given the image once, and keeps no container
        assert [("is given the image" in log.read_text()) for log in (first.log, second.log)] == [True, False]
        assert host.call("ps", "--all", "--quiet") == ""


@pytest.mark.parametrize("host", ["podman", "sandbox"], indirect=True)
def test_the_exit_status_is_the_containers(lading, iris, host):
    said = lading.fails(2, "run", iris, "--engine", host.engine, "--", "dance", env=host.env)
    assert "got 'dance', expected 'serve'" in said


@pytest.mark.parametrize("host", ["podman", "sandbox"], indirect=True)
def test_a_taken_port_is_told_before_anything_starts(lading, iris, host):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        wanted = (iris, "--engine", host.engine, "-p", f"127.0.0.1:{port}:8080")
        said = lading.fails(2, "run", *wanted, env=host.env)
    assert f"cannot listen on 127.0.0.1:{port}" in said
    assert "--publish" in said


def test_what_is_not_here_is_pulled_from_its_registry(lading, iris, registry, podman_host, tmp_path):
    name = f"{registry.host}/team/iris:run"
    lading("push", iris, name)
    elsewhere = Lading(tmp_path / "elsewhere")
    said = elsewhere.fails(2, "run", name, "--engine", "podman", "--", "dance", env=podman_host.env)
    assert "got 'dance', expected 'serve'" in said
    assert elsewhere.json("show", name)["digest"] == lading.json("show", iris)["digest"]
    unknown = f"{registry.host}/team/other:1"
    assert unknown in elsewhere.fails(8, "run", unknown, env=podman_host.env)


def test_what_an_engine_refuses_is_told_once(lading, iris, podman_host):
    said = lading.fails(9, "run", iris, "--engine", "podman", "--network", "nowhere", env=podman_host.env)
    assert said.count("nowhere") == 1


def test_a_name_that_a_container_has_already_is_told_with_the_way_out(lading, iris, podman_host):
    wanted = ("run", iris, "--engine", "podman", "--name", "taken", "-p", "8080")
    lading(*wanted, "--detach", env=podman_host.env)
    try:
        for more in ((), ("--detach",)):
            said = lading.fails(2, *wanted, *more, env=podman_host.env)
            assert "error: --name: podman has a container 'taken' already" in said
            assert "fix: choose another name, or remove that one: podman rm --force taken" in said
    finally:
        podman_host.call("rm", "--force", "--time=0", "taken")


def test_an_engine_that_does_not_work_is_told(lading, iris, tmp_path):
    require("docker", "docker.io")
    nobody = {"DOCKER_HOST": f"unix://{tmp_path}/nobody.sock"}
    said = lading.fails(9, "run", iris, "--engine", "docker", env=nobody)
    assert "Is the docker daemon running?" in said
    assert "--engine" in said
    said = lading.fails(9, "run", iris, "--engine", "podman", env={"PATH": str(tmp_path)})
    assert "apt-get install podman" in said


def test_without_an_engine_the_sandbox_runs_it(lading, iris, tmp_path):
    path = {"PATH": str(tmp_path)}
    assert "got 'dance', expected 'serve'" in lading.fails(2, "run", iris, "--", "dance", env=path)
    assert "--detach" in lading.fails(2, "run", iris, "--detach", env=path)


def test_a_detached_one_says_where_it_is_and_how_it_is_stopped(lading, iris, podman_host):
    done = lading.run("run", iris, "--engine", "podman", "-d", "-p", "8080", "--json", env=podman_host.env)
    assert done.returncode == 0, done.stderr
    started = json.loads(done.stdout)
    try:
        (address,) = started["addresses"]
        deadline_s = time.monotonic() + 60
        while True:
            try:
                answer = post(f"{address}/invocations", rows(0))
                break
            except OSError:
                assert time.monotonic() < deadline_s
                time.sleep(0.1)
        assert answer == {"predictions": [0]}
        digest = lading.json("show", iris)["digest"]
        images = json.loads(podman_host.call("images", "--format", "json"))
        assert digest in [one["Digest"] for one in images]  # podman keeps the manifest as it is
    finally:
        podman_host.call("stop", started["container"])
    assert podman_host.call("ps", "--all", "--quiet") == ""
    podman_host.call("rmi", f"lading.local/iris:{digest.removeprefix('sha256:')[:12]}")
    assert podman_host.call("images", "--quiet") == ""
