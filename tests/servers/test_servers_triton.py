"""Triton's repository and configuration; its image is not to be had: one with the same contract runs."""

import json
import struct

import numpy as np
import pytest
import tritonclient.grpc.model_config_pb2 as model_config
from google.protobuf import text_format
from skl2onnx import to_onnx

from lading.core.bases import BaseName
from lading.core.errors import ModelError, SpecError
from lading.core.spec import PackageSpec, ServerSettings
from lading.model import as_files
from lading.servers import find
from models import IRIS, train

SERVER = find("triton")
FLOWERS = IRIS.data.to_numpy(np.float32)
# takes what Triton takes, and numbers the rows that it was sent, once the model is where it has to be
SCRIPT = b"""#!/usr/bin/python3
import argparse, http.server, json, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--model-repository", type=pathlib.Path, required=True)
parser.add_argument("--http-address")
parser.add_argument("--http-port", type=int, default=8000)
parser.add_argument("--allow-grpc")
parser.add_argument("--allow-metrics")
asked = parser.parse_args()
models = {path.parents[1].name for path in asked.model_repository.glob("*/*/model.onnx")}
for name in models:
    assert (asked.model_repository / name / "config.pbtxt").is_file()
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, body):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())
    def do_GET(self):
        assert self.path == "/v2/health/ready", self.path
        self.answer({})
    def do_POST(self):
        name = self.path.split("/")[3]
        assert name in models and self.path.endswith("/infer"), self.path
        (sent,) = json.loads(self.rfile.read(int(self.headers["content-length"])))["inputs"]
        assert (sent["name"], sent["datatype"]) == ("X", "FP32"), sent
        count = sent["shape"][0]
        outputs = [{"name": "n", "datatype": "INT64", "shape": [count], "data": list(range(count))}]
        self.answer({"model_name": name, "outputs": outputs})
http.server.HTTPServer((asked.http_address, asked.http_port), Handler).serve_forever()
"""


def save(path, *, zipmap=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {} if zipmap else {"options": {"zipmap": False}}
    path.write_bytes(to_onnx(train(), FLOWERS[:1], **options).SerializeToString())
    return path


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return save(tmp_path_factory.mktemp("triton") / "model.onnx")


def spec(**settings):
    base = BaseName("image", "nvcr.io/nvidia/tritonserver:25.06-py3")
    return PackageSpec(name="iris", base=base, server_settings=ServerSettings(**settings))


def test_a_graph_gets_a_repository_and_a_configuration_that_triton_reads(graph):
    needs = SERVER.needs(spec(model_version="3"), as_files(graph))
    assert needs.model_path == "/opt/lading/serving/triton/iris/3"
    ((path, text),) = needs.files.items()
    assert path == "/opt/lading/serving/triton/iris/config.pbtxt"
    config = text_format.Parse(text.decode(), model_config.ModelConfig())
    assert (config.name, config.backend, config.max_batch_size) == ("iris", "onnxruntime", 0)
    (given,) = config.input
    assert (given.name, given.data_type, list(given.dims)) == ("X", model_config.TYPE_FP32, [-1, 4])
    assert {(one.name, one.data_type, tuple(one.dims)) for one in config.output} == {
        ("label", model_config.TYPE_INT64, (-1,)),
        ("probabilities", model_config.TYPE_FP32, (-1, 3)),
    }


def test_a_repository_is_taken_as_it_is(tmp_path):
    save(tmp_path / "repository" / "flowers" / "1" / "model.onnx")
    (tmp_path / "repository" / "flowers" / "config.pbtxt").write_text('name: "flowers"')
    needs = SERVER.needs(spec(model_folder="repository"), as_files(tmp_path / "repository"))
    assert not needs.files
    assert needs.model_path == "/var/azureml-app/azureml-models/iris/1/repository"
    assert needs.command == ("--model-repository=/var/azureml-app/azureml-models/iris/1/repository",)
    assert needs.routes["scoring"] == "/v2/models/flowers/infer"


def test_what_triton_could_not_load_is_refused_with_every_reason(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"PK")
    with pytest.raises(SpecError) as caught:
        SERVER.needs(PackageSpec(), as_files(tmp_path / "model.pt"))
    assert [one.where for one in caught.value.issues] == ["base", "model"]
    with pytest.raises(SpecError, match="'output_probability' is no tensor"):
        SERVER.needs(spec(), as_files(save(tmp_path / "maps.onnx", zipmap=True)))


@pytest.mark.parametrize("broken", [b"\x00", b"\x3a\xff\x01", struct.pack("<Q", 2**63), b"\xff" * 12])
def test_a_file_that_is_none_of_onnx_is_refused(tmp_path, broken):
    (tmp_path / "model.onnx").write_bytes(broken)
    with pytest.raises(ModelError, match="is no ONNX file"):
        as_files(tmp_path / "model.onnx")


@pytest.mark.network
def test_an_image_that_starts_as_tritons_does_is_asked_by_the_graphs_own_names(
    lading, packed, image, graph, tmp_path
):
    base = image("triton", {"opt/tritonserver/bin/tritonserver": SCRIPT})
    example = {"inputs": FLOWERS[:3].tolist(), "outputs": [0, 1, 2]}
    made = packed("iris", {"model": str(graph), "base": base, "server": "triton", "example": example})
    assert made["report"]["matched"] == 3
    lading("rebuild", "iris:1", "--check")
    assert json.dumps(made).count("onnxruntime") == 0
