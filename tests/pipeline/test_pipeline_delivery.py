"""Packages whose model is fetched at start: as they are made, kept, pushed, served and made again."""

import gzip
import hashlib
import json
import random
import urllib.request
from pathlib import Path

import pytest

from engines import free_port
from lading import settings
from lading.core.bill import BilledFile, cache_key
from lading.core.digest import Digest
from lading.core.errors import SpecError
from lading.core.model import ModelFacts, ModelFile
from lading.core.reference import Reference
from lading.core.spec import Input, PackageSpec
from lading.pipeline import care, delivery
from lading.pipeline.context import Context
from lading_runtime.download.wanted import File, Wanted
from running import post, wait_for

WORDS, MORE = random.Random(3).randbytes(3000).hex(), "in the image"
ROUTINE = """
import os

def init():
    global found
    places = [os.environ["AZUREML_MODEL_DIR"] + "/words.txt"]
    inputs = ["/data/more/more.txt", "/opt/lading/inputs/extra/x"]
    found = [len(open(one).read()) for one in places + inputs]

def run(data):
    return found
"""


@pytest.fixture
def project(tmp_path, shop):
    """A routine, a model that a shop has, an input that is copied and one that is downloaded."""
    files = {"model/words.txt": WORDS, "code/score.py": ROUTINE, "more.txt": MORE, "extra/x": "fetched"}
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    shop.files = {"/m/words.txt": WORDS.encode()}
    spec = {
        "name": "spoken",
        "model": "model",
        "code": "code",
        "entry": "score.py",
        "requirements": [],
        "mode": "download",
        "model_source": f"{shop.url}m/",
        "inputs": [
            {"path": "more.txt", "mount_path": "/data/more"},
            {"path": "extra", "mode": "download"},
        ],
        "example": {"inputs": {}, "outputs": [6000, 12, 7]},
    }
    (tmp_path / "lading.yaml").write_text(json.dumps(spec))
    return tmp_path / "lading.yaml"


def holds(home, digest, text):
    """Tell whether a package's layers hold a text."""
    layout = home / "store"
    manifest = json.loads((layout / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes())
    blobs = (layout / "blobs/sha256" / one["digest"].removeprefix("sha256:") for one in manifest["layers"])
    return any(text.encode() in gzip.decompress(one.read_bytes()) for one in blobs)


def test_a_model_is_fetched_at_start_and_lies_in_no_layer(lading, project, shop, registry, tmp_path):
    made = lading.json("pack", project, "-t", "spoken:1")
    assert made["report"]["matched"] == 3
    assert shop.asked, "its source is held against the files when it is packed"
    assert not holds(lading.home, made["digest"], WORDS)
    assert holds(lading.home, made["digest"], MORE)
    assert "made again: the same bytes" in lading("rebuild", "spoken:1", "--check")

    shown = lading("show", "spoken:1")
    assert f"fetched at start from {shop.url}m/" in shown
    assert "input        /data/more, 12 B" in shown
    pushed = lading.run("push", "spoken:1", f"{registry.host}/spoken:1")
    assert f"LADING_MODEL_SOURCE=oci://{registry.host}/spoken" in pushed.stderr
    fetched = hashlib.sha256(b"fetched").hexdigest()
    url = f"http://{registry.host}/v2/spoken/blobs/sha256:{fetched}"
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"fetched", "what has no source of its own is pushed with the package"

    port = free_port()
    process = lading.start("serve", "spoken:1", "--port", str(port))
    try:
        assert wait_for(f"http://127.0.0.1:{port}/v2/health/ready", process) == 200
        assert post(f"http://127.0.0.1:{port}/score", {}) == [6000, 12, 7]
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_a_source_with_other_bytes_is_refused_when_it_is_packed(lading, project, shop):
    shop.files["/m/words.txt"] = WORDS[::-1].encode()
    assert "another 'words.txt'" in lading.fails(5, "pack", project, "-t", "spoken:2")
    shop.files.clear()
    assert "404" in lading.fails(8, "pack", project, "-t", "spoken:2")


def facts(count=1):
    files = tuple(ModelFile(f"{one}", Path(f"/m/{one}"), 1) for one in range(count))
    return ModelFacts(Path("/m"), "python", "python", "routine", files=files)


def settled(**what):
    return delivery.settle(PackageSpec(**{"mode": "download", **what}), facts(2), ())


@pytest.mark.parametrize(
    "source",
    [
        "ftp://a/b/",
        "https://user:secret@a/b/",
        "https://a/b/?sig=secret",
        "https://a/file",
        "nothing",
        "oci://",
    ],
)
def test_a_source_that_would_not_do_is_refused_without_being_repeated(source):
    with pytest.raises(SpecError) as caught:
        settled(model_sources=(source,))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "paths",
    [
        ("data",),
        ("/data/../etc",),
        ("/data//x",),
        ("/etc/x",),
        ("/usr/share/x",),
        ("/lib64/x",),
        ("/data",),
        ("/opt/lading",),
        ("/opt/lading/model/x",),
        ("/opt/lading/inputs",),
        ("/opt/lading/inputs/../env",),
        ("/a/b", "/a/b/c"),
        ("/a/b", "/a/b"),
        ("/a/b/c", "/a/b"),
    ],
)
def test_an_input_stays_in_a_folder_of_its_own(paths):
    with pytest.raises(SpecError, match="mount_path"):
        settled(inputs=tuple(Input(Path("/m"), one) for one in paths))


def test_inputs_may_lie_beside_one_another():
    paths = ("/opt/lading/inputs/a", "/opt/lading/inputs/ab", "/var/azureml-app/data")
    assert len(settled(inputs=tuple(Input(Path("/m"), one) for one in paths)).inputs) == 3


def test_a_model_without_a_source_is_fetched_from_where_the_package_is_named_for():
    names = (Reference.parse("spoken:1"), Reference.parse("registry.example.com/team/spoken:1"))
    what = delivery.settle(PackageSpec(mode="download"), facts(), names)
    assert what.model_sources == ("oci://registry.example.com/team/spoken",)
    assert what.compile == "off"


def test_a_form_of_a_model_that_is_not_in_the_image_is_refused():
    with pytest.raises(SpecError, match="the form would be in the image"):
        settled(compile="onnx")


def test_what_is_lent_is_not_cleared_meanwhile(tmp_path):
    data = b"words"
    with Context(settings.load({}, home=tmp_path)) as context:
        kept = BilledFile("words.txt", len(data), Digest.of(data))
        folder = delivery.folder(context) / cache_key([kept])
        folder.mkdir(parents=True)
        (folder / "words.txt").write_bytes(data)
        context.hold(folder)
        with Context(settings.load({}, home=tmp_path)) as other:
            freed = care.collect(other, older_than_s=0, caches=True, dry_run=False)
        assert [str(folder) in one for one in freed.spared] == [True]
        assert folder.is_dir()
    with Context(settings.load({}, home=tmp_path)) as other:
        care.collect(other, older_than_s=0, caches=True, dry_run=False)
    assert not folder.exists()


def test_what_has_no_files_is_copied():
    what = delivery.settle(PackageSpec(mode="download"), facts(0), ())
    assert what.mode == "copy"


def test_both_sides_name_the_same_files_alike():
    files = [("b", 2, b"b"), ("a", 1, b"a"), ("a/b", 3, b"c")]
    ours = cache_key([BilledFile(path, size, Digest.of(data)) for path, size, data in files])
    theirs = Wanted("m", "m", tuple(File(path, size, str(Digest.of(data))) for path, size, data in files), ())
    assert ours == theirs.key
