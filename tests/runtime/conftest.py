"""A packaged model on this machine: a bill, a folder, and the real server on a Unix socket."""

import http.client
import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from engines import free_port as find

JSON = {"content-type": "application/json"}


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("model", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Served:
    """A server's process, and a client for it."""

    def __init__(self, folder, environ, log_path=None):
        self.uds = str(folder / "s")
        self.log_path = log_path or folder / "log"
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("LADING_")}
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "lading_runtime", "serve"],
                env={
                    **inherited,
                    "LADING_BILL": str(folder / "bill.json"),
                    "LADING_UDS": self.uds,
                    "LADING_GRPC_PORT": "0",
                    "LADING_WORKERS": "1",  # however many cores the machine has
                    **environ,
                },
                stdout=log,
                stderr=log,
            )

    @property
    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def await_log(self, text, timeout_s=30):
        deadline = time.monotonic() + timeout_s
        while text not in self.log:
            assert time.monotonic() < deadline, f"no {text!r} in: {self.log}"
            assert self.process.poll() is None or text in self.log, self.log
            time.sleep(0.005)

    def await_ready(self, timeout_s=30):
        deadline = time.monotonic() + timeout_s
        while True:
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            try:
                if self.get("/v2/health/ready")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.005)

    def connect(self, timeout_s=30):
        return UnixConnection(self.uds, timeout_s)

    def ask(self, method, path, body=None, headers=None):
        connection = self.connect()
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.read(), {key.lower(): one for key, one in response.getheaders()}
        finally:
            connection.close()

    def get(self, path):
        return self.ask("GET", path)

    def post(self, document, path="/invocations"):
        """Send JSON, return status and JSON."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        status, answer, _ = self.ask("POST", path, body, JSON)
        return status, json.loads(answer)

    def predictions(self, document):
        status, answer = self.post(document)
        assert status == 200, answer
        return answer["predictions"]

    def metric(self, name):
        """Return a metric's value: the sum, where it has several."""
        lines = self.get("/metrics")[1].decode().splitlines()
        values = [line for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
        assert values, name
        return sum(float(line.rpartition(" ")[2]) for line in values)

    def await_metric(self, name, value):
        deadline = time.monotonic() + 10
        while self.metric(name) != value:
            assert time.monotonic() < deadline, (name, self.metric(name))
            time.sleep(0.005)

    def worker_pid(self):
        """Return the one that was started last: before it, a process may have loaded the model for it."""
        return self.child_pids()[-1]

    def child_pids(self):
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(one) for one in children.split()]

    def stop(self, timeout_s=15):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)


@contextmanager
def _served(model=None, *, signature=None, entry=None, files=None, ready=True, version=None, **more):
    """Serve an estimator, or a routine: `files` are name → Python text, and `entry` one of them."""
    folder = Path(tempfile.mkdtemp(prefix="lading-", dir="/tmp"))
    (folder / "model").mkdir()
    (folder / "code").mkdir()
    if model is not None:
        data = model if isinstance(model, bytes) else pickle.dumps(model)
        (folder / "model" / "model.pkl").write_bytes(data)
    for name, text in (files or {}).items():
        (folder / "code" / name).parent.mkdir(exist_ok=True)
        (folder / "code" / name).write_text(textwrap.dedent(text), encoding="utf-8")
    bill = {
        "name": "iris",
        "version": version,
        "lading": "0.1.0",
        "model": {
            "path": str(folder / "model"),
            "format": "python" if entry else "sklearn",
            "loader": "routine" if entry else "pickle",
            "loader_options": {} if entry else {"file": "model.pkl"},
            "signature": signature,
            **more.get("bill_model", {}),
        },
        "environment": {
            "path": str(more.get("environment", sys.prefix)),
            "variables": more.get("variables", {}),
        },
        "code": {"path": str(more.get("code") or folder / "code"), "entry": entry}
        if entry or files or more.get("code")
        else None,
    }
    (folder / "bill.json").write_text(json.dumps(bill), encoding="utf-8")
    served = Served(folder, more.get("environ", {}), more.get("log_path"))
    try:
        if ready:
            served.await_ready(more.get("timeout_s", 30))
        yield served
    finally:
        if served.process.poll() is None:
            served.process.kill()
            served.process.wait()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def serve():
    return _served


@pytest.fixture(scope="session")
def iris():
    from sklearn.datasets import load_iris

    return load_iris(as_frame=True).data


@pytest.fixture(scope="session")
def named_model(iris):
    """A forest that was fitted on a frame, and asks for more threads than it will get."""
    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(10, random_state=0, n_jobs=2)
    return model.fit(iris, load_iris().target)


@pytest.fixture(scope="session")
def bare_model(iris):
    """A model that was fitted on bare numbers."""
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=500).fit(iris.to_numpy(), load_iris().target)


@pytest.fixture(scope="session")
def iris_signature(iris):
    return {
        "inputs": [{"type": "double", "name": name, "required": True} for name in iris.columns],
        "outputs": [{"type": "long", "name": "species", "required": True}],
        "params": [],
    }


@pytest.fixture(scope="session")
def free_port():
    """Return a function that names a port of loopback nobody listens on."""
    return find


@pytest.fixture(scope="session")
def iris_server(serve, named_model, iris_signature):
    """A forest with a signature."""
    with serve(named_model, signature=iris_signature) as served:
        yield served


@pytest.fixture(scope="session")
def echo_server(serve):
    """A routine that returns what it is given."""
    with serve(entry="echo.py", files={"echo.py": "def run(data):\n    return data\n"}) as served:
        yield served
