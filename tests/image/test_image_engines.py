"""An image of one tiny program is accepted, and run, by the engines and tools that others use."""

from __future__ import annotations

import json
import platform
from dataclasses import replace
from pathlib import Path

import pytest

from engines import WORDS, Registry, Tool
from lading.core.bill import Bill
from lading.core.descriptor import LAYER_GZIP, Descriptor
from lading.core.digest import Digest
from lading.core.image import Image, Layer
from lading.core.reference import Reference
from lading.core.server import ServerNeeds
from lading.image import describe
from lading.store import LayoutStore, documents
from lading.store.export import export

NAME = Reference.parse("lading-test/tiny:1")
runs_here = pytest.mark.skipif(platform.machine() != "x86_64", reason="the tiny program is for x86-64")


@pytest.fixture
def store(tmp_path: Path) -> LayoutStore:
    return LayoutStore(tmp_path / "store")


@pytest.fixture
def image(store: LayoutStore, bill: Bill, server: ServerNeeds, tiny_layer: tuple[bytes, bytes]) -> Image:
    tar, blob = tiny_layer
    layer = Layer(
        Descriptor(LAYER_GZIP, documents.write(store, blob), len(blob)), Digest.of(tar), "model", "hello"
    )
    needs = replace(server, entrypoint=("/hello",), command=())
    made = describe(replace(bill, code=None), (layer,), needs)
    for data in (made.config, made.manifest):
        documents.write(store, data)
    store.tag(NAME, made.descriptor)
    return made


def test_skopeo_reads_the_store_itself(store: LayoutStore, image: Image, skopeo: Tool) -> None:
    seen = json.loads(skopeo.call("inspect", f"oci:{store.folder}:{NAME}"))
    assert seen["Digest"] == str(image.descriptor.digest)
    assert seen["Architecture"] == "amd64"
    assert seen["Labels"]["org.opencontainers.image.title"] == "iris"
    assert "LANG=C.UTF-8" in seen["Env"]


def test_umoci_unpacks_the_store_itself(
    store: LayoutStore, image: Image, umoci: Tool, tmp_path: Path, tiny_layer: tuple[bytes, bytes]
) -> None:
    umoci.call("unpack", "--rootless", "--image", f"{store.folder}:{NAME}", tmp_path / "bundle")
    assert (tmp_path / "bundle" / "rootfs" / "hello").stat().st_mode & 0o777 == 0o755
    settings = json.loads((tmp_path / "bundle" / "config.json").read_bytes())
    assert settings["process"]["args"] == ["/hello"]


@runs_here
@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_podman_loads_and_runs_it(
    store: LayoutStore, image: Image, podman: Tool, tmp_path: Path, form: str
) -> None:
    export(store, image.descriptor, tmp_path / "image.tar", form, name=NAME)  # type: ignore[arg-type]
    said = podman.call("load", "-i", tmp_path / "image.tar")
    loaded = said.split("Loaded image:")[1].split()[0]
    assert str(NAME) in loaded
    assert podman.run("--read-only", loaded) == WORDS.decode()
    podman.call("rmi", "--force", loaded)


@runs_here
def test_docker_loads_and_runs_it(store: LayoutStore, image: Image, docker: Tool, tmp_path: Path) -> None:
    export(store, image.descriptor, tmp_path / "image.tar", "docker-archive", name=NAME)
    assert f"Loaded image: {NAME}" in docker.call("load", "-i", tmp_path / "image.tar")
    assert docker.run("--read-only", str(NAME)) == WORDS.decode()
    seen = json.loads(docker.call("inspect", str(NAME)))[0]
    assert seen["Id"] == str(image.config_descriptor.digest)
    assert seen["Config"]["Healthcheck"]["Test"][0] == "CMD"
    assert seen["Config"]["User"] == "65532:0"


@runs_here
def test_docker_pulls_and_runs_what_skopeo_pushed(
    store: LayoutStore, image: Image, docker: Tool, skopeo: Tool, registry: Registry
) -> None:
    there = f"{registry.host}/{NAME}"
    # else skopeo may send another compression of the same layer that it has seen in this registry before
    how = ("--preserve-digests", "--dest-tls-verify=false")
    skopeo.call("copy", *how, f"oci:{store.folder}:{NAME}", f"docker://{there}")
    seen = json.loads(skopeo.call("inspect", "--tls-verify=false", f"docker://{there}"))
    assert seen["Digest"] == str(image.descriptor.digest)
    docker.call("pull", there)
    assert docker.run(there) == WORDS.decode()
