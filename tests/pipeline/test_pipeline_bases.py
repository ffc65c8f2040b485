"""Packages on images of other makers: from layouts, archives and a registry, verified and run."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass

import pytest

from baking import AMD64, DEBIAN, SLIM, bake
from engines import Tool, free_port
from lading.core.descriptor import INDEX, Descriptor
from lading.core.digest import Digest
from lading.core.platform import Platform
from lading.core.reference import Reference
from lading.store import LayoutStore, documents
from models import rows, write_iris
from running import post

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def iris(tmp_path_factory):
    return write_iris(tmp_path_factory.mktemp("iris") / "iris-model")


@pytest.fixture
def model(iris, tmp_path):
    """A copy without a lock."""
    return shutil.copytree(iris, tmp_path / "iris-model", ignore=shutil.ignore_patterns("*lock*"))


@pytest.fixture(scope="module")
def packed(lading, iris, slim_image):
    return lading.json("pack", iris, "-t", "iris:slim", "--base", f"oci:{slim_image}:{SLIM}")


def documents_of(layout, name=None):
    """Return manifest and config of an image in a layout."""

    def read(digest):
        return json.loads((layout / "blobs" / digest.replace(":", "/")).read_text())

    entries = json.loads((layout / "index.json").read_text())["manifests"]
    names = [one.get("annotations", {}).get("org.opencontainers.image.ref.name") for one in entries]
    manifest = read(entries[names.index(name) if name else 0]["digest"])
    return manifest, read(manifest["config"]["digest"])


@pytest.fixture(scope="module")
def exported(lading, packed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "layout"
    lading("export", "iris:slim", folder, "--format", "oci")
    return documents_of(folder)


def test_a_package_on_an_image_is_verified(packed):
    report = packed["report"]
    assert (report["passed"], report["matched"], report["predictions"]) == (True, 150, 150)


def test_the_image_s_layers_lie_below_as_they_are(exported, slim_image, packed):
    manifest, config = exported
    below, below_config = documents_of(slim_image, SLIM)
    count = len(below["layers"])
    assert [one["digest"] for one in manifest["layers"][:count]] == [one["digest"] for one in below["layers"]]
    assert config["rootfs"]["diff_ids"][:count] == below_config["rootfs"]["diff_ids"]
    assert len(config["history"]) == len(manifest["layers"]) == packed["layers"][0] <= 60


def test_what_the_image_says_of_running_is_kept(exported):
    manifest, config = exported
    ours = config["config"]
    variables = dict(one.split("=", 1) for one in ours["Env"])
    assert variables["PATH"] == "/opt/lading/env/bin:/usr/local/bin:/usr/bin:/bin:/x"
    assert (variables["GREETING"], variables["HOME"]) == ("hello world", "/tmp")
    assert "PYTHONPATH" not in variables
    assert variables["SSL_CERT_FILE"] == "/etc/ssl/certs/ca-certificates.crt"
    assert (ours["User"], ours["WorkingDir"]) == ("1000:1000", "/srv")
    assert ours["Entrypoint"][0] == "/opt/lading/server/bin/python"
    prefix = "org.opencontainers.image.base"
    assert manifest["annotations"][f"{prefix}.name"] == f"oci:layout:{SLIM}"


def test_the_bill_names_the_image_and_no_path_of_this_machine(lading, packed, slim_image):
    environment = lading.json("show", "iris:slim")["bill"]["environment"]
    assert environment["base"] == f"oci:layout:{SLIM}"
    assert environment["interpreter"] == "/usr/local/bin/python3.11"
    store = LayoutStore(slim_image)
    assert environment["base_digest"] in {str(one.digest) for _, one in store.listed()}
    assert str(slim_image.parent) not in lading("show", "iris:slim", "--json")
    assert environment["base_digest"][:19] in lading("show", "iris:slim")


def test_byte_code_is_made_for_a_python_in_usr_local(lading, packed):
    names = []
    for layer in lading.json("show", "iris:slim")["bill"]["layers"]:
        if layer["kind"] == "bytecode":
            with tarfile.open(lading.home / "store/blobs" / layer["digest"].replace(":", "/")) as archive:
                names += archive.getnames()
    library = "usr/local/lib/python3.11/__pycache__/"
    assert any(name.startswith(library) and name.endswith(".pyc") for name in names)


def test_packing_again_elsewhere_gives_the_same_digest(lading, packed, iris, slim_image, tmp_path):
    shutil.copytree(slim_image, tmp_path / "other" / "layout", copy_function=os.link)
    other = lading.copy(tmp_path / "home", "cache/downloads", linked=True)
    again = other.json("pack", iris, "--base", f"oci:{tmp_path}/other/layout:{SLIM}", "--no-verify")
    assert again["digest"] == packed["digest"]


def test_archives_of_every_form_are_bases(lading, model, slim_image, skopeo, tmp_path):
    skopeo.call("copy", f"oci:{slim_image}:{SLIM}", f"docker-archive:{tmp_path}/saved.tar:{SLIM}")
    skopeo.call("copy", f"oci:{slim_image}:{SLIM}", f"oci-archive:{tmp_path}/oci.tar:{SLIM}")
    (tmp_path / "saved.tar.gz").write_bytes(gzip.compress((tmp_path / "saved.tar").read_bytes(), 1))
    images = []
    for name in ("saved.tar", "saved.tar.gz", "oci.tar"):
        (model / "lading.yaml").write_text(f"model: model.joblib\nbase: ../{name}\n")
        locked = lading.json("lock", model)["platforms"][0]
        assert (locked["base"], locked["python"]) == (name, "3.11.2")
        text = (model / "lading.lock").read_text()
        images.append(text.partition("[platforms.base.image]")[2].partition("size")[0])
    assert images[0] == images[1]
    lading("pack", model, "-t", "saved:1", "--locked", "--no-verify")
    said = lading.fails(2, "pack", model, "--base", f"docker-archive:{tmp_path}/saved.tar:other")
    assert "python:3.11-slim" in said


def test_another_image_at_the_same_path_makes_the_lock_stale(lading, model, debian_image, slim_image, skopeo):
    base = model.parent / "base.tar"
    (model / "lading.yaml").write_text("model: model.joblib\nbase: ../base.tar\n")
    skopeo.call("copy", f"oci:{debian_image}:{DEBIAN}", f"oci-archive:{base}")
    assert [lading.json("lock", model)["fresh"] for _ in range(2)] == [False, True]
    base.unlink()
    skopeo.call("copy", f"oci:{slim_image}:{SLIM}", f"oci-archive:{base}")
    assert "stale" in lading.fails(4, "pack", model, "--locked")


def test_what_cannot_be_a_base_is_told(lading, model, debian_image, packed, tmp_path):
    assert "did you mean 'debian:bookworm'" in lading.fails(2, "pack", model, "--base", "debian:bookwrm")
    said = lading.fails(2, "pack", model, "--base", f"oci:{debian_image}", "--platform", "linux/arm64")
    assert "expected one of: linux/amd64" in said
    lading("export", "iris:slim", tmp_path / "package", "--format", "oci")
    assert "environment:NAME" in lading.fails(4, "pack", model, "--base", f"oci:{tmp_path}/package")
    (tmp_path / "cut.tar").write_bytes(b"\0" * 512)
    lading.fails(2, "pack", model, "--base", str(tmp_path / "cut.tar"))


@dataclass
class Hub:
    """A mirror of docker.io in the registry of the tests: what it has lies under hub/."""

    env: dict[str, str]
    images: dict[str, str]
    skopeo: Tool
    host: str

    def push(self, image: str) -> None:
        """Let `python:3.11-slim` stand for an image."""
        target = f"docker://{self.host}/hub/library/{SLIM}"
        self.skopeo.call("copy", "--dest-tls-verify=false", self.images[image], target)


@pytest.fixture
def hub(registry, skopeo, debian_image, slim_image):
    images = {"debian": f"oci:{debian_image}:{DEBIAN}", "slim": f"oci:{slim_image}:{SLIM}"}
    env = {"LADING_MIRRORS": f"docker.io=http://{registry.host}/hub"}
    return Hub(env, images, skopeo, registry.host)


def test_an_image_is_pulled_through_a_mirror_and_stays_what_was_locked(echo, hub, tmp_path):
    hub.push("slim")
    home, routine = echo
    model = shutil.copytree(routine, tmp_path / "echo")
    (model / "lading.yaml").write_text("model: score.py\n")  # beside which the lock is kept
    own, other = (home.copy(tmp_path / name, "cache/downloads", linked=True) for name in ("home", "other"))
    options = (model, "--base", SLIM, "--no-verify")
    digest = json.loads(own("pack", *options, "-t", "hub:1", "--json", env=hub.env))["digest"]
    assert own.json("show", "hub:1")["bill"]["environment"]["base"] == f"docker.io/library/{SLIM}"
    # what is in the store and in the lock is enough
    assert digest in own("pack", *options, "--offline")
    # the tag moves, the lock stays; in another home too, where the image has to be fetched by its digest
    hub.push("debian")
    assert digest in other("pack", *options, "--locked", env=hub.env)
    assert digest not in other("pack", *options, "-t", "hub:2", "--upgrade", env=hub.env)
    assert other.json("show", "hub:2")["bill"]["environment"]["interpreter"] == "/usr/bin/python3.11"


def test_an_image_that_is_not_there_is_told(lading, model, registry):
    env = {"LADING_MIRRORS": f"docker.io=http://{registry.host}/hub"}
    said = lading.fails(8, "pack", model, "--base", f"{registry.host}/no/such:1", env=env)
    assert "no/such" in said
    assert f"base: {registry.host}/no/such:1 cannot be had: " in said
    assert "environment:" not in said
    assert "offline" in lading.fails(8, "pack", model, "--base", "python:never-seen", "--offline")


def test_a_registry_out_of_reach_is_told_with_the_base_s_name_and_mirrors(lading, packed, model):
    nobody = {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "", "no_proxy": ""}
    said = lading.fails(8, "pack", model, "--base", SLIM, env=nobody)
    assert f"base: docker.io/library/{SLIM} cannot be had: " in said
    assert "name a mirror of docker.io in LADING_MIRRORS: docker.io=" in said
    assert "environment:" not in said


@pytest.mark.parametrize("offline", [[], ["--offline"]], ids=["online", "offline"])
def test_a_package_s_name_for_a_base_is_told_how_its_environment_is_named(lading, packed, model, offline):
    nobody = {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "", "no_proxy": ""}
    said = lading.fails(8, "pack", model, "--base", "iris:slim", *offline, env=nobody)
    assert "for the package of that name in the store: --base environment:iris:slim" in said


@pytest.mark.slow
def test_one_of_an_index_s_platforms_is_the_base(lading, model, tmp_path):
    """A package for another processor is made on its image, with nothing run."""
    arm64 = Platform("linux", "arm64")
    bake(lading.home, tmp_path / "both", AMD64, name="both:amd64")
    bake(lading.home, tmp_path / "both", arm64, name="both:arm64")
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {key: value for key, value in one.to_json().items() if key != "annotations"}
            | {"platform": {"os": "linux", "architecture": name.tag}}
            for name, one in LayoutStore(tmp_path / "both").tags()
        ],
    }
    store = LayoutStore(tmp_path / "both")
    data = json.dumps(index).encode()
    documents.write(store, data)
    store.tag(Reference.parse("both:all"), Descriptor(INDEX, Digest.of(data), len(data)))
    base = f"oci:{tmp_path}/both:both:all"
    platforms = ("--platform", "linux/amd64", "--platform", "linux/arm64")
    packed = lading.json("pack", model, "-t", "iris:both", "--base", base, *platforms, "--no-verify")
    assert packed["platforms"] == ["linux/amd64", "linux/arm64"]
    bill = lading.json("show", "iris:both", "--platform", "linux/arm64")["bill"]
    assert bill["environment"]["interpreter"] == "/usr/bin/python3.11"


def wait_for(url, process, timeout_s=90.0):
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        assert process.poll() is None
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise AssertionError(f"{url} does not answer")


@pytest.mark.parametrize("engine", ["podman", pytest.param("docker", marks=pytest.mark.slow)])
def test_it_runs_in_an_engine_as_the_image_s_user(lading, packed, engine, request, tmp_path):
    tool = request.getfixturevalue(engine)
    lading("export", "iris:slim", tmp_path / "iris.tar", "--format", "docker-archive")
    tool.call("load", "-i", tmp_path / "iris.tar")
    port = free_port()
    flags = ["--rm", "--network=host", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL"]
    flags += [f"--env=LADING_PORT={port}", f"--name=base-{engine}"]
    flags += [one for one in tool.run_flags if not one.startswith("--network")]
    process = subprocess.Popen([*tool.command, "run", *flags, "iris:slim"])
    try:
        wait_for(f"http://127.0.0.1:{port}/v2/health/ready", process)
        answer = post(f"http://127.0.0.1:{port}/invocations", rows(0, 60, 140))
        assert answer["predictions"] == [0, 1, 2]
        said = tool.call(
            "exec", f"base-{engine}", "/usr/local/bin/python3", "-c", "import os; print(os.getuid())"
        )
        assert said.strip() == "1000"
        tool.call("stop", "--time=20", f"base-{engine}")
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def test_another_package_s_environment_is_taken_as_it_is(lading, packed, tmp_path):
    """In a store that has nothing but that package, offline: no wheel is there to be layered again."""
    own = lading.copy(tmp_path / "home", "store", linked=True)
    folder = write_iris(tmp_path / "another", seed=5)
    options = ("--base", "environment:iris:slim", "--offline", "--no-verify")
    made = json.loads(own("pack", folder, "-t", "iris:env", *options, "--json"))
    bills = [own.json("show", name)["bill"] for name in ("iris:slim", "iris:env")]
    taken = [
        [one["digest"] for one in bill["layers"] if one["kind"] in {"image", "base", "environment", "server"}]
        for bill in bills
    ]
    assert taken[0] == taken[1]
    assert bills[0]["environment"] == bills[1]["environment"]
    assert made["digest"] != packed["digest"]


def test_what_an_environment_lacks_is_named(lading, packed, model):
    requirements = ("-r", "scikit-learn==1.4", "-r", "torch>=2", "-r", "numpy")
    said = lading.fails(4, "pack", model, "--base", "environment:iris:slim", *requirements)
    assert "has no torch" in said
    assert "'scikit-learn==1.4' (spec): environment:iris:slim has scikit-learn" in said
    assert "'numpy'" not in said
    assert "environment:iris:slim has 3.11.2" in lading.fails(
        4, "pack", model, "--base", "environment:iris:slim", "--python", "3.12"
    )
    assert "'nope:1'" in lading.fails(8, "pack", model, "--base", "environment:nope:1")
