"""Endpoints and deployments on this machine: real packages, real traffic, and what is killed comes back."""

import collections
import http.client
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest

from engines import CONTAINERS_CONF, require
from lading import deploy, settings
from lading.core.errors import DeployError, RegistryError, SpecError
from lading.pipeline import deployments, endpoints
from lading.pipeline.context import Context
from lading.pipeline.endpoints import Given
from running import Lading

pytestmark = pytest.mark.network
ROUTINE = """
import time

def run(data):
    if "sleep" in str(data):
        time.sleep(5.0)
    if "fail" in str(data):
        raise ValueError("no")
    return {"version": "%s"}
"""
ENDPOINT = (
    "$schema: https://example.com/managedOnlineEndpoint.schema.json\nname: my-endpoint\nauth_mode: key\n"
)
DEPLOYMENT = """
$schema: https://example.com/managedOnlineDeployment.schema.json
name: blue
endpoint_name: my-endpoint
environment: azureml:swap:1
instance_type: Standard_DS3_v2
instance_count: 2
request_settings: {max_concurrent_requests_per_instance: 4, request_timeout_ms: 30000}
"""


@pytest.fixture(scope="module")
def packed(lading, tmp_path_factory):
    """A package, another version of it, and one that cannot be loaded."""
    folder = tmp_path_factory.mktemp("models")
    for name, more in (
        ("swap:1", ""),
        ("swap:2", ""),
        ("swap:broken", "raise RuntimeError('nothing to load')"),
    ):
        place = folder / name.replace(":", "-")
        place.mkdir()
        (place / "score.py").write_text(ROUTINE % name + more)
        (place / "lading.yaml").write_text("model: .\nentry: score.py\nexample: {inputs: [1]}\n")
        lading("pack", place, "-t", name, "--no-verify")


class Workplace:
    """A home that shares the store, and has endpoints of its own."""

    def __init__(self, home, shared, environ=()):
        home.mkdir()
        for name in ("store", "cache"):
            (home / name).symlink_to(shared / name)
        self.home = home
        self.told = []
        self.context = Context(settings.load(home=home), self.told.append)
        self.lading = Lading(home)
        self.environ = dict(environ)

    def supervisor(self):
        return int((self.home / "endpoints" / "lock").read_text())

    def key(self, which="primary"):
        return endpoints.keys(self.context, "my-endpoint")[which]

    def ask(self, data=1, key=None, headers=()):
        """Send one request; return status, answer and headers."""
        found = endpoints.show_endpoint(self.context, "my-endpoint")
        return ask(found["port"], key or self.key(), data, headers)

    def deployment(self, name="blue"):
        return deployments.show(self.context, "my-endpoint", name)

    def wait(self, is_so, timeout_s=60.0):
        deadline_s = time.monotonic() + timeout_s
        while not is_so():
            assert time.monotonic() < deadline_s, (self.home / "endpoints" / "supervisor.log").read_text()
            time.sleep(0.1)

    def close(self):
        endpoints.down(self.context)
        self.context.close()


def ask(port, key, data=1, headers=()):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        sent = {"content-type": "application/json", "authorization": f"Bearer {key}", **dict(headers)}
        connection.request("POST", "/score", json.dumps({"data": data}), sent)
        answer = connection.getresponse()
        body = answer.read()
        return answer.status, json.loads(body), dict(answer.headers.items())
    finally:
        connection.close()


class Traffic:
    """Clients that ask without end, and count what they are answered."""

    def __init__(self, work, clients=3):
        self.answers = collections.Counter()
        self._over = threading.Event()
        port, key = endpoints.show_endpoint(work.context, "my-endpoint")["port"], work.key()
        self._threads = [threading.Thread(target=self._send, args=(port, key)) for _ in range(clients)]

    def _send(self, port, key):
        while not self._over.wait(0.02):
            try:
                status, answer, _ = ask(port, key)
            except (OSError, http.client.HTTPException) as error:
                status, answer = type(error).__name__, {}
            self.answers[status, answer.get("version")] += 1

    def __enter__(self):
        for one in self._threads:
            one.start()
        return self.answers

    def __exit__(self, *_):
        self._over.set()
        for one in self._threads:
            one.join()


@pytest.fixture(scope="module")
def work(packed, lading, tmp_path_factory):
    """An endpoint with a deployment of two instances, which has all the traffic."""
    folder = tmp_path_factory.mktemp("work")
    work = Workplace(folder / "home", lading.home)
    (folder / "endpoint.yml").write_text(ENDPOINT)
    (folder / "blue.yml").write_text(DEPLOYMENT)
    try:
        assert work.lading("endpoint", "create", "-f", folder / "endpoint.yml").startswith("my-endpoint")
        said = work.lading.run("deployment", "create", "-f", folder / "blue.yml", "--all-traffic")
        assert said.returncode == 0, said.stderr
        assert "instance_type: is not applied" in said.stderr
        yield work
    finally:
        work.close()


def test_an_endpoint_is_asked_by_the_command_line_and_shows_no_key(work, tmp_path):
    (tmp_path / "sample.json").write_text('{"data": 1}')
    said = work.lading("endpoint", "invoke", "-n", "my-endpoint", "-r", tmp_path / "sample.json")
    assert json.loads(said) == {"version": "swap:1"}
    shown = endpoints.show_endpoint(work.context, "my-endpoint")
    assert shown["traffic"] == {"blue": 100}
    assert {one["state"] for one in shown["deployments"][0]["instances"]} == {"ready"}
    assert work.key() not in json.dumps(shown)
    assert "model 'swap' loaded" in work.lading("deployment", "logs", "-n", "blue", "-e", "my-endpoint")


def test_who_has_no_key_is_refused_and_a_key_that_was_made_anew_opens_nothing(work):
    before = work.key()
    assert work.ask(key="wrong")[0] == 401
    assert work.ask(key=work.key("secondary"))[0] == 200
    endpoints.regenerate_key(work.context, "my-endpoint", "primary")
    work.wait(lambda: work.ask(key=before)[0] == 401)
    assert work.ask()[0] == 200
    for path in (work.home / "endpoints").rglob("*"):
        if path.is_file() or path.is_socket():
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
        if path.is_file() and path.name != "keys.json":
            assert before not in path.read_text()
            assert work.key() not in path.read_text()


def test_a_deployment_is_replaced_and_goes_back_without_a_failed_request(work):
    with Traffic(work) as answers:
        given = Given(overrides=("environment=swap:2",), name="blue", endpoint_name="my-endpoint")
        assert deployments.update(work.context, given)["provisioning_state"] == "Succeeded"
        broken = Given(overrides=("environment=swap:broken",), name="blue", endpoint_name="my-endpoint")
        with pytest.raises(DeployError, match="nothing to load"):
            deployments.update(work.context, broken)
        back = Given(
            overrides=("environment=swap:1", "instance_count=1"), name="blue", endpoint_name="my-endpoint"
        )
        deployments.update(work.context, back)
    assert {status for status, _ in answers} == {200}
    assert {version for _, version in answers} == {"swap:1", "swap:2"}
    assert [one["state"] for one in work.deployment()["instances"] if one["state"] != "leaving"] == ["ready"]


def test_what_is_killed_comes_back(work):
    deployments.update(
        work.context, Given(overrides=("instance_count=2",), name="blue", endpoint_name="my-endpoint")
    )
    with Traffic(work) as answers:
        os.kill(instance_of(work), signal.SIGKILL)
        work.wait(lambda: any(one["restarts"] for one in work.deployment()["instances"]))
        work.wait(lambda: [one["state"] for one in work.deployment()["instances"]] == ["ready"] * 2)
    # what was on its way to it is lost, and nothing else
    assert sum(count for (status, _), count in answers.items() if status != 200) <= 4, answers
    router = endpoints.show_endpoint(work.context, "my-endpoint")["router_process_id"]
    os.kill(router, signal.SIGKILL)
    assert work.ask()[0] == 200  # it waits until it is accepted
    before = work.supervisor()
    os.kill(before, signal.SIGKILL)
    work.wait(lambda: deploy.hello(endpoints.folder(work.context)) is None)
    endpoints.list_endpoints(work.context)
    work.wait(lambda: endpoints.show_endpoint(work.context, "my-endpoint")["trouble"] == "")
    work.wait(lambda: [one["state"] for one in work.deployment()["instances"]] == ["ready"] * 2)
    assert work.ask()[:2] == (200, {"version": "swap:1"})
    assert work.supervisor() != before


def is_running(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def instance_of(work):
    """Find a process of a server that the supervisor's watcher runs."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:
            continue
        parents[int(path.parent.name)] = int(text.rpartition(")")[2].split()[1])
    watchers = [
        one
        for one, parent in parents.items()
        if parent == work.supervisor() and b"cell.main" in Path(f"/proc/{one}/cmdline").read_bytes()
    ]
    return next(one for one, parent in parents.items() if parent == watchers[0])


def test_traffic_is_split_pinned_mirrored_and_taken_away(work):
    given = Given(
        overrides=("environment=swap:2", "request_settings.request_timeout_ms=2500"),
        name="green",
        endpoint_name="my-endpoint",
    )
    deployments.create(work.context, given)
    assert work.ask(headers={"azureml-model-deployment": "green"})[1] == {"version": "swap:2"}
    assert {work.ask()[1]["version"] for _ in range(5)} == {"swap:1"}
    shares = {"blue": 80, "green": 20}
    assert (
        endpoints.update_endpoint(work.context, Given(name="my-endpoint"), traffic=shares)["traffic"]
        == shares
    )
    work.wait(lambda: work.ask()[2]["azureml-model-deployment"] == "green")
    answers = collections.Counter(work.ask()[1]["version"] for _ in range(20))
    assert answers == {"swap:1": 16, "swap:2": 4}
    status, _, headers = work.ask("sleep", headers={"azureml-model-deployment": "green"})
    assert (status, headers["azureml-model-deployment"]) == (408, "green")
    status, _, headers = work.ask("fail", headers={"azureml-model-deployment": "blue"})
    assert (status, headers["ms-azureml-model-error-statuscode"]) == (424, "500")
    with pytest.raises(DeployError, match="20 % of the traffic"):
        deployments.delete(work.context, "my-endpoint", "green")
    with pytest.raises(SpecError, match="less than or equal to 100%"):
        endpoints.update_endpoint(work.context, Given(name="my-endpoint"), traffic={"blue": 80, "green": 30})
    with pytest.raises(SpecError, match="no deployment 'red'"):
        endpoints.update_endpoint(work.context, Given(name="my-endpoint"), traffic={"blue": 0, "red": 30})
    changed = endpoints.update_endpoint(
        work.context,
        Given(name="my-endpoint"),
        traffic={"blue": 100, "green": 0},
        mirror_traffic={"green": 50},
    )
    assert changed["mirror_traffic"] == {"green": 50}
    tagged = endpoints.update_endpoint(work.context, Given(overrides=("tags.a=b",), name="my-endpoint"))
    assert (tagged["tags"], tagged["traffic"]) == ({"a": "b"}, {"blue": 100, "green": 0})
    deployments.delete(work.context, "my-endpoint", "green")
    assert endpoints.show_endpoint(work.context, "my-endpoint")["mirror_traffic"] == {}
    with pytest.raises(RegistryError, match="there are: blue"):
        work.deployment("green")


SCORE = """
import json, os

def init():
    global model
    model = json.load(open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "weights", "model.json")))

def run(raw):
    return {"bias": model["bias"], "got": json.loads(raw)["data"], "mark": os.environ["MARK"]}
"""
INLINE = """
name: inline
endpoint_name: my-endpoint
model: {path: weights}
code_configuration: {code: src, scoring_script: score.py}
environment:
  image: debian:bookworm
  conda_file: {dependencies: [python=3.11, pip, {pip: [packaging]}]}
environment_variables: {MARK: here}
request_settings: {request_timeout_ms: 30000}
"""


def test_a_model_and_its_code_are_packaged_and_answer_on_azures_own_server(work, tmp_path):
    for name, text in (("weights/model.json", '{"bias": 7}'), ("src/score.py", SCORE), ("d.yml", INLINE)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    made = deployments.create(work.context, Given(tmp_path / "d.yml"))
    assert made["environment"] == "azureml:my-endpoint-inline:1"
    pinned = {"azureml-model-deployment": "inline"}
    status, answer, headers = work.ask([1], headers=pinned)
    assert (status, answer) == (200, {"bias": 7, "got": [1], "mark": "here"})
    assert headers["x-ms-server-version"].startswith("azmlinfsrv/")
    # in a network of its own it is reached all the same
    overrides = ("egress_public_network_access=disabled", "environment_variables.MARK=apart")
    deployments.update(work.context, Given(None, overrides, "inline", "my-endpoint"))
    assert work.ask([1], headers=pinned)[1]["mark"] == "apart"
    deployments.delete(work.context, "my-endpoint", "inline")


@pytest.fixture
def podman(work, engine_folder, monkeypatch):
    require("podman", "podman")
    require("runc", "runc")
    folder = engine_folder / "endpoints"
    folder.mkdir()
    (folder / "containers.conf").write_text(CONTAINERS_CONF)
    storage = f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/root"\nrunroot = "{folder}/run"\n'
    (folder / "storage.conf").write_text(storage)
    monkeypatch.setenv("CONTAINERS_CONF", f"{folder}/containers.conf")
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", f"{folder}/storage.conf")
    endpoints.down(work.context)  # what comes up has these variables
    yield
    endpoints.down(work.context)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.usefixtures("podman")
def test_instances_run_in_podman_and_come_back_there(work):
    given = Given(None, ("environment=swap:2",), "pod", "my-endpoint")
    assert deployments.create(work.context, given, target="podman")["target"] == "podman"
    pinned = {"azureml-model-deployment": "pod"}
    assert work.ask(headers=pinned)[1] == {"version": "swap:2"}
    listed = ["podman", "ps", "--quiet"]
    (container,) = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split()
    subprocess.run(["podman", "kill", container], check=True, capture_output=True)
    work.wait(lambda: [one["restarts"] for one in work.deployment("pod")["instances"]] == [1])
    work.wait(lambda: [one["state"] for one in work.deployment("pod")["instances"]] == ["ready"])
    assert work.ask(headers=pinned)[0] == 200
    deployments.delete(work.context, "my-endpoint", "pod")
    work.wait(lambda: not subprocess.run(listed, check=True, capture_output=True).stdout)


def test_whoever_has_the_port_instead_is_told_no_key(work):
    port = endpoints.show_endpoint(work.context, "my-endpoint")["port"]
    endpoints.down(work.context)
    with socket.create_server(("127.0.0.1", port)) as stranger:
        with pytest.raises(DeployError, match=f"cannot listen on 127.0.0.1:{port}"):
            endpoints.invoke(work.context, "my-endpoint", b"{}")
        stranger.settimeout(0.1)
        with pytest.raises(TimeoutError):
            stranger.accept()


def test_the_last_endpoint_takes_the_supervisor_with_it(work):
    process = work.supervisor()
    said = work.lading.fails(2, "endpoint", "delete", "-n", "my-endpoint")
    assert "--yes" in said
    endpoints.delete_endpoint(work.context, "my-endpoint")
    work.wait(lambda: not is_running(process))
    assert endpoints.list_endpoints(work.context) == []
    with pytest.raises(RegistryError, match="there are: none"):
        endpoints.invoke(work.context, "my-endpoint", b"{}")


def test_a_supervisor_whose_folder_is_removed_ends(work):
    endpoints.create_endpoint(work.context, Given(name="other"))
    process = work.supervisor()
    shutil.rmtree(work.home / "endpoints")
    deadline_s = time.monotonic() + 30
    while is_running(process):
        assert time.monotonic() < deadline_s
        time.sleep(0.1)
