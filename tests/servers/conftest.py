"""One MLflow model, packed once for each server that a test asks for, and served."""

import json
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from engines import free_port
from lading import servers
from lading.core.bill import Bill
from models import write_mlflow
from running import wait_for


class Served(NamedTuple):
    """A package that is served, and its bill."""

    port: int
    bill: Bill

    def __call__(self, path, body=None, kind="application/json"):
        """Ask, by POST where there is a body; return status and body."""
        sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", sent, {"content-type": kind})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def predictions(self, inputs):
        """Ask as verification replays a recorded example."""
        server = servers.find(self.bill.server.name)
        asked = server.ask(inputs, self.bill)
        status, body = self(asked.path, asked.body, asked.content_type)
        assert status == 200, body
        return server.outputs(body, self.bill)


@pytest.fixture(scope="session")
def flow(tmp_path_factory):
    return write_mlflow(tmp_path_factory.mktemp("servers") / "flow")


@pytest.fixture(scope="session")
def packed(lading, tmp_path_factory):
    """Pack a spec once; return what packing told."""
    done = {}

    def pack(name, spec):
        if name not in done:
            folder = tmp_path_factory.mktemp("specs")
            (folder / "lading.yaml").write_text(json.dumps({"name": name, **spec}))
            done[name] = lading.json("pack", folder, "-t", f"{name}:1")
        return done[name]

    return pack


@pytest.fixture(scope="session")
def serve(lading):
    """Serve a package until a test is over."""

    @contextmanager
    def serving(reference):
        port = free_port()
        bill = Bill.parse(json.dumps(lading.json("show", reference)["bill"]).encode())
        process = lading.start("serve", reference, "--port", port)
        try:
            wait_for(f"http://127.0.0.1:{port}{bill.server.routes['readiness']}", process)
            yield Served(port, bill)
        finally:
            process.terminate()
            process.communicate()

    return serving
