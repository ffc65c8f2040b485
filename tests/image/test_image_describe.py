"""An image says what its bill says, in the OCI image specification's words."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from lading.core.bases import BaseImage
from lading.core.bill import Bill
from lading.core.descriptor import BILL, LAYER_GZIP, ORIGINAL, REPORT, Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError
from lading.core.image import Kind, Layer
from lading.core.platform import Platform
from lading.core.reference import Reference
from lading.core.server import ServerNeeds
from lading.image import attach, attach_original, describe, index
from lading.image.referrers import EMPTY_CONFIG
from lading.store import LayoutStore, MemoryStore, documents
from lading.store.export import export

KINDS: tuple[Kind, ...] = ("base", "environment", "model", "bill")
GOLDEN = Path(__file__).parent.parent / "golden" / "image"
REWRITE = "LADING_REWRITE_GOLDEN"
TEXTS = (b"the base\n", b"numpy\n", b"the model\n")


def config_of(bill: Bill, layers: tuple[Layer, ...], server: ServerNeeds, **options: Any) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(describe(bill, layers, server, **options).config)
    return config


def test_a_container_runs_as_nobody_and_starts_the_server(
    bill: Bill, layers: tuple[Layer, ...], server: ServerNeeds
) -> None:
    settings = config_of(bill, layers, server)["config"]
    assert settings["User"] == "65532:0"
    assert settings["Entrypoint"] == ["/opt/lading/server/bin/python", "-I", "-m", "lading_runtime"]
    assert settings["Cmd"] == ["serve"]
    assert settings["ExposedPorts"] == {"8080/tcp": {}}
    assert settings["WorkingDir"] == "/opt/lading/code"
    assert settings["StopSignal"] == "SIGTERM"
    labels = settings["Labels"]
    assert labels["com.amazonaws.sagemaker.capabilities.accept-bind-to-port"] == "true"
    assert labels["org.opencontainers.image.title"] == "iris"


@pytest.mark.parametrize(("accelerator", "needs"), [("cu126", "cuda>=12.0"), ("cu118", "cuda>=11.0")])
def test_a_package_for_cuda_asks_for_the_gpus(
    bill: Bill, layers: tuple[Layer, ...], server: ServerNeeds, accelerator: str, needs: str
) -> None:
    environment = replace(bill.environment, accelerator=accelerator)
    variables = config_of(replace(bill, environment=environment), layers, server)["config"]["Env"]
    told = {one for one in variables if one.startswith("NVIDIA_")}
    assert told == {
        "NVIDIA_VISIBLE_DEVICES=all",
        "NVIDIA_DRIVER_CAPABILITIES=compute,utility",
        f"NVIDIA_REQUIRE_CUDA={needs}",
    }


@pytest.mark.parametrize("accelerator", [None, "cpu", "rocm6.4", "xpu"])
def test_no_other_package_speaks_of_nvidia(
    bill: Bill, layers: tuple[Layer, ...], server: ServerNeeds, accelerator: str | None
) -> None:
    environment = replace(bill.environment, accelerator=accelerator)
    assert b"NVIDIA" not in describe(replace(bill, environment=environment), layers, server).config


def test_variables_of_the_author_count_more_than_ours(
    bill: Bill, layers: tuple[Layer, ...], server: ServerNeeds
) -> None:
    variables = {"LANG": "de_DE.UTF-8", "OMP_NUM_THREADS": "1"}
    changed = replace(bill, environment=replace(bill.environment, variables=variables))
    environment = config_of(changed, layers, server)["config"]["Env"]
    assert environment == sorted(environment)
    assert {"LANG=de_DE.UTF-8", "OMP_NUM_THREADS=1", "HOME=/tmp"} <= set(environment)
    assert len(environment) == 6


def test_there_is_one_diff_id_and_one_line_of_history_for_each_layer(
    bill: Bill, layers: tuple[Layer, ...], server: ServerNeeds
) -> None:
    config = config_of(bill, layers, server)
    assert config["rootfs"]["diff_ids"] == [str(layer.diff_id) for layer in layers]
    assert [line["comment"] for line in config["history"]] == [layer.title for layer in layers]
    assert {line["created_by"] for line in config["history"]} == {"lading"}


def test_the_time_is_the_source_date_or_the_epoch(
    bill: Bill, layers: tuple[Layer, ...], server: ServerNeeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert config_of(bill, layers, server)["created"] == "1970-01-01T00:00:00Z"
    assert config_of(bill, layers, server, created_s=1_700_000_000)["created"] == "2023-11-14T22:13:20Z"


def test_what_is_not_known_is_left_out(bill: Bill, layers: tuple[Layer, ...], server: ServerNeeds) -> None:
    unknown = replace(bill, version=None, description=None)
    manifest = json.loads(describe(unknown, layers, server).manifest)
    assert sorted(manifest["annotations"]) == [
        "org.opencontainers.image.base.name",
        "org.opencontainers.image.created",
        "org.opencontainers.image.title",
    ]
    with_revision = json.loads(describe(bill, layers, server, revision="4eda251").manifest)
    assert with_revision["annotations"]["org.opencontainers.image.revision"] == "4eda251"


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/v2/health/ready" else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def answering(request: pytest.FixtureRequest) -> Iterator[HTTPServer]:
    """Answer one request on a free port, on the address given as parameter."""
    with HTTPServer((getattr(request, "param", "127.0.0.1"), 0), Answer) as http:
        http.timeout = 10
        thread = threading.Thread(target=http.handle_request)
        thread.start()
        yield http
        thread.join()


def probe(bill: Bill, server: ServerNeeds, env: dict[str, str]) -> int:
    command = config_of(bill, (), server)["config"]["Healthcheck"]["Test"]
    assert command[:2] == ["CMD", "/opt/lading/server/bin/python"]
    done = subprocess.run([sys.executable, *command[2:]], check=False, env=env, stderr=subprocess.DEVNULL)
    return done.returncode


@pytest.mark.parametrize(("route", "status"), [("/v2/health/ready", 0), ("/v2/health/live", 1)])
def test_the_health_check_tells_a_server_that_is_ready_from_one_that_is_not(
    bill: Bill, server: ServerNeeds, answering: HTTPServer, route: str, status: int
) -> None:
    described = replace(server, port=answering.server_port, routes={"readiness": route})
    assert probe(bill, described, {}) == status


@pytest.mark.parametrize(
    ("answering", "host"),
    [
        ("127.0.0.1", None),
        ("127.0.0.1", ""),
        ("127.0.0.1", "0.0.0.0"),
        ("127.0.0.7", "127.0.0.7"),
    ],
    indirect=["answering"],
)
def test_the_health_check_asks_where_the_variables_put_the_server(
    bill: Bill, server: ServerNeeds, answering: HTTPServer, host: str | None
) -> None:
    env = {"LADING_PORT": f" {answering.server_port} "} | ({} if host is None else {"LADING_HOST": host})
    assert probe(bill, replace(server, port=1), env) == 0


@pytest.mark.parametrize("text", ["", "tcp://10.0.0.1:80", "99999"])
def test_the_health_check_passes_over_what_is_no_port(
    bill: Bill, server: ServerNeeds, answering: HTTPServer, text: str
) -> None:
    assert probe(bill, replace(server, port=answering.server_port), {"LADING_PORT": text}) == 0


def test_the_health_check_asks_at_the_port_that_sagemaker_gives(
    bill: Bill, server: ServerNeeds, answering: HTTPServer
) -> None:
    env = {"SAGEMAKER_BIND_TO_PORT": str(answering.server_port)}
    assert probe(bill, replace(server, port=1), env) == 0


def test_the_health_check_speaks_tls_where_the_server_does(
    bill: Bill, server: ServerNeeds, answering: HTTPServer, tmp_path: Path
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    request = (
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    )
    files = ("-keyout", str(key), "-out", str(certificate), "-subj", "/CN=here")
    subprocess.run([*request, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    answering.socket = context.wrap_socket(answering.socket, server_side=True)
    env = {"LADING_PORT": str(answering.server_port), "LADING_TLS_CERTIFICATE": str(certificate)}
    assert probe(bill, server, env) == 0


def test_the_health_check_of_a_server_that_wants_certificates_is_an_open_port(
    bill: Bill, server: ServerNeeds, answering: HTTPServer
) -> None:
    env = {"LADING_PORT": str(answering.server_port), "LADING_TLS_CLIENT_CA": "/ca.pem"}
    assert probe(bill, server, env) == 0


def test_a_server_without_a_readiness_route_has_no_health_check(
    bill: Bill, layers: tuple[Layer, ...], server: ServerNeeds
) -> None:
    assert "Healthcheck" in config_of(bill, layers, server)["config"]
    assert "Healthcheck" not in config_of(bill, layers, replace(server, routes={}))["config"]


@pytest.mark.parametrize(("own", "expected"), [((), ["tini"]), (("fetch", "--"), ["fetch", "--", "tini"])])
def test_a_server_without_a_command_is_what_the_image_starts(
    bill: Bill, layers: tuple[Layer, ...], server: ServerNeeds, own: tuple[str, ...], expected: list[str]
) -> None:
    base = BaseImage((), entrypoint=("tini",), command=("serve",))
    needs = replace(server, entrypoint=own, command=())
    settings = config_of(bill, layers, needs, base=base)["config"]
    assert (settings["Entrypoint"], settings["Cmd"]) == (expected, ["serve"])


def test_more_layers_than_engines_bear_are_refused(
    bill: Bill, layers: tuple[Layer, ...], server: ServerNeeds
) -> None:
    describe(bill, layers * 20, server)
    with pytest.raises(IntegrityError, match="got 61 layers, expected at most 60"):
        describe(bill, (*layers * 20, layers[0]), server)


def test_platforms_are_listed_in_order_whatever_the_order_they_were_made_in(
    bill: Bill, layers: tuple[Layer, ...], server: ServerNeeds
) -> None:
    amd64 = describe(bill, layers, server)
    arm64 = describe(replace(bill, platform=Platform("linux", "arm64")), layers, server)
    data, descriptor = index([arm64, amd64], {"org.opencontainers.image.title": "iris"})
    assert index([amd64, arm64], {"org.opencontainers.image.title": "iris"}) == (data, descriptor)
    assert descriptor.digest == Digest.of(data)
    rows = json.loads(data)["manifests"]
    assert [row["platform"]["architecture"] for row in rows] == ["amd64", "arm64"]
    assert [row["digest"] for row in rows] == [str(amd64.descriptor.digest), str(arm64.descriptor.digest)]
    assert "annotations" not in json.loads(index([amd64], {})[0])


def test_a_report_is_attached_and_found_by_its_type(
    bill: Bill, layers: tuple[Layer, ...], server: ServerNeeds
) -> None:
    store, image = MemoryStore(), describe(bill, (), server)
    for data in (image.config, image.manifest, EMPTY_CONFIG, b"first", b"second", bill.encode()):
        documents.write(store, data)
    attachments = ((b"first", REPORT), (bill.encode(), BILL), (b"second", REPORT))
    for document, media_type in attachments:
        manifest, descriptor = attach(image.descriptor, document, media_type)
        documents.write(store, manifest)
        store.refer(descriptor)
    subject = image.descriptor.digest
    assert list(documents.attached(store, subject, REPORT)) == [b"first", b"second"]
    assert list(documents.attached(store, subject, BILL)) == [bill.encode()]
    assert list(documents.attached(store, Digest.of(b"another"), REPORT)) == []


def test_the_original_of_a_compiled_image_is_attached_as_it_is(
    bill: Bill, layers: tuple[Layer, ...], server: ServerNeeds
) -> None:
    store = MemoryStore()
    images = describe(bill, layers, server), describe(bill, layers[:2], server)
    for image in images:
        for blob in (image.config, image.manifest):
            documents.write(store, blob)
    document, descriptor = attach_original(*(one.descriptor for one in images))
    documents.write(store, document)
    assert documents.subject(store, descriptor) == images[0].descriptor.digest
    assert descriptor.artifact_type == ORIGINAL
    assert documents.describe(store, descriptor.digest) == descriptor
    assert documents.children(store, descriptor) == (images[1].descriptor,)


def write_layout(folder: Path, bill: Bill, server: ServerNeeds) -> None:
    """Write a whole image of four layers, which hold texts and no tars: they can be read in a diff."""
    store = LayoutStore(folder / "store")
    layers = []
    for kind, text in zip(KINDS, (*TEXTS, bill.encode()), strict=True):
        blob = Descriptor(LAYER_GZIP, documents.write(store, text), len(text))
        layers.append(Layer(blob, Digest.of(text), kind, kind))
    image = describe(bill, layers, server)
    for data in (image.config, image.manifest):
        documents.write(store, data)
    export(store, image.descriptor, folder / "layout", "oci", name=Reference.parse("iris:1"))


def test_the_layout_of_an_image_is_the_golden_one(tmp_path: Path, bill: Bill, server: ServerNeeds) -> None:
    """Rewrite it with LADING_REWRITE_GOLDEN=1 and read the difference before it is committed."""
    write_layout(tmp_path, bill, server)
    if os.environ.get(REWRITE):
        shutil.rmtree(GOLDEN, ignore_errors=True)
        shutil.copytree(tmp_path / "layout", GOLDEN)
    assert texts(tmp_path / "layout") == texts(GOLDEN)


def texts(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
