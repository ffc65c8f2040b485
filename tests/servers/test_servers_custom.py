"""A server of one's own: an image that has one already, and a command on an image."""

import json
from pathlib import Path

import pytest

from lading.core.errors import SpecError
from lading.core.model import ModelFacts
from lading.core.spec import PackageSpec, Route, ServerSettings
from lading.pipeline.plan import inspect
from lading.servers import find

SERVER = find("custom")
FILES = ModelFacts(Path("weights.json"), "files", "files", "files")
# what an image of a user's has: a server in Python, the model where Azure ML says
SCRIPT = b"""#!/usr/bin/python3
import http.server, json, os, pathlib, sys
(model,) = pathlib.Path(os.environ["AZUREML_MODEL_DIR"]).rglob("weights.json")
weights = json.loads(model.read_text())
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, body):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())
    def do_GET(self):
        self.answer(self.path)
    def do_POST(self):
        sent = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.answer([one * weights["by"] for one in sent])
http.server.HTTPServer(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
"""
ROUTES = {
    "liveness_route": {"port": 9001, "path": "/live"},
    "readiness_route": {"port": 9001, "path": "/ready"},
    "scoring_route": {"port": 9001, "path": "/score"},
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    file = tmp_path_factory.mktemp("weights") / "weights.json"
    file.write_text(json.dumps({"by": 3}))
    return file


@pytest.mark.network
def test_an_images_own_entry_point_runs_with_the_model_where_azure_ml_mounts_it(
    lading, packed, started, image, weights
):
    started_in = {"Entrypoint": ["./serve.py"], "Cmd": ["9001"], "WorkingDir": "/srv"}
    base = image("times", {"srv/serve.py": SCRIPT}, User="65534", **started_in)
    spec = {"model": str(weights), "base": base, "server": {"type": "custom", **ROUTES}}
    report = packed("times", {**spec, "example": {"inputs": [1, 2], "outputs": [3, 6]}})["report"]
    assert (report["matched"], report["passed"]) == (2, True)
    assert started("times:1")[:2] == (["./serve.py"], ["9001"])
    shown = lading.json("show", "times:1")
    assert shown["bill"]["server"]["routes"]["readiness"] == "/ready"
    assert not shown["bill"]["environment"]["packages"]
    lading("rebuild", "times:1", "--check")
    assert "listens on 9001 alone" in lading.fails(2, "serve", "times:1", "--port", "9002")
    in_sandbox = ("run", "times:1", "--engine", "sandbox")
    assert "listens on 9001 alone" in lading.fails(2, *in_sandbox, "-p", "9002:9001")


@pytest.mark.network
def test_a_command_takes_the_place_of_an_images_own_and_no_python_is_added(
    lading, packed, started, image, weights
):
    gone = {f"usr/bin/.wh.{name}": b"" for name in ("python3", "python3.11")}
    base = image("bare", {**gone, "serve": b"#!/bin/false\n"}, Entrypoint=["/other"], Cmd=["x"])
    server = {"type": "custom", **ROUTES, "command": ["/serve", "--port", "9001"]}
    assert packed("bare", {"model": str(weights), "base": base, "server": server})["report"] is None
    shown = lading.json("show", "bare:1")
    assert started("bare:1")[:2] == (server["command"], [])
    assert {one["kind"] for one in shown["bill"]["layers"]} <= {
        "image",
        "base",
        "server",
        "model",
        "environment",
    }
    assert shown["bill"]["environment"]["interpreter"] == ""
    assert "has no Python" in lading.fails(6, "verify", "bare:1")


def test_a_models_own_examples_are_not_asked_of_an_image_of_ones_own(tmp_path):
    (tmp_path / "MLmodel").write_text(
        "flavors: {python_function: {loader_module: m}, onnx: {onnx_version: 1.16.0}}\n"
        "saved_input_example_info: {serving_input_path: example.json, type: dataframe}\n"
    )
    (tmp_path / "example.json").write_text('{"dataframe_split": {"columns": ["a"], "data": [[1]]}}')
    assert inspect(PackageSpec(model=tmp_path, server="mlflow")).examples
    assert inspect(PackageSpec(model=tmp_path, server="custom")).examples == ()


def test_what_is_missing_is_told_all_at_once():
    with pytest.raises(SpecError) as caught:
        SERVER.needs(PackageSpec(), FILES)
    assert [one.where for one in caught.value.issues] == [
        "server.scoring_route",
        "server.readiness_route",
        "server.command",
    ]


def test_the_model_lies_where_it_is_asked_for():
    settings = ServerSettings(
        liveness=Route(1, "/live"), scoring=Route(1, "/score"), command=("/serve",), model_mount_path="/mnt"
    )
    needs = SERVER.needs(PackageSpec(name="iris", version="4", server_settings=settings), FILES)
    assert needs.model_path == needs.variables["AZUREML_MODEL_DIR"] == "/mnt/iris/4"
    assert needs.routes == {"liveness": "/live", "readiness": "/live", "scoring": "/score"}
