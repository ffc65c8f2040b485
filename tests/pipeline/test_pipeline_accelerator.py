"""A package for a GPU, from the lock alone: stand-ins of PyTorch's builds, in an index that is a folder."""

import json
import shutil

import pytest

from running import Lading
from smithing import TorchIndex, Wheelsmith

pytestmark = pytest.mark.network

X86 = "cp311-cp311-manylinux_2_28_x86_64"
ROUTINE = """\
import importlib.metadata
import torch
def predict(rows):
    return [importlib.metadata.version("torch") for _ in rows]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A routine that wants torch, and the mirror that has its builds for two accelerators."""
    folder = tmp_path_factory.mktemp("gpu")
    index = TorchIndex(folder / "whl")
    for name, version in (("cu126", "2.9.0+cu126"), ("cpu", "2.9.0+cpu")):
        needs = ("nvidia-stand-in-cu12==12.6.4.1; platform_machine == 'x86_64'",) if name == "cu126" else ()
        index.wheel(name, "torch", version, *needs, tag=X86)
        index.wheel(name, "torch", version, tag=X86.replace("x86_64", "aarch64")) if name == "cpu" else None
    Wheelsmith(folder / "links").wheel("nvidia-stand-in-cu12", "12.6.4.1")
    (model := folder / "model").mkdir()
    (model / "routine.py").write_text(ROUTINE)
    spec = {"code": "routine.py", "entry": "routine.py:predict", "requirements": ["torch"]}
    spec |= {"python": "3.11", "accelerator": "cu126", "platforms": ["linux/amd64"]}
    spec |= {"indexes": {"find_links": [str(folder / "links")]}}
    (model / "lading.yaml").write_text(json.dumps(spec))
    return model, {"LADING_PYTORCH_INDEX": str(index.folder)}


@pytest.fixture(scope="module")
def packed(lading, project):
    """Locked with the mirror, then packed without it: a lock is all that a package is made of."""
    folder, mirror = project
    lading("lock", folder, env=mirror)
    nowhere = {"LADING_PYTORCH_INDEX": "http://127.0.0.1:9/whl"}
    done = lading.run("pack", folder, "-t", "gpu:1", "--locked", "--json", env=nowhere)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def test_the_lock_and_the_bill_name_the_accelerator_and_its_builds(lading, project, packed):
    folder, _ = project
    assert 'accelerator = "cu126"' in (folder / "lading.lock").read_text()
    environment = lading.json("show", "gpu:1")["bill"]["environment"]
    assert environment["accelerator"] == "cu126"
    versions = {one["name"]: one["version"] for one in environment["packages"]}
    assert versions == {"torch": "2.9.0+cu126", "nvidia-stand-in-cu12": "12.6.4.1"}
    assert ", cu126" in lading("show", "gpu:1")


def test_it_is_verified_on_the_processor_and_that_is_told(packed):
    made, said = packed
    if not made["reports"]:
        pytest.skip("linux/amd64 cannot be run here")
    assert made["report"]["passed"]
    assert "cu126 was not tried: a sandbox has no GPU" in said


def test_the_image_asks_for_the_gpus_as_nvidias_runtime_reads_it(lading, packed, skopeo, tmp_path):
    lading("export", "gpu:1", tmp_path / "x.tar", "--format", "oci-archive")
    config = json.loads(skopeo.call("inspect", "--config", f"oci-archive:{tmp_path / 'x.tar'}:gpu:1"))
    assert {"NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_REQUIRE_CUDA=cuda>=12.0"} <= set(config["config"]["Env"])


def test_it_can_be_made_again_from_itself(lading, packed):
    assert lading.json("rebuild", "gpu:1", "--check")["same"]


def test_another_accelerator_makes_a_lock_stale_and_another_package(lading, project, tmp_path):
    folder, mirror = project
    copy = shutil.copytree(folder, tmp_path / "model")
    lading("lock", copy, env=mirror)
    said = lading.fails(4, "pack", copy, "-t", "cpu:1", "--locked", "--accelerator", "cpu", env=mirror)
    assert "stale" in said
    lading("pack", copy, "-t", "cpu:1", "--accelerator", "cpu", "--no-verify", env=mirror)
    bill = lading.json("show", "cpu:1")["bill"]["environment"]
    assert [(one["name"], one["version"]) for one in bill["packages"]] == [("torch", "2.9.0+cpu")]
    assert bill["accelerator"] == "cpu"


def test_a_platform_without_builds_for_cuda_is_named(lading, project, tmp_path):
    folder, mirror = project
    copy = shutil.copytree(folder, tmp_path / "model")
    said = lading.fails(4, "lock", copy, "--platform", "linux/amd64", "--platform", "linux/arm64", env=mirror)
    assert "'torch' has no wheel for linux/arm64" in said
    assert "choose another accelerator than cu126" in said


def test_a_mirror_with_credentials_in_its_url_is_refused_without_showing_them(project, tmp_path):
    folder, _ = project
    variables = {"LADING_PYTORCH_INDEX": "https://me:hunter2@h.example/whl"}
    copy = shutil.copytree(folder, tmp_path / "model")
    said = Lading(tmp_path / "home").fails(2, "lock", copy, "--upgrade", env=variables)
    assert "credentials" in said
    assert "hunter2" not in said
    assert "UV_INDEX_PYTORCH_PASSWORD" in said
