"""TensorFlow Serving's layout and command; its image is not to be had: one with the same contract runs."""

import pytest

from lading.core.bases import BaseName
from lading.core.errors import SpecError
from lading.core.spec import PackageSpec, ServerSettings
from lading.model import as_files
from lading.servers import find

SERVER = find("tensorflow_serving")
SCRIPT = b"""#!/usr/bin/python3
import argparse, http.server, json, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int)
parser.add_argument("--rest_api_port", type=int)
parser.add_argument("--model_name")
parser.add_argument("--model_base_path", type=pathlib.Path)
asked = parser.parse_args()
assert [path.parent.name for path in asked.model_base_path.glob("*/saved_model.pb")] == ["7"]
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, path, body):
        self.send_response(200 if self.path == path else 404)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())
    def do_GET(self):
        self.answer("/v1/models/half", {"model_version_status": [{"version": "7", "state": "AVAILABLE"}]})
    def do_POST(self):
        sent = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.answer("/v1/models/half:predict", {"predictions": [one / 2 for one in sent["instances"]]})
http.server.HTTPServer(("0.0.0.0", asked.rest_api_port), Handler).serve_forever()
"""


@pytest.fixture
def saved(tmp_path):
    folder = tmp_path / "saved"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"\x08\x01")
    return folder


def spec(**settings):
    base = BaseName("image", "docker.io/tensorflow/serving:2.19.0")
    return PackageSpec(name="half", version="7", base=base, server_settings=ServerSettings(**settings))


def test_a_saved_model_lies_in_a_version_of_its_name(saved):
    needs = SERVER.needs(spec(), as_files(saved))
    assert needs.model_path == "/models/half/7"
    assert needs.command[1:] == (
        "--rest_api_port=8501",
        "--model_name=half",
        "--model_base_path=/models/half",
    )


def test_a_folder_of_versions_is_taken_as_it_is(saved):
    saved.rename(saved.parent / "12")
    assert SERVER.needs(spec(), as_files(saved.parent)).model_path == "/models/half"


def test_what_is_no_saved_model_and_has_no_image_is_refused_at_once(tmp_path):
    (tmp_path / "model.h5").write_bytes(b"x")
    with pytest.raises(SpecError) as caught:
        SERVER.needs(PackageSpec(), as_files(tmp_path / "model.h5"))
    assert [one.where for one in caught.value.issues] == ["base", "model"]


@pytest.mark.network
def test_an_image_that_starts_as_its_own_does_is_asked_for_predictions(packed, image, saved):
    base = image("serving", {"usr/bin/tensorflow_model_server": SCRIPT})
    server = {"type": "tensorflow_serving", "model_version": "7"}
    example = {"inputs": {"instances": [2.0, 5.0]}, "outputs": [1.0, 2.5]}
    made = packed("half", {"model": str(saved), "base": base, "server": server, "example": example})
    assert made["report"]["matched"] == 2
