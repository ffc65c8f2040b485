"""From a conda.yaml that is solved as conda does to a package that is served; the channel is the test's."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import zipfile

import pytest

from channels import PLACEHOLDER, Channel, debian_python, distribution
from lading.core.platform import Platform
from lading.pipeline.context import Context
from lading.settings import load
from running import Lading

pytestmark = pytest.mark.network

SCORE = """\
import os, subprocess, sys
import greet, numbers_of_conda, wheel_of_pip

def init():
    pass

def run(data):
    where = open(os.path.join(sys.base_prefix, "etc/where")).read()
    program = subprocess.run(["shout"], capture_output=True, text=True).stdout.strip()
    return [greet.VERSION, numbers_of_conda.VERSION, where, program, sys.base_prefix, wheel_of_pip.VERSION]
"""
SPEC = """\
name: conda
code: .
entry: score.py
requirements: conda.yaml
conda: solve
indexes:
  find_links: [links]
example:
  inputs: [1]
  outputs: ["1.0", "1.5.2", /opt/lading/conda, /OPT/LADING/CONDA, /opt/lading/conda, "7.0"]
"""
CONDA = """\
channels: [{channel}]
dependencies:
- python=3.11
- greet>=1
- numbers_of_conda=1.5
- shout  # [linux]
- not-for-us  # [win]
- pip:
  - wheel-of-pip
"""


@pytest.fixture(scope="module")
def channel(lading, tmp_path_factory):
    """A channel with a Python that runs, for this machine's platform."""
    context = Context(load(home=lading.home))
    platform = Platform.current()
    wanted = ("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib")
    with context.fetch_debian:
        base = context.base("debian:bookworm", platform).base
        debs = [context.deb(one) for one in base.packages if one.name in wanted]
    assert len(debs) == 3
    found = Channel(tmp_path_factory.mktemp("channel"))
    subdir = "linux-64" if platform.architecture == "amd64" else "linux-aarch64"
    found.package("python", "3.11.2", debian_python(debs), subdir=subdir, depends=["__glibc >=2.17"])
    found.package("greet", "1.0", distribution("greet", "1.0"), noarch="python", depends=["python >=3.8"])
    found.package("greet", "3.0", depends=["absent"], noarch="python")
    numbers = distribution("numbers-of-conda", "1.5.2", "lib/python3.11/site-packages")
    where = {"etc/where": PLACEHOLDER.encode()}
    found.package("numbers_of_conda", "1.5.2", {**numbers, **where}, subdir=subdir, depends=["greet <3"])
    files = {
        "bin/shout": f"#!{PLACEHOLDER}/bin/python\nimport sys; print(sys.prefix.upper())\n".encode(),
        "bin/.shout-post-link.sh": b"#!/bin/sh\n",
    }
    found.package("shout", "2.0", files, form=".tar.bz2", noarch="generic", depends=["python"])
    return found.index()


@pytest.fixture(scope="module")
def project(channel, tmp_path_factory):
    """A routine, its conda file, and a wheel that wants what conda brings."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "score.py").write_text(SCORE)
    (folder / "lading.yaml").write_text(SPEC)
    (folder / "conda.yaml").write_text(CONDA.format(channel=channel.url))
    _wheel(folder / "links", "wheel-of-pip", "7.0", "numbers-of-conda>=1.5,<2", "greet")
    return folder


def _wheel(folder, name, version, *requires):
    folder.mkdir(exist_ok=True)
    module, stem = name.replace("-", "_"), f"{name.replace('-', '_')}-{version}"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    files = {
        f"{module}.py": f"VERSION = {version!r}\n",
        f"{stem}.dist-info/METADATA": metadata + "".join(f"Requires-Dist: {one}\n" for one in requires),
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},{_hash(text)},{len(text)}\n" for path, text in files.items())
    files[f"{stem}.dist-info/RECORD"] = f"{record}{stem}.dist-info/RECORD,,\n"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


def _hash(text):
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def packed(lading, project):
    done = lading.run("pack", project, "-t", "solved:1", "-v", "--json")
    assert done.returncode == 0, done.stderr
    return done


def test_a_solved_package_is_served_by_conda_s_python(lading, packed, project):
    bill = lading.json("show", "solved:1")["bill"]
    environment = bill["environment"]
    assert environment["interpreter"] == "/opt/lading/conda/bin/python3.11"
    names = [f"{one['name']} {one['version']}" for one in environment["conda_packages"]]
    assert names == ["greet 1.0", "numbers_of_conda 1.5.2", "python 3.11.2", "shout 2.0"]
    assert [one["name"] for one in environment["packages"]] == ["wheel-of-pip"]
    report = lading.json("show", "solved:1")["report"]
    assert report["passed"]
    assert "numbers_of_conda 1.5.2" in lading("show", "solved:1")
    assert "conda package shout has scripts that are not run: bin/.shout-post-link.sh" in packed.stderr


def test_another_home_gives_the_same_digest(packed, project, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(project, copy, ignore=shutil.ignore_patterns("lading.lock", "pylock*"))
    home = Lading(tmp_path / "home")
    again = home.json("pack", copy, "-t", "solved:2", "--no-verify")
    assert again["digest"] == json.loads(packed.stdout)["digest"]
    assert again["layers"][0] <= 60


def test_a_solved_package_is_made_again_from_its_own_lock(lading, packed):
    assert lading.json("rebuild", "solved:1", "--check")["same"]


def test_programs_of_conda_are_on_the_path(lading, packed, tmp_path):
    lading("export", "solved:1", tmp_path / "layout", "--format", "oci")
    blobs = tmp_path / "layout/blobs/sha256"
    (entry,) = json.loads((tmp_path / "layout/index.json").read_text())["manifests"]
    manifest = json.loads((blobs / entry["digest"].partition(":")[2]).read_text())
    config = json.loads((blobs / manifest["config"]["digest"].partition(":")[2]).read_text())
    environment = config["config"]["Env"]
    assert "CONDA_PREFIX=/opt/lading/conda" in environment
    assert "PATH=/opt/lading/env/bin:/opt/lading/conda/bin:/usr/local/bin:/usr/bin:/bin" in environment


def test_the_conda_file_of_an_mlflow_model_is_solved_when_asked(lading, channel, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: greet\n    data: .\n")
    (folder / "requirements.txt").write_text("absent-from-every-index\n")
    (folder / "conda.yaml").write_text(f"channels: [{channel.url}]\ndependencies: [python=3.11, greet]\n")
    locked = lading.json("lock", folder, "--conda", "solve", "--output", tmp_path / "lock")
    (part,) = locked["platforms"]
    assert [one["name"] for one in part["conda"]] == ["greet", "python"]


def test_a_wheel_that_clashes_with_what_conda_brings_is_named(lading, packed, project, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(project, copy)
    _wheel(copy / "links", "wheel-of-pip", "8.0", "numbers-of-conda>=2")
    with (copy / "conda.yaml").open("a") as stream:
        stream.write("  - wheel-of-pip>=8\n")
    said = lading.fails(4, "lock", copy)
    assert "wheel-of-pip>=8" in said
    assert "numbers-of-conda" in said
