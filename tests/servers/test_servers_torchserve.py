"""TorchServe: the archive that is made for it, and the real server, its Java from Debian."""

import io
import json
import zipfile
from dataclasses import replace

import pytest

from lading.core.errors import SpecError
from lading.core.spec import PackageSpec, ServerSettings
from lading.model import as_files
from lading.servers import find
from smithing import Wheelsmith

SERVER = find("torchserve")
# PyTorch itself would be most of what is packed: the server asks of it what a tensor is, the handler does not
TORCH = "class Tensor: pass\n"
HANDLER = """
import json, os

def handle(data, context):
    properties, model = context.system_properties, context.manifest["model"]
    if data is None:
        with open(os.path.join(properties["model_dir"], model["serializedFile"])) as stream:
            handle.by = json.load(stream)
        return None
    return [[value * handle.by for value in one["body"]] for one in data]
"""


@pytest.fixture
def model(tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model.pt").write_text("3")
    return tmp_path / "weights" / "model.pt"


def archive(spec, facts):
    """Return the bytes of the archive, and what is in it."""
    files = SERVER.needs(spec, facts).files
    data = files["/opt/lading/serving/torchserve/model-store/net.mar"]
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        assert opened.testzip() is None
        return data, {name: opened.read(name) for name in opened.namelist()}


def test_the_archive_holds_the_model_a_handler_and_a_manifest(model):
    _, files = archive(PackageSpec(name="net", version="2"), as_files(model))
    assert sorted(files) == ["MAR-INF/MANIFEST.json", "lading_handler.py", "model.pt"]
    manifest = json.loads(files["MAR-INF/MANIFEST.json"])
    assert manifest["runtime"] == "python"
    assert manifest["model"] == {
        "modelName": "net",
        "serializedFile": "model.pt",
        "handler": "lading_handler.py",
        "modelVersion": "2",
    }
    compile(files["lading_handler.py"], "lading_handler.py", "exec")


def test_equal_files_are_the_same_archive_wherever_they_lie(model, tmp_path):
    first = archive(PackageSpec(name="net"), as_files(model))[0]
    (tmp_path / "other").mkdir()
    moved = model.rename(tmp_path / "other" / "model.pt")
    moved.touch()
    assert archive(PackageSpec(name="net"), as_files(moved))[0] == first


def test_an_authors_own_handler_is_in_the_archive(model, tmp_path):
    (tmp_path / "code" / "parts").mkdir(parents=True)
    (tmp_path / "code" / "parts" / "own.py").write_text("")
    (tmp_path / "code" / "own.py").write_text(HANDLER)
    facts = as_files(model, code=tmp_path / "code", entry="own.py:handle")
    _, files = archive(PackageSpec(name="net"), facts)
    assert {"own.py", "parts/own.py"} <= set(files)
    assert json.loads(files["MAR-INF/MANIFEST.json"])["model"]["handler"] == "own.py:handle"
    with pytest.raises(SpecError, match=r"'none\.py', which is not in the code"):
        SERVER.needs(PackageSpec(), replace(facts, entry="none.py"))


def test_an_archive_is_taken_as_it_is(tmp_path):
    (tmp_path / "net.mar").write_bytes(b"PK")
    settings = ServerSettings(configuration={"default_workers_per_model": "2"})
    needs = SERVER.needs(PackageSpec(name="net", server_settings=settings), as_files(tmp_path / "net.mar"))
    properties = needs.files["/opt/lading/serving/torchserve/config.properties"].decode().splitlines()
    assert {"model_store=/opt/lading/model", "load_models=net=net.mar"} <= set(properties)
    assert "default_workers_per_model=2" in properties
    assert not [path for path in needs.files if path.endswith(".mar")]


def test_several_files_of_pytorchs_are_refused(tmp_path):
    for name in ("a.pt", "b.pt"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(SpecError, match="got 2 files of PyTorch's"):
        SERVER.needs(PackageSpec(), as_files(tmp_path))


@pytest.mark.slow
@pytest.mark.network
def test_the_real_server_answers_with_an_authors_handler(lading, packed, model, tmp_path):
    wheels = tmp_path / "wheels"
    Wheelsmith(wheels).wheel("torch", "99.0", source=TORCH)
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "own.py").write_text(HANDLER)
    spec = {"model": str(model), "code": str(tmp_path / "code"), "entry": "own.py", "server": "torchserve"}
    spec |= {"requirements": ["torch==99.0"], "indexes": {"find_links": [str(wheels)]}}
    report = packed("net", {**spec, "example": {"inputs": [1, 2], "outputs": [3, 6]}})["report"]
    assert (report["matched"], report["passed"]) == (2, True)
    lading("rebuild", "net:1", "--check")
