"""Packages made again from nothing but themselves."""

import gzip
import io
import json
import os
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

import lading as product
from baking import DEBIAN
from lading.core.descriptor import LAYER_GZIP, Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError
from lading.core.image import Layer
from lading.pipeline import shelf
from lading.pipeline.context import Context
from lading.pipeline.recover import recover
from lading.settings import Settings
from lading.store import documents
from models import write_iris
from running import Lading

pytestmark = pytest.mark.network

CODE = "import helper\ndef run(data):\n    return helper.double(data)\n"
HELPER = "def double(data):\n    return [2 * one for one in data]\n"


@pytest.fixture(scope="module")
def iris(lading, tmp_path_factory):
    folder = write_iris(tmp_path_factory.mktemp("iris") / "iris-model")
    return lading.json("pack", folder, "-t", "iris:rebuilt", "--no-verify")


@pytest.fixture(scope="module")
def routine(lading, tmp_path_factory):
    """Model, code and assets apart, with variables and tags, at a time that is claimed."""
    folder = tmp_path_factory.mktemp("routine")
    for path, text in {
        "model/weights.json": "[1]",
        "model/deep/er/more.json": "[2]",
        "code/score.py": CODE,
        "code/helper.py": HELPER,
        "words/stop.txt": "the\na\n",
        "one.txt": "1",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    (folder / "code" / "tool.sh").write_text("#!/bin/sh\n")
    (folder / "code" / "tool.sh").chmod(0o755)
    spec = {
        "name": "double",
        "version": "7",
        "description": "Doubles «things».",
        "tags": {"team": "numbers"},
        "model": "model",
        "code": "code",
        "entry": "score.py:run",
        "assets": ["words", "one.txt"],
        "environment_variables": {"OMP_NUM_THREADS": "1"},
        "example": {"inputs": [1, 2.5], "outputs": [2, 5.0]},
    }
    (folder / "lading.yaml").write_text(json.dumps(spec))
    env = {"SOURCE_DATE_EPOCH": "1700000000"}
    packed = json.loads(lading("pack", folder, "-t", "double:7", "--no-verify", "--json", env=env))
    shutil.rmtree(folder)  # nothing but the package is needed
    return packed


def with_downloads(lading, home):
    """Make a home that has what was downloaded, and nothing else."""
    (home / "cache").mkdir(parents=True)
    shutil.copytree(lading.home / "cache" / "downloads", home / "cache" / "downloads", copy_function=os.link)
    return Lading(home)


@pytest.mark.parametrize("name", ["iris:rebuilt", "double:7"])
def test_a_package_made_again_is_the_same_bytes(lading, iris, routine, name):
    found = lading.json("rebuild", name, "--check")
    assert found["same"] is True
    assert found["digest"] == lading.json("show", name)["digest"]


def test_a_package_from_a_registry_is_made_again_on_another_machine_without_network(
    lading, routine, registry, tmp_path
):
    there = f"{registry.host}/team/double:7"
    lading("push", "double:7", there)
    other = with_downloads(lading, tmp_path / "home")
    other("pull", there, "-t", "double:pulled")
    env = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "UV_INDEX_URL": ""}
    said = other("rebuild", "double:pulled", "--check", "--offline", env=env)
    assert routine["digest"] in said


def test_what_is_made_again_is_verified_and_named(lading, routine):
    made = lading.json("rebuild", "double:7", "-t", "double:verified")
    assert made["report"]["matched"] == made["report"]["predictions"] == 2
    assert lading.json("show", "double:verified")["digest"] == routine["digest"]


def test_a_layer_that_a_cache_got_wrong_is_found_out(lading, routine, tmp_path):
    """A cache that lies makes a wrong package; making it again without the cache tells."""
    other = with_downloads(lading, tmp_path / "home")
    (folder := tmp_path / "score").mkdir()
    (folder / "score.py").write_text("def run(data):\n    return data\n")
    other("pack", folder, "-t", "old:1", "--no-verify")
    paths = {json.loads(path.read_text())["title"]: path for path in layer_notes(other)}
    shutil.copyfile(paths["model"], paths["lading runtime"])
    (folder / "score.py").write_text("def run(data):\n    return data[::-1]\n")
    other("pack", folder, "-t", "wrong:1", "--no-verify")
    said = other.fails(5, "rebuild", "wrong:1", "--check")
    assert "layer 'lading runtime'" in said
    assert "opt/lading/model/score.py is missing" in said
    assert "layer 'environments'" not in said
    assert not list((other.home / "cache" / "rebuild").iterdir())


def layer_notes(home):
    return [
        path for path in (home.home / "cache" / "layers").rglob("*.json") if b"title" in path.read_bytes()
    ]


def test_another_lading_is_told_of_and_its_files_are_named(lading, routine, tmp_path):
    source = Path(product.__file__).parents[1]
    shutil.copytree(source, tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    init = tmp_path / "src" / "lading" / "__init__.py"
    init.write_text(init.read_text() + '__version__ = "99.0"\n')
    settings = tmp_path / "src" / "lading_runtime" / "front" / "settings.py"
    settings.write_text(settings.read_text() + "# another\n")
    done = lading.run("rebuild", "double:7", "--check", env={"PYTHONPATH": str(tmp_path / "src")})
    assert done.returncode == 5
    assert "this is 99.0: bytes may differ" in done.stderr
    assert "this is 99.0, whose bytes may be others" in done.stderr
    assert f"fix: check it with lading {product.__version__}" in done.stderr
    named = [line for line in done.stderr.splitlines() if "lading_runtime/front/settings.py" in line]
    assert named
    assert "has another contents" in named[0]
    # what nothing was changed of is not named
    assert "layer 'model'" not in done.stderr
    assert "layer 'environments'" not in done.stderr


def test_every_package_that_is_gone_is_named_and_a_folder_may_stand_in(lading, routine, tmp_path):
    other = Lading(tmp_path / "home")
    shutil.copytree(lading.home / "store", other.home / "store", copy_function=os.link)
    said = other.fails(8, "rebuild", "double:7", "--check", "--offline")
    lock = sealed_lock(lading, "double:7")
    pinned = [*lock["model"], *lock["server"], *lock["base"]["packages"]]
    assert len(pinned) > 30
    assert all(f"{one['name']} {one['version']}" in said for one in pinned)
    assert "--find-links" in said
    (shelf_of_files := tmp_path / "files").mkdir()
    for one in pinned:
        download = lading.home / "cache" / "downloads" / "sha256" / one["digest"].removeprefix("sha256:")
        os.link(download, shelf_of_files / one["filename"].rpartition("/")[2])
    wanted = ("rebuild", "double:7", "--check", "--offline", "--find-links", shelf_of_files)
    assert routine["digest"] in other(*wanted)


def sealed_lock(lading, name):
    context = Context(Settings(lading.home))
    package = shelf.find(context, name)
    with shelf.reading(context, package.image.layers[-1].descriptor, name) as archive:
        for member in archive:
            if member.name == "opt/lading/lock.json":
                return json.loads(archive.extractfile(member).read())
    raise AssertionError


def test_without_a_name_or_a_check_nothing_is_made(lading, routine):
    assert "--tag" in lading.fails(2, "rebuild", "double:7")
    assert "--check" in lading.fails(2, "rebuild", "double:7", "--check", "-t", "double:8")


def test_a_package_on_an_image_is_made_again_where_nobody_knows_the_image(
    lading, routine, debian_image, tmp_path
):
    (folder := tmp_path / "score").mkdir()
    (folder / "score.py").write_text("def run(data):\n    return data\n")
    layout = shutil.copytree(debian_image, tmp_path / "layout")
    lading("pack", folder, "-t", "based:1", "--no-verify", "--base", f"oci:{layout}:{DEBIAN}")
    shutil.rmtree(layout)
    other = with_downloads(lading, tmp_path / "home")
    lading("export", "based:1", other.home / "store", "--format", "oci")
    assert other.json("rebuild", "based:1", "--check", "--offline")["same"] is True


@pytest.mark.slow  # the other platform's byte code is compiled by an emulated Python, twice
def test_both_platforms_are_made_again(lading, tmp_path):
    (tmp_path / "score.py").write_text("def run(data):\n    return data\n")
    platforms = ("--platform", "linux/amd64", "--platform", "linux/arm64")
    lading("pack", tmp_path, "-t", "both:1", "--no-verify", *platforms)
    found = lading.json("rebuild", "both:1", "--check")
    assert (found["same"], found["platforms"]) == (True, ["linux/amd64", "linux/arm64"])


def swapped(context, package, title, *entries):
    """Put another layer in place of one, as somebody might who means harm."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for entry in entries:
            archive.addfile(entry)
    blob = gzip.compress(stream.getvalue())
    descriptor = Descriptor(LAYER_GZIP, documents.write(context.store, blob), len(blob))
    layers = [
        Layer(descriptor, Digest.of(stream.getvalue()), one.kind, one.title) if one.title == title else one
        for one in package.image.layers
    ]
    return replace(package, image=replace(package.image, layers=tuple(layers)))


def link(path, target):
    entry = tarfile.TarInfo(path)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    return entry


@pytest.mark.usefixtures("routine")
@pytest.mark.parametrize(
    ("title", "path", "target"),
    [
        ("model", "opt/lading/model/weights.json", "/etc/passwd"),
        ("model", "opt/lading/model/deep", "/etc"),
        ("code", "opt/lading/code", "/etc"),
        ("assets", "opt/lading/assets/words", "../../../../../../etc"),
    ],
)
def test_a_link_in_a_layer_is_never_followed(lading, tmp_path, title, path, target):
    context = Context(Settings(lading.home))
    package = swapped(context, shelf.find(context, "double:7"), title, link(path, target))
    with pytest.raises(IntegrityError, match=f"{path}' is neither a file nor a folder"):
        recover(context, package, tmp_path / "files")


def test_a_bill_whose_paths_lead_out_is_refused(lading, routine, tmp_path):
    context = Context(Settings(lading.home))
    package = shelf.find(context, "double:7")
    model = package.bill.model
    out = replace(model, files=(replace(model.files[0], path="../../../etc/passwd"),))
    with pytest.raises(IntegrityError, match="expected a relative path"):
        recover(context, replace(package, bill=replace(package.bill, model=out)), tmp_path / "files")


def test_a_lock_that_is_not_the_bills_is_refused(lading, routine, tmp_path):
    context = Context(Settings(lading.home))
    package = shelf.find(context, "double:7")
    with pytest.raises(IntegrityError, match="the bill says"):
        recover(
            context, replace(package, bill=replace(package.bill, lock=Digest.of(b""))), tmp_path / "files"
        )
